package main_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"backstop/internal/config"
	"backstop/internal/engine"
	"backstop/internal/secret"
	"backstop/internal/simulate"
	"backstop/reconcile"
	"backstop/state"
)

// wire carries HTTP in memory: real sockets hang in a bubble. It is a listener
// and what is dialled to reach it.
type wire struct {
	conns chan net.Conn
	ended chan struct{}
	end   sync.Once

	mu     sync.Mutex
	down   bool
	turned []time.Time // connections that were refused
	open   []net.Conn  // the receiver's ends of connections
}

// overWire serves a handler until the test ends, and gives the way to it.
func overWire(t *testing.T, h http.Handler) (*wire, *http.Transport) {
	w := &wire{conns: make(chan net.Conn), ended: make(chan struct{})}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	var served sync.WaitGroup
	served.Go(func() {
		if err := server.Serve(w); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	way := &http.Transport{DialContext: w.dial, MaxIdleConnsPerHost: 16}
	t.Cleanup(func() {
		way.CloseIdleConnections()
		_ = server.Close() // whatever is still connected is cut off
		served.Wait()
	})
	return w, way
}

func (w *wire) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	w.mu.Lock()
	down := w.down
	if down {
		w.turned = append(w.turned, time.Now())
	}
	w.mu.Unlock()
	if down {
		return nil, fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	}
	ours, theirs := net.Pipe()
	select {
	case w.conns <- theirs:
		w.mu.Lock()
		w.open = append(w.open, theirs)
		w.mu.Unlock()
		return ours, nil
	case <-w.ended:
		return nil, fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.ended:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error {
	w.end.Do(func() { close(w.ended) })
	return nil
}

func (w *wire) Addr() net.Addr { return &net.UnixAddr{Name: "wire", Net: "unix"} }

// refuse turns every new connection away and ends those there are, or stops doing so.
func (w *wire) refuse(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	if down {
		for _, c := range w.open {
			_ = c.Close() // one that is closed already is closed
		}
		w.open = nil
	}
}

func (w *wire) refused() []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]time.Time(nil), w.turned...)
}

// bubble is a HeyGen whose pushes get lost, a hostile receiver, and the whole
// engine between them with its schedule and a real state, in simulated time.
type bubble struct {
	t        *testing.T
	cfg      *config.Config
	engine   *engine.Engine
	receiver *hostile
	wire     *wire
	heygen   *simulate.World
	asked    atomic.Int64 // requests for a page
	order    map[string]int
	reloads  int
	stop     func(cause error)
}

// newBubble makes the world with so many events that wait. World and config may
// be changed before anything begins; nil changes nothing.
func newBubble(t *testing.T, events int, behave func(*bubble, arrival) reply, world func(*simulate.Options), change func(*config.Config)) *bubble {
	time.Sleep(time.Until(time.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC))) // events are dated in our time
	b := &bubble{t: t, cfg: bubbleConfig(t), order: map[string]int{}}
	if change != nil {
		change(b.cfg)
	}
	b.receiver = newHostile(hostileSecret, b.cfg.Receiver.Timeout, func(a arrival) reply { return behave(b, a) })
	b.receiver.least = 300 * time.Millisecond // so that POSTs meet there
	options := simulate.Options{Seed: 1, PushURL: "http://receiver.test/", Lost: 1}
	if world != nil {
		world(&options)
	}
	b.heygen = simulate.New(options)
	for i := range events {
		e := missedEvent(t, b.heygen, time.Now().Add(-time.Duration(events)*time.Second-time.Hour), i, events)
		b.order[e.ID] = i
	}
	b.open()
	return b
}

func bubbleConfig(t *testing.T) *config.Config {
	cfg := config.Default()
	cfg.Heygen.BaseURL = "http://api.heygen.test"
	cfg.Heygen.APIKey = secret.Text("hk_hostile")
	cfg.Receiver.URL = "http://receiver.test/hook"
	cfg.Receiver.Secrets = []secret.Secret{secret.Text(hostileSecret)}
	cfg.Reconcile.Start.Beginning = true
	cfg.Reconcile.CollapseWindow = 0
	cfg.State.Path = filepath.Join(t.TempDir(), "backstop.db")
	return cfg
}

// open makes the engine, paired, and lets HeyGen live.
func (b *bubble) open() {
	api := b.heygen.Handler()
	_, listing := overWire(b.t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		api.ServeHTTP(rw, r)
	}))
	wire, way := overWire(b.t, b.receiver)
	b.wire = wire
	e, err := engine.Open(engine.Options{Config: b.cfg, Logger: slog.New(slog.DiscardHandler), API: listing, Receiver: way})
	if err != nil {
		b.t.Fatal(err)
	}
	b.engine = e
	if _, err := e.Record([]state.Sighting{{ID: "evt_pairing", At: time.Now(), Proof: state.Report}}); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	var making sync.WaitGroup
	making.Go(func() {
		if err := b.heygen.Run(ctx); err != nil {
			b.t.Errorf("simulate: %v", err)
		}
	})
	b.t.Cleanup(func() {
		cancel()
		making.Wait()
		if err := e.Close(); err != nil {
			b.t.Error(err)
		}
	})
}

// run starts what the daemon runs, until stop or the test's end.
func (b *bubble) run() {
	ctx, cancel := context.WithCancelCause(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.engine.Run(ctx) }() // ends with ctx; stop waits for it
	var once sync.Once
	b.stop = func(cause error) {
		once.Do(func() {
			cancel(cause)
			if err := <-done; err != nil {
				b.t.Errorf("run: %v", err)
			}
		})
	}
	b.t.Cleanup(func() { b.stop(nil) })
}

// flap lets the receiver be up and down by turns until the test ends. It is down
// first. The result counts how often.
func (b *bubble) flap(each time.Duration) (flaps func() int) {
	ctx, cancel := context.WithCancel(b.t.Context())
	var n atomic.Int64
	var flapping sync.WaitGroup
	flapping.Go(func() {
		for {
			b.wire.refuse(true)
			n.Add(1)
			if !pause(ctx, each) {
				return
			}
			b.wire.refuse(false)
			pause(ctx, each)
		}
	})
	b.t.Cleanup(func() { cancel(); flapping.Wait() })
	return func() int { return int(n.Load()) }
}

// reload does what the daemon does at a SIGHUP.
func (b *bubble) reload(change func(*config.Config)) {
	cfg := *b.cfg
	change(&cfg)
	b.stop(reconcile.ErrHandOver)
	if err := b.engine.Reload(&cfg); err != nil {
		b.t.Fatal(err)
	}
	b.reloads++
	b.run()
}

// settle lets time pass until nothing is left to do.
func (b *bubble) settle(limit time.Duration) {
	b.t.Helper()
	events := len(b.heygen.Listed())
	for begun := time.Now(); ; time.Sleep(20 * time.Second) {
		status, err := b.engine.Status()
		if err != nil {
			b.t.Fatal(err)
		}
		c := status.Counts
		if int(c["seen"]+c["dead"]) == events {
			break
		}
		if time.Since(begun) > limit {
			b.t.Fatalf("after %s: %v of %d events", limit, c, events)
		}
	}
	b.stop(nil)
}

// judge has the validator look at the receiver's log.
func (b *bubble) judge() {
	var waiting []simulate.Event
	for _, id := range b.heygen.Listed() {
		e, _ := b.heygen.Event(id)
		waiting = append(waiting, e)
	}
	wrong, met := trial{
		events: waiting, log: b.receiver.all(), turned: b.wire.refused(), concurrency: b.cfg.Replay.Concurrency,
		rate: b.cfg.Replay.Rate, reloads: b.reloads, exact: true, spare: 0, unsigned: b.reloads > 0,
	}.judge()
	for _, one := range wrong[:min(len(wrong), 20)] {
		b.t.Error(one)
	}
	b.t.Logf("%s; %d connections refused", met, len(b.wire.refused()))
}
