package daemon

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"backstop/internal/config"
)

// withTap gives a configuration a tap, and a receiver that is soon given up at
// a stop.
func withTap(cfg *config.Config) {
	cfg.Seen = append(cfg.Seen, config.Source{Kind: config.SourceTap, Tap: config.TapSource{Listen: "127.0.0.1:0"}})
	cfg.Receiver.Timeout = time.Millisecond
}

// push makes one push through the tap.
func (r *running) push(t *testing.T, id string, body io.Reader) (status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.where.Tap, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Heygen-Event-Id", id)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

// What the tap saw is known without anybody asking, and what it did not is missed.
func TestATapKnowsWhatWasPushed(t *testing.T) {
	r := start(t, http.NotFoundHandler(), nil, withTap, func(cfg *config.Config) {
		taken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		t.Cleanup(taken.Close)
		cfg.Receiver.URL = taken.URL
		cfg.Reconcile.Settle = time.Hour // nothing is replayed
	})
	id := r.missed(t)
	if status := r.push(t, id, nil); status != http.StatusOK {
		t.Errorf("answer %d", status)
	}
	eventually(t, "the event is seen by the tap", func() bool {
		e := r.status(t, id)
		return e.Status == "seen" && e.Proof == "tap"
	})
	r.end(t)
}

// A reload changes where the tap sends, but not where it listens.
func TestAReloadMovesTheTapsTarget(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer other.Close()
	r := start(t, http.NotFoundHandler(), func(cfg *config.Config) (*config.Config, error) {
		changed := *cfg
		changed.Receiver.URL = other.URL
		changed.Seen = cfg.Seen[:1]
		return &changed, nil
	}, withTap)
	if status := r.push(t, "evt_1", nil); status != http.StatusNotFound {
		t.Errorf("before: %d", status)
	}
	r.hangup <- syscall.SIGHUP
	eventually(t, "the other receiver answers", func() bool { return r.push(t, "evt_1", nil) == http.StatusTeapot })
	eventually(t, "the log says what needs a restart", func() bool { return strings.Contains(r.said.String(), `key="seen: tap"`) })
	r.end(t)
}

// A receiver that neither reads nor answers does not keep the daemon from its
// end, nor does a client that keeps its connection.
func TestAStopDoesNotAwaitADeadReceiver(t *testing.T) {
	arrived, release := make(chan struct{}, 9), make(chan struct{})
	defer close(release)
	r := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}), nil, withTap)
	answers := make(chan int, 2)
	for _, body := range []io.Reader{strings.NewReader("{}"), strings.NewReader(strings.Repeat("x", 20<<20))} {
		go func() { answers <- r.push(t, "evt_1", body) }()
		<-arrived
	}
	r.end(t)
	for range 2 {
		if status := <-answers; status/100 == 2 {
			t.Errorf("answer %d", status)
		}
	}
}

// A connection without a request is told good-bye at a stop: the push that comes
// on it still is answered.
func TestAStopAnswersOnKeptConnections(t *testing.T) {
	clients := &leaving{next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })}
	server := httptest.NewUnstartedServer(clients)
	server.Config.ConnState = clients.count
	server.Start()
	defer server.Close()
	get := func() *http.Response {
		resp, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp
	}
	if get().Close {
		t.Error("closed before the end")
	}
	done := make(chan struct{})
	go func() { defer close(done); clients.farewell(context.WithoutCancel(t.Context())) }()
	eventually(t, "the end has begun", clients.gone.Load)
	if resp := get(); !resp.Close || resp.StatusCode != http.StatusNoContent {
		t.Errorf("at the end: %s, close %v", resp.Status, resp.Close)
	}
	<-done
}
