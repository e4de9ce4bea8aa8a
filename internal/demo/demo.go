// Package demo shows the whole of backstop in one process: a stand-in for HeyGen
// that loses pushes, a small receiver, and the real daemon on real files in a
// temporary directory. It ends by itself, leaves nothing behind, and counts at
// the receiver, not in backstop's own books.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"backstop/internal/api"
	"backstop/internal/config"
	"backstop/internal/daemon"
	"backstop/internal/exit"
	"backstop/internal/receiver"
	"backstop/internal/secret"
	"backstop/internal/simulate"
)

// Options makes a demo.
type Options struct {
	Out      io.Writer
	Terminal bool   // draw a live picture; else plain lines
	Seed     uint64 // of the stand-in's fortune
	Version  string
	Logger   *slog.Logger // of the daemon; nil: what it logged is shown when the demo fails
}

// The demo's world: small enough to end in half a minute, large enough to lose
// something every time.
const (
	events     = 150
	perSecond  = 15
	lost       = 0.08
	settle     = 3 * time.Second
	limit      = 38 * time.Second
	secretText = "whsec_demo"
)

// Run runs the demo. It returns an error unless every event that the stand-in
// lists arrived at the receiver.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "backstop-demo-")
	if err != nil {
		return exit.Wrap(exit.Failed, "check the temporary directory", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	kept := new(tail)
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(kept, nil))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	d := &demo{options: o, dir: dir}
	err = d.run(ctx)
	if err != nil && ctx.Err() != context.Canceled {
		kept.show(o.Out)
	}
	return err
}

type demo struct {
	options  Options
	dir      string
	world    *simulate.World
	receiver *receiver.Receiver
	client   *api.Client // of the daemon
}

// run starts the three parts, watches until every event arrived or the time is
// up, and stops them in the order in which they would miss each other least.
func (d *demo) run(ctx context.Context) error {
	listing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	webhook, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, listing.Close())
	}
	defer webhook.Close() // served or not
	d.world = simulate.New(worldOptions(d.options.Seed, "http://"+webhook.Addr().String()+"/webhooks/heygen"))
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	group, running := errgroup.WithContext(running)
	serve(running, group, listing, d.world.Handler())
	ready := make(chan daemon.Addresses, 1)
	cfg := d.config(listing.Addr().String(), webhook.Addr().String())
	group.Go(func() error {
		return daemon.Run(running, daemon.Options{
			Config: cfg, Env: func(string) (string, bool) { return "", false }, Version: d.options.Version, Logger: d.options.Logger,
			Ready: func(a daemon.Addresses) { ready <- a },
		})
	})
	watched := d.watch(ctx, running, group, webhook, ready)
	stop()
	return errors.Join(watched, group.Wait())
}

func worldOptions(seed uint64, push string) simulate.Options {
	faults := simulate.Mild()
	faults.LateListingBy = 2 * time.Second
	return simulate.Options{
		Seed: seed, Rate: perSecond, Stop: events, PushURL: push, Secret: secretText,
		Lost: lost, Tries: 3, RetryMin: 200 * time.Millisecond, Late: simulate.MildLate, LateBy: time.Second, Doubled: simulate.MildDoubled, Faults: faults,
	}
}

// config is a configuration as a user would write it, with everything faster.
func (d *demo) config(listing, webhook string) *config.Config {
	cfg := config.Default()
	cfg.Heygen.BaseURL = "http://" + listing
	cfg.Heygen.APIKey = secret.Text("demo")
	cfg.Heygen.Rate = 20
	cfg.Receiver.URL = "http://" + webhook + "/webhooks/heygen"
	cfg.Receiver.Secrets = []secret.Secret{secret.Text(secretText)}
	cfg.Schedule.Poll = "@every 1s"
	cfg.Reconcile.Settle = settle
	cfg.Reconcile.Lookback = 30 * time.Second
	cfg.Replay.Rate = 2 // slow enough to be seen
	cfg.Replay.BackoffMin = time.Second
	cfg.State.Path = filepath.Join(d.dir, "backstop.db")
	cfg.Control = filepath.Join(d.dir, "control.sock")
	cfg.Admin.Listen = "127.0.0.1:0"
	return cfg
}

// watch waits for the daemon, lets the world begin, and shows what happens until
// every event arrived.
func (d *demo) watch(ctx, running context.Context, group *errgroup.Group, webhook net.Listener, ready <-chan daemon.Addresses) error {
	var where daemon.Addresses
	select {
	case where = <-ready:
	case <-running.Done():
		return nil // the group has the error
	case <-ctx.Done():
		return ctx.Err()
	}
	d.receiver = receiver.New(receiver.Options{Secrets: []string{secretText}, Report: "http://" + where.Admin + "/v1/seen"})
	d.client = api.Dial(where.Control)
	defer d.client.Close()
	serve(running, group, webhook, d.receiver.Handler())
	if err := d.firstPass(ctx); err != nil {
		return err
	}
	pushing, stopPushing := context.WithCancel(running)
	defer stopPushing()
	group.Go(func() error { return ended(d.world.Run(pushing)) })
	err := d.show(ctx)
	stopPushing()
	return errors.Join(err, d.prove(err))
}

// firstPass waits until the daemon has set its baseline, so that every event of
// the world is newer.
func (d *demo) firstPass(ctx context.Context) error {
	for d.client.Ready(ctx) != nil {
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return exit.Errorf(exit.Timeout, "run it again", "the daemon made no first pass")
		}
	}
	return nil
}

// ended takes the end of a context for what it is.
func ended(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func serve(ctx context.Context, group *errgroup.Group, l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	group.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
