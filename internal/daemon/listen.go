package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"backstop/internal/api"
	"backstop/internal/exit"
)

// drainTime is how long requests under way may take when the daemon stops: a
// little longer than a replay that one of them awaits. The whole stop takes
// under five seconds.
const drainTime = 4 * time.Second

// limits bound what a listener accepts.
type limits struct {
	connections int
	read        time.Duration // of a whole request; 0: none
}

// controlLimits: the owner may ask for work that takes hours.
func controlLimits() limits { return limits{connections: 64} }

// adminLimits leave most of the files that the process may open for its own
// work: a flood of reports must not keep the poller from its socket. The tap has
// the same again, and opens a file to the receiver for each of its own.
func adminLimits() limits {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		files.Cur = 256
	}
	return limits{connections: int(min(files.Cur/4, 512)), read: 30 * time.Second}
}

// serve serves until ctx ends, then lets what is under way end. Requests see ctx.
func (d *daemon) serve(ctx context.Context, group *errgroup.Group, l net.Listener, h http.Handler, lim limits) {
	server, wait := d.newServer(ctx, h, lim)
	group.Go(func() error { return accept(server, api.Peers(l), lim) })
	group.Go(func() error {
		<-ctx.Done()
		defer wait()
		return shutdown(ctx, server, drainTime)
	})
}

// newServer makes a server whose requests see ctx. wait waits for the last of
// them: the state is closed after it.
func (d *daemon) newServer(ctx context.Context, h http.Handler, lim limits) (server *http.Server, wait func()) {
	var open sync.WaitGroup
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Done()
		h.ServeHTTP(w, r)
	})
	return &http.Server{
		Handler:           counted,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       lim.read,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}, open.Wait
}

// accept serves what comes until the server is shut down, or the listener
// closed.
func accept(server *http.Server, l net.Listener, lim limits) error {
	err := server.Serve(netutil.LimitListener(l, lim.connections))
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// shutdown stops accepting, lets requests under way end, and cuts off what
// takes longer. ctx has ended.
func shutdown(ctx context.Context, server *http.Server, patience time.Duration) error {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if server.Shutdown(ending) != nil {
		return server.Close()
	}
	return nil
}

func listenAdmin(address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return listenUnix(path)
	}
	return net.Listen("tcp", address)
}

// listenUnix listens on a socket of mode 0600. A socket that lies there is
// removed only when nobody answers behind it.
func listenUnix(path string) (net.Listener, error) {
	if len(path) > 107 {
		return nil, fmt.Errorf("the socket path %s is over the 107 bytes that the system allows", path)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil { // the umask did it already where the file system obeys
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is there and is no socket", path)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close()
		return exit.Errorf(exit.Held, "stop it, or set control: to another path", "another daemon answers at %s", path)
	}
	return os.Remove(path)
}
