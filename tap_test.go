package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"backstop/internal/simulate"
)

// tapConfig has a tap, and a listing in which nothing is.
const tapConfig = `
heygen: {base_url: LISTING, api_key: key, rate: 0}
receiver: {url: "RECEIVER/hook?token=t"}
seen:
  - tap: {listen: "127.0.0.1:0"}
state: {path: DIR/backstop.db}
control: DIR/control.sock
admin: {listen: ""}
log: {format: json}
`

// hookOf50ms is a receiver that takes its time and counts each push.
type hookOf50ms struct {
	mu    sync.Mutex
	times map[string]int
}

func (h *hookOf50ms) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil || !pause(r.Context(), 50*time.Millisecond) {
		return
	}
	h.mu.Lock()
	h.times[r.Header.Get("Heygen-Event-Id")]++
	h.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (h *hookOf50ms) all() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.times)
}

func newTapSite(t *testing.T, hook http.Handler) *site {
	t.Helper()
	listing := serve(t, simulate.New(simulate.Options{Seed: 1}).Handler())
	config := strings.NewReplacer("LISTING", listing, "RECEIVER", serve(t, hook)).Replace(tapConfig)
	return newSite(t, build(t), config)
}

// startOn starts the daemon with a listening socket, handed over as systemd does.
func (s *site) startOn(l *net.TCPListener) *process {
	s.t.Helper()
	file, err := l.File()
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	own := s.command("run")
	script := []string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`}
	cmd := exec.CommandContext(s.t.Context(), "/bin/sh", append(script, own.Args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = own.Dir, own.Stdout, own.Stderr
	cmd.Env = append(own.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=tap")
	cmd.ExtraFiles = []*os.File{file}
	p := &process{site: s, cmd: cmd, done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // the exit code tells
	}()
	return p
}

// terminate stops the process as systemd does.
func (p *process) terminate() {
	p.site.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.site.t.Errorf("SIGTERM: %v", err)
	}
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.site.t.Errorf("SIGTERM: exit %d\n%s", code, p.site.said.tail())
	}
}

// pushes is a constant load of pushes, each with an id of its own.
type pushes struct {
	url    string
	next   atomic.Int64
	ok     atomic.Int64
	failed atomic.Pointer[string]
}

// push makes pushes one after the other until ctx ends, the last one whole.
func (p *pushes) push(ctx context.Context, client *http.Client) {
	for ctx.Err() == nil {
		id := fmt.Sprintf("evt_%d", p.next.Add(1))
		if err := p.one(context.WithoutCancel(ctx), client, id); err != nil {
			why := id + ": " + err.Error()
			p.failed.CompareAndSwap(nil, &why)
			return
		}
		p.ok.Add(1)
	}
}

func (p *pushes) one(ctx context.Context, client *http.Client, id string) error {
	body := fmt.Appendf(nil, `{"event_type":"avatar_video.success","event_data":{"video_id":"vid_%s"}}`, id)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Heygen-Event-Id", id)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if _ = resp.Body.Close(); err == nil && resp.StatusCode != http.StatusNoContent {
		err = fmt.Errorf("answer %s", resp.Status)
	}
	return err
}

// known are the ids that backstop has a record of, each with its proof.
func (s *site) known() map[string]string {
	s.t.Helper()
	proofs := map[string]string{}
	for row := range readLines[struct {
		ID    string `json:"event_id"`
		Proof string `json:"proof"`
	}](s.t, s.must("", "seen", "export")) {
		proofs[row.ID] = row.Proof
	}
	return proofs
}

// compare fails the test unless each push that was answered is known, arrived
// once, and no other is known.
func (p *pushes) compare(t *testing.T, s *site, hook *hookOf50ms) {
	t.Helper()
	if why := p.failed.Load(); why != nil {
		t.Errorf("a push failed: %s\n%s", *why, s.said.tail())
	}
	known := s.known()
	for id, n := range hook.times {
		if n != 1 || known[id] != "tap" {
			t.Errorf("%s arrived %d times, its proof is %q", id, n, known[id])
		}
	}
	if len(known) != len(hook.times) || int(p.ok.Load()) != len(hook.times) {
		t.Errorf("%d pushes answered, %d arrived, %d known", p.ok.Load(), len(hook.times), len(known))
	}
}

// While systemd holds the socket, restarts under load cost no push: each is
// answered, arrives once, and is known.
func TestTapLosesNoPushInARestart(t *testing.T) {
	hook := &hookOf50ms{times: map[string]int{}}
	s := newTapSite(t, hook)
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := &pushes{url: "http://" + l.Addr().String() + "/webhooks/heygen"}
	daemon := s.startOn(l)
	ctx, end := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for i := range 8 { // some keep their connection, some take a new one for each push
		transport := &http.Transport{DisableKeepAlives: i%2 == 0}
		defer transport.CloseIdleConnections()
		senders.Go(func() { p.push(ctx, &http.Client{Transport: transport}) })
	}
	for range 5 {
		before := hook.all()
		until(t, 30*time.Second, "pushes go through", func() bool { return hook.all() > before+30 || p.failed.Load() != nil })
		daemon.terminate()
		daemon = s.startOn(l)
	}
	before := hook.all()
	until(t, 30*time.Second, "pushes go through again", func() bool { return hook.all() > before+30 || p.failed.Load() != nil })
	end()
	senders.Wait()
	daemon.terminate()
	p.compare(t, s, hook)
	t.Logf("%d pushes through 5 restarts", p.ok.Load())
}

// The real program hands its socket over, and the first push starts the daemon.
func TestTapOnASocketOfSystemd(t *testing.T) {
	activate, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		const how = "systemd-socket-activate is not installed: apt-get install systemd"
		if os.Getenv("BACKSTOP_REQUIRE_ALL") == "1" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	hook := &hookOf50ms{times: map[string]int{}}
	s := newTapSite(t, hook)
	address := freeAddress(t)
	own := s.command("run")
	cmd := exec.CommandContext(t.Context(), activate, append([]string{"--listen=" + address, "--fdname=tap"}, own.Args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = own.Dir, own.Env, own.Stdout, own.Stderr
	daemon := &process{site: s, cmd: cmd, done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(daemon.done); _ = cmd.Wait() }()
	until(t, 20*time.Second, "it listens", func() bool { return strings.Contains(s.said.String(), "Listening on") })
	p := &pushes{url: "http://" + address}
	for i := range 3 {
		if err := p.one(t.Context(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, fmt.Sprintf("evt_%d", i)); err != nil {
			t.Fatalf("push %d: %v\n%s", i, err, s.said.tail())
		}
		p.ok.Add(1)
	}
	daemon.terminate()
	p.compare(t, s, hook)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Without systemd the daemon listens itself, says where, and at its stop lets a
// push under way end and records it.
func TestTapAwaitsAPushAtAStop(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	s := newTapSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-answer
		w.WriteHeader(http.StatusNoContent)
	}))
	daemon := s.start(nil, "run")
	var address string
	until(t, 20*time.Second, "it says where it listens", func() bool {
		address = s.tapAddress()
		return address != ""
	})
	p := &pushes{url: "http://" + address}
	answered := make(chan error, 1)
	go func() { answered <- p.one(t.Context(), http.DefaultClient, "evt_last") }()
	<-arrived
	if err := daemon.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, "it refuses connections", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(answer)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	<-daemon.done
	if code := daemon.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d\n%s", code, s.said.tail())
	}
	if proof := s.known()["evt_last"]; proof != "tap" {
		t.Errorf("its proof is %q", proof)
	}
}

// tapAddress is where the daemon says that its tap listens.
func (s *site) tapAddress() string {
	for line := range strings.Lines(s.said.String()) {
		var said struct{ Msg, Tap string }
		if json.Unmarshal([]byte(line), &said) == nil && said.Tap != "" {
			return said.Tap
		}
	}
	return ""
}
