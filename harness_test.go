package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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
