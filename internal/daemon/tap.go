package daemon

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sync/errgroup"

	"backstop/internal/config"
	"backstop/internal/exit"
)

const (
	// heygenPatience is how long HeyGen waits for the answer to a push. Longer
	// no push under way is awaited, whatever the receiver may take for a replay:
	// nobody would read its answer.
	heygenPatience = 10 * time.Second

	// farewellTime is how long connections without a request stay open at a stop: a
	// push that comes on one is answered, and told that it was the last. One cut
	// off as a push comes would lose it.
	farewellTime = time.Second

	looking = 20 * time.Millisecond // between two looks whether some are left
)

// tapLimits have no time for a whole request: an answer may take as long as the
// receiver does, and the tap itself bounds how long a body may come.
func tapLimits() limits {
	lim := adminLimits()
	lim.read = 0
	return lim
}

// tapPatience is how long pushes under way may take when the daemon stops.
func (d *daemon) tapPatience() time.Duration {
	return min(d.config.Load().Receiver.Timeout, heygenPatience) + time.Second
}

// tapAddress is where a configuration wants its tap; "" when it has none.
func tapAddress(cfg *config.Config) string {
	tap, _ := cfg.Tap()
	return tap.Listen
}

// listenTap serves the tap, where there is one, on the socket that systemd
// handed over, or else on the configured address.
func (d *daemon) listenTap(ctx context.Context, group *errgroup.Group) (address string, err error) {
	l := d.inherited()
	if d.engine.Tap() == nil {
		if l != nil {
			d.log.Warn("systemd handed a socket for the tap over, and none is configured: add `- tap: {}` to seen, or disable the socket unit")
			return "", l.Close()
		}
		return "", nil
	}
	if l == nil {
		if l, err = listenAdmin(tapAddress(d.options.Config)); err != nil {
			return "", exit.Wrap(exit.Failed, "set listen of the tap to a free address", err)
		}
	}
	d.serveTap(ctx, group, l)
	return l.Addr().String(), nil
}

// inherited is the socket for the tap that systemd handed over; nil when there
// is none. While systemd holds it, connections wait there through a restart.
func (d *daemon) inherited() net.Listener {
	handed, _ := activation.ListenersWithNames() // never an error
	var tap net.Listener
	for name, listeners := range handed {
		for _, l := range listeners {
			if tap == nil && (name == "tap" || name == "backstop-tap.socket") {
				tap = l
				continue
			}
			d.log.Warn("systemd handed a socket over that backstop has no use for: name one `tap`", "name", name, "address", l.Addr().String())
			_ = l.Close() // nobody serves it
		}
	}
	return tap
}

// serveTap serves pushes until ctx ends. They don't see ctx: what is under way
// then has time to end. What came through is recorded to the last.
func (d *daemon) serveTap(ctx context.Context, group *errgroup.Group, l net.Listener) {
	tap, lim := d.engine.Tap(), tapLimits()
	lasting := context.WithoutCancel(ctx)
	serving, cut := context.WithCancel(lasting)
	recording, drained := context.WithCancel(lasting)
	clients := &leaving{next: tap}
	server, wait := d.newServer(serving, clients, lim)
	server.ConnState = clients.count
	server.DisableGeneralOptionsHandler = true // OPTIONS * is the receiver's to answer
	group.Go(func() error { return tap.Run(recording) })
	group.Go(func() error { return accept(server, l, lim) })
	group.Go(func() error {
		defer drained()
		defer wait()
		defer cut() // a receiver that does not answer holds nobody up
		<-ctx.Done()
		end := time.Now().Add(d.tapPatience())
		_ = l.Close() // accept ends; what connects now waits with systemd, or is refused
		clients.farewell(lasting)
		return shutdown(ctx, server, time.Until(end))
	})
}

// leaving is a handler that at the end tells each client that its connection is
// closed after this answer.
type leaving struct {
	next http.Handler
	gone atomic.Bool
	open atomic.Int64 // connections
}

func (v *leaving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.next.ServeHTTP(&leavingWriter{ResponseWriter: w, leaving: v}, r)
}

// count is told of every connection.
func (v *leaving) count(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		v.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		v.open.Add(-1)
	}
}

// farewell tells them until the last connection is closed, or for a while.
func (v *leaving) farewell(ctx context.Context) {
	v.gone.Store(true)
	ctx, cancel := context.WithTimeout(ctx, farewellTime)
	defer cancel()
	ticker := time.NewTicker(looking)
	defer ticker.Stop()
	for v.open.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// leavingWriter says it as late as can be: as the answer begins.
type leavingWriter struct {
	http.ResponseWriter
	leaving *leaving
}

func (w *leavingWriter) WriteHeader(status int) {
	if status >= http.StatusOK && w.leaving.gone.Load() {
		w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap keeps flushing and deadlines possible.
func (w *leavingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
