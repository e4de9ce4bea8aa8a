// Package testserver starts real database servers for tests: their own
// programs, in a directory of their own, on a free port of this machine, gone
// when the test ends. Nothing but tests imports it.
package testserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Password is that of the user in every DSN.
const Password = "open sesame/@:?#%"

// patience is how long a server may take to start or to stop. It is no
// measurement: a machine under load is slow.
const patience = 2 * time.Minute

// Server is one running database server.
type Server struct {
	Addr string // host:port
	DSN  string // of a superuser, with its password

	t     testing.TB
	dir   string
	as    *syscall.Credential // nil: the user of the test
	argv  []string
	ready string         // what the server says when it can be asked
	stop  syscall.Signal // ends it in good order and soon

	cmd   *exec.Cmd // nil: stopped
	ended chan struct{}
}

// newServer makes the directory of a server, owned by account where the test
// runs as root: database servers refuse to.
func newServer(t testing.TB, account string) *Server {
	t.Helper()
	s := &Server{t: t, Addr: freePort(t)}
	dir, err := os.MkdirTemp("", "db") // short: a unix socket's path is 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s.dir = dir
	if os.Geteuid() == 0 {
		s.as = credential(t, account)
		if err := os.Chown(dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func credential(t testing.TB, account string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(account)
	if err != nil {
		missing(t, "there is no user "+account+" to run the server as", account)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// program finds a program in PATH and in the folders that Debian keeps servers
// in, the newest version first. A test skips without it, or fails where every
// test must run.
func program(t testing.TB, name, debian string, folders ...string) string {
	t.Helper()
	for _, pattern := range folders {
		found, _ := filepath.Glob(filepath.Join(pattern, name))
		if len(found) > 0 {
			return slices.Max(found)
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name+" is not installed", debian)
	}
	return path
}

func missing(t testing.TB, what, debian string) {
	t.Helper()
	how := what + ": apt-get install " + debian
	if os.Getenv("BACKSTOP_REQUIRE_ALL") == "1" {
		t.Fatal(how)
	}
	t.Skip(how)
}

// write puts a file that the server reads beside its data.
func (s *Server) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// run runs a program to its end, as the server's user.
func (s *Server) run(argv ...string) {
	s.t.Helper()
	if out, err := s.command(argv).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", argv[0], err, out)
	}
}

func (s *Server) command(argv []string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Start starts the server again after Stop, with the same data and port, and
// returns once it can be asked.
func (s *Server) Start() {
	s.t.Helper()
	cmd := s.command(s.argv)
	out, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd, s.ended = cmd, make(chan struct{})
	log := &watch{words: s.ready, found: make(chan struct{})}
	go func() {
		defer close(s.ended)
		log.read(out)
		_ = cmd.Wait()
	}()
	select {
	case <-log.found:
	case <-s.ended:
		s.t.Fatalf("the server ended at its start:\n%s", log.text())
	case <-time.After(patience):
		s.Kill()
		s.t.Fatalf("the server did not start:\n%s", log.text())
	}
}

// Stop ends the server in good order, its connections too, and waits for it. A
// stopped server stays so.
func (s *Server) Stop() { s.end(s.stop) }

// Kill ends the server as a crash does.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(with syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(with)
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	s.cmd = nil
}

// watch reads a server's log and waits for words in it.
type watch struct {
	words string
	found chan struct{}

	mu    sync.Mutex
	lines []string // guarded by mu
}

func (w *watch) read(r io.Reader) {
	once := sync.OnceFunc(func() { close(w.found) })
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		w.mu.Lock()
		w.lines = append(w.lines, lines.Text())
		w.mu.Unlock()
		if strings.Contains(lines.Text(), w.words) {
			once()
		}
	}
	_, _ = io.Copy(io.Discard, r) // a line too long for the scanner must not stop the server
}

func (w *watch) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.lines, "\n")
}

func port(addr string) string {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		panic(fmt.Sprintf("unreachable: %q is of a listener", addr))
	}
	return p
}
