package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// build makes the real program, as a user would install it.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "backstop")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// missing ends a test that needs a program which is not there: skipped, or failed
// where everything has to be there. how says how to get it.
func missing(t *testing.T, how string) {
	t.Helper()
	if os.Getenv("BACKSTOP_REQUIRE_ALL") == "1" {
		t.Fatal(how)
	}
	t.Skip(how)
}

// said is everything that processes wrote, on both streams.
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

// tail is the end of it, for the message of a failed test.
func (s *said) tail() string {
	text := s.String()
	return text[max(0, len(text)-4000):]
}

// site is one installation of backstop: a directory with its configuration and
// state, an environment, and everything that its processes ever said.
type site struct {
	t           *testing.T
	binary, dir string
	env         []string
	said        said
}

// newSite writes a configuration and gives the processes nothing but env of the
// environment of this one.
func newSite(t *testing.T, binary, config string, env ...string) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{t: t, binary: binary, dir: dir, env: append([]string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}, env...)}
	config = strings.ReplaceAll(config, "DIR", dir)
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) statePath() string { return filepath.Join(s.dir, "backstop.db") }

// command prepares a process of the real program, which does not outlive the test.
func (s *site) command(args ...string) *exec.Cmd {
	args = append([]string{"--config", filepath.Join(s.dir, "config.yaml")}, args...)
	cmd := exec.CommandContext(s.t.Context(), s.binary, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.Stdout, cmd.Stderr = &s.said, &s.said
	return cmd
}

// run runs a verb to its end and gives what it printed and its exit code.
func (s *site) run(in string, args ...string) (out string, code int) {
	s.t.Helper()
	var printed bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdin, cmd.Stdout = strings.NewReader(in), io.MultiWriter(&printed, &s.said)
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("backstop %s: %v", strings.Join(args, " "), err)
	}
	return printed.String(), cmd.ProcessState.ExitCode()
}

// must runs a verb that has to end clean.
func (s *site) must(in string, args ...string) string {
	s.t.Helper()
	out, code := s.run(in, args...)
	if code != 0 {
		s.t.Fatalf("backstop %s: exit %d\n%s", strings.Join(args, " "), code, s.said.tail())
	}
	return out
}

// process is a running backstop.
type process struct {
	site *site
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start starts a process with further variables in its environment.
func (s *site) start(env []string, args ...string) *process {
	s.t.Helper()
	p := &process{site: s, cmd: s.command(args...), done: make(chan struct{})}
	p.cmd.Env = append(p.cmd.Env, env...)
	if err := p.cmd.Start(); err != nil {
		s.t.Fatalf("backstop %s: %v", strings.Join(args, " "), err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit code tells
	}()
	return p
}

// kill ends the process with SIGKILL. It reports whether there was something
// left to kill.
func (p *process) kill() bool {
	_ = p.cmd.Process.Kill() // an error says that it has ended, as the exit code does
	<-p.done
	return p.cmd.ProcessState.ExitCode() == -1
}

// stop ends the process as an operator would, and gives its exit code.
func (p *process) stop() int {
	p.site.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.site.t.Errorf("SIGINT: %v", err)
	}
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		p.site.t.Errorf("backstop did not stop within 15 s of SIGINT\n%s", p.site.said.tail())
		p.kill()
	}
	return p.cmd.ProcessState.ExitCode()
}

// anonymous is how much memory of its own the process has, in kB; 0 when it has
// ended.
func (p *process) anonymous() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "RssAnon:" {
			kB, _ := strconv.Atoi(fields[1])
			return kB
		}
	}
	return 0
}

// serve serves a handler on loopback until the test ends.
func serve(t *testing.T, h http.Handler) (base string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	var served sync.WaitGroup
	served.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		_ = server.Close() // whatever is still connected is cut off
		served.Wait()
	})
	return "http://" + l.Addr().String()
}

// overSocket is a transport that reaches one unix socket whatever the URL's host.
func overSocket(path string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
}

// until waits for a condition, looking again and again, and fails the test when
// it does not come true within the limit.
func until(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !holds() {
		if !pause(ctx, 50*time.Millisecond) {
			t.Fatalf("after %s: still waiting until %s", limit, what)
		}
	}
}

// pause waits, and reports whether ctx lasted as long.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// leaks names the secrets that stand in a text. The names are safe to print.
func leaks(text string, secrets map[string][]string) []string {
	var found []string
	for name, values := range secrets {
		for i, value := range values {
			if at := strings.Index(text, value); value != "" && at >= 0 {
				found = append(found, fmt.Sprintf("%s (no. %d) in: …%s[HERE]", name, i, text[max(0, at-300):at]))
				break
			}
		}
	}
	return found
}

// visit is one replay as it arrived.
type visit struct {
	id, life string
	attempt  int
	at       time.Time
	status   int
}

func (v visit) accepted() bool { return v.status >= 200 && v.status < 300 }

// replays watches what backstop sends to the receiver.
type replays struct {
	flying atomic.Int64
	mu     sync.Mutex
	visits []visit
	coming chan struct{} // closed by the next one
}

func newReplays() *replays { return &replays{coming: make(chan struct{})} }

func (r *replays) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.Header.Get("X-Backstop-Replay") == "" {
			next.ServeHTTP(rw, req)
			return
		}
		attempt, _ := strconv.Atoi(req.Header.Get("X-Backstop-Attempt")) // 0 is found to be none later
		v := visit{id: req.Header.Get("Heygen-Event-Id"), life: req.Header.Get("X-Life"), attempt: attempt, at: time.Now()}
		r.arrive()
		noted := &notedWriter{ResponseWriter: rw}
		next.ServeHTTP(noted, req)
		v.status = noted.status
		r.leave(v)
	})
}

func (r *replays) arrive() {
	r.flying.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.coming)
	r.coming = make(chan struct{})
}

func (r *replays) leave(v visit) {
	r.flying.Add(-1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.visits = append(r.visits, v)
}

// next is closed when the next replay arrives.
func (r *replays) next() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.coming
}

// all gives the replays in the order of their arrival.
func (r *replays) all() []visit {
	r.mu.Lock()
	defer r.mu.Unlock()
	visits := slices.Clone(r.visits)
	slices.SortStableFunc(visits, func(a, b visit) int { return a.at.Compare(b.at) })
	return visits
}

// notedWriter remembers the status of an answer.
type notedWriter struct {
	http.ResponseWriter
	status int
}

func (n *notedWriter) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

// Unwrap lets the receiver break the connection.
func (n *notedWriter) Unwrap() http.ResponseWriter { return n.ResponseWriter }

// reports carries the receiver's reports to a daemon that is killed all the time:
// it tries until one is taken, and notes when that was.
type reports struct {
	flying atomic.Int64
	socket *http.Transport
	ctx    context.Context
	giveUp func()

	mu    sync.Mutex
	taken map[string]time.Time // when the first report of an id was answered 200
}

func newReports(socket string) *reports {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reports{socket: overSocket(socket), ctx: ctx, taken: map[string]time.Time{}}
	r.giveUp = func() { cancel(); r.socket.CloseIdleConnections() }
	return r
}

// RoundTrip makes one report.
func (r *reports) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	for {
		resp, err := r.try(req, body)
		if err == nil && resp.StatusCode != http.StatusServiceUnavailable {
			return resp, nil
		}
		if !pause(r.ctx, 5*time.Millisecond) {
			return resp, r.ctx.Err()
		}
	}
}

func (r *reports) try(req *http.Request, body []byte) (*http.Response, error) {
	req = req.Clone(r.ctx)
	req.Body = io.NopCloser(bytes.NewReader(body))
	r.flying.Add(1)
	resp, err := r.socket.RoundTrip(req)
	r.flying.Add(-1)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // it has been read
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if resp.StatusCode == http.StatusOK {
		r.take(reportedIDs(body))
	}
	return resp, nil
}

func reportedIDs(body []byte) []string {
	var ids []string
	for line := range bytes.Lines(body) {
		var item struct {
			ID string `json:"event_id"`
		}
		if json.Unmarshal(line, &item) == nil && item.ID != "" {
			ids = append(ids, item.ID)
		}
	}
	return ids
}

// take notes that backstop has acknowledged ids.
func (r *reports) take(ids []string) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		if _, ok := r.taken[id]; !ok {
			r.taken[id] = now
		}
	}
}

func (r *reports) all() map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.taken)
}

// readLines reads JSON lines.
func readLines[T any](t *testing.T, text string) func(yield func(T) bool) {
	return func(yield func(T) bool) {
		t.Helper()
		for line := range strings.Lines(text) {
			var v T
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatalf("%v in line %q", err, line)
			}
			if !yield(v) {
				return
			}
		}
	}
}
