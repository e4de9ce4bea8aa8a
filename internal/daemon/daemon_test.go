package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"backstop/internal/api"
	"backstop/internal/config"
	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/internal/secret"
	"backstop/internal/simulate"
)

// running is a daemon under test, beside a stand-in for HeyGen.
type running struct {
	cfg    *config.Config
	world  *simulate.World
	client *api.Client
	hangup chan os.Signal
	stop   context.CancelFunc
	ended  chan error
	where  Addresses
	said   said
}

// said is the log.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// start runs a daemon against a receiver until the test ends it.
func start(t *testing.T, receiver http.Handler, next func(*config.Config) (*config.Config, error), change ...func(*config.Config)) *running {
	t.Helper()
	r := &running{world: simulate.New(simulate.Options{Seed: 1}), hangup: make(chan os.Signal), ended: make(chan error, 1)}
	listing := httptest.NewServer(r.world.Handler())
	webhook := httptest.NewServer(receiver)
	t.Cleanup(listing.Close)
	t.Cleanup(webhook.Close)
	r.cfg = config.Default()
	r.cfg.Heygen.BaseURL, r.cfg.Heygen.APIKey, r.cfg.Heygen.Rate = listing.URL, secret.Text("key"), 0
	r.cfg.Receiver.URL = webhook.URL
	r.cfg.Schedule.Poll = "@every 1s"
	r.cfg.Reconcile.Settle = 0
	r.cfg.Reconcile.Start = config.Start{Beginning: true}
	r.cfg.State.Path = filepath.Join(t.TempDir(), "backstop.db")
	r.cfg.Admin.Listen = "127.0.0.1:0"
	for _, c := range change {
		c(r.cfg)
	}
	ready := make(chan Addresses, 1)
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	go func() {
		r.ended <- Run(ctx, Options{
			Config: r.cfg, Load: func() (*config.Config, error) { return next(r.cfg) }, Reload: r.hangup,
			Env: func(string) (string, bool) { return "", false }, Version: "test",
			Logger: slog.New(slog.NewTextHandler(&r.said, nil)), Ready: func(a Addresses) { ready <- a },
		})
	}()
	select {
	case r.where = <-ready:
		r.client = api.Dial(r.where.Control)
	case err := <-r.ended:
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.client.Close() })
	return r
}

// missed makes one event that nobody pushed and waits until it is due.
func (r *running) missed(t *testing.T) string {
	t.Helper()
	event, err := r.world.Create(simulate.Recipe{Created: time.Now().Add(-time.Minute), Hidden: -1})
	if err != nil {
		t.Fatal(err)
	}
	return event.ID
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (r *running) status(t *testing.T, id string) engine.Event {
	event, err := r.client.Event(t.Context(), id)
	if err != nil {
		return engine.Event{}
	}
	return event
}

// A stop awaits the replay that a request awaits: its 2xx must not be lost, or
// the event is sent twice.
func TestAStopAwaitsAReplayAskedForByHand(t *testing.T) {
	arrived, answer := make(chan struct{}, 9), make(chan struct{})
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		arrived <- struct{}{}
		<-answer
	}), nil)
	id := r.missed(t)
	eventually(t, "the event is missed", func() bool { return r.status(t, id).Status == "missed" })
	asked := make(chan error, 1)
	go func() {
		_, err := r.client.Replay(context.WithoutCancel(t.Context()), engine.ReplayRequest{IDs: []string{id}}, func(engine.ReplayRow) error { return nil })
		asked <- err
	}()
	<-arrived
	r.stop()
	close(answer)
	if err := <-r.ended; err != nil {
		t.Fatal(err)
	}
	<-asked
	e, err := engine.Open(engine.Options{Config: r.cfg, Need: engine.Existing, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	event, err := e.Event(id)
	if err != nil || event.Status != "seen" || len(event.Attempts) != 1 {
		t.Errorf("%+v, %v: want it seen by one attempt", event, err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// The state is bound to its API: a reload with another one must not walk it.
func TestAReloadKeepsTheAPI(t *testing.T) {
	other := simulate.New(simulate.Options{Seed: 2, Events: 5})
	foreign := httptest.NewServer(other.Handler())
	defer foreign.Close()
	r := start(t, http.NotFoundHandler(), func(cfg *config.Config) (*config.Config, error) {
		changed := *cfg
		changed.Heygen.BaseURL = foreign.URL
		changed.Heygen.PageSize = 7
		return &changed, nil
	})
	before := r.world.Stats().Requests
	r.hangup <- syscall.SIGHUP
	eventually(t, "the walks go on", func() bool { return r.world.Stats().Requests > before+1 })
	if n := other.Stats().Requests; n != 0 {
		t.Errorf("the other API was asked %d times", n)
	}
	r.stop()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

func TestABadFileKeepsTheOldConfiguration(t *testing.T) {
	asked := make(chan struct{}, 1)
	r := start(t, http.NotFoundHandler(), func(*config.Config) (*config.Config, error) {
		asked <- struct{}{}
		return nil, errors.New("config.yaml:1:1: no such key")
	})
	r.hangup <- syscall.SIGHUP
	<-asked
	before := r.world.Stats().Requests
	eventually(t, "the walks go on", func() bool { return r.world.Stats().Requests > before+1 })
	r.stop()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

// Many reporters at once are all served: only a full state refuses.
func TestManyReportersAtOnce(t *testing.T) {
	r := start(t, http.NotFoundHandler(), nil)
	results := make(chan error, 200)
	for range cap(results) {
		go func() {
			_, err := r.client.Import(t.Context(), []byte(`{"event_id":"evt_`+time.Now().Format("150405.000000000")+`"}`), api.ImportRequest{})
			results <- err
		}()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	r.stop()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

func TestListenUnix(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := listenUnix(stale)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	info, err := os.Stat(stale)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if _, err := listenUnix(stale); exit.CodeOf(err) != exit.Held {
		t.Errorf("a socket that answers: %v, want the code for held", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file in its place: %v", err)
	}
	if _, err := listenUnix(filepath.Join(dir, strings.Repeat("x", 108))); err == nil || !strings.Contains(err.Error(), "107 bytes") {
		t.Errorf("a long path: %v", err)
	}
}

// The control socket shows the metrics, too: an admin listener is not needed for them.
func TestMetricsOnTheControlSocket(t *testing.T) {
	r := start(t, http.NotFoundHandler(), nil)
	r.missed(t)
	socket := r.cfg.ControlSocket(func(string) (string, bool) { return "", false })
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	eventually(t, "the event is counted as missed", func() bool {
		resp, err := client.Get("http://backstop/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%d, %v: %s", resp.StatusCode, err, text)
		}
		return strings.Contains(string(text), "\nbackstop_events_pending 1\n")
	})
	r.stop()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}
