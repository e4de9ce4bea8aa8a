// Package daemon is `backstop run`: it holds the state, opens the listeners, and
// keeps the engine running through reloads until a signal or a state that can't
// be written to ends it. What the engine does is none of its business.
package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"backstop/internal/api"
	"backstop/internal/config"
	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/internal/metrics"
	"backstop/reconcile"
)

// Options makes a daemon.
type Options struct {
	Config  *config.Config
	Load    func() (*config.Config, error)            // reads the configuration anew; nil: it is never reloaded
	Reload  <-chan os.Signal                          // asks for Load; nil: nobody does
	Env     func(string) (string, bool)               // the environment
	Level   *slog.LevelVar                            // of Logger; nil: a reload leaves it alone
	Deep    func(ctx context.Context, p string) error // see engine.Options
	Ready   func(Addresses)                           // called once it serves; nil: nobody asks
	Version string
	Logger  *slog.Logger
}

// Addresses is where a daemon listens; an empty one is not listened on.
type Addresses struct {
	Control string
	Admin   string
	Tap     string
}

// Run is the daemon. It returns nil after ctx ended, with the work in flight
// done, and an error when it could not start or the state failed.
func Run(ctx context.Context, o Options) (err error) {
	syscall.Umask(0o077) // sockets and files are the owner's alone, from their first moment
	e, err := engine.Open(engine.Options{
		Config: o.Config, Need: engine.Create, Version: o.Version, Logger: o.Logger, Deep: o.Deep, Metrics: metrics.New(o.Version),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	d := &daemon{options: o, engine: e, log: o.Logger}
	d.config.Store(o.Config)
	return d.run(ctx)
}

type daemon struct {
	options Options
	engine  *engine.Engine
	log     *slog.Logger
	config  atomic.Pointer[config.Config] // the one in force
}

func (d *daemon) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	where, err := d.listen(ctx, group)
	if err != nil {
		return errors.Join(err, stop(group))
	}
	d.greet(where)
	notify("READY=1")
	context.AfterFunc(ctx, func() {
		notify("STOPPING=1")
		d.log.Info("backstop stops: what is in flight is awaited")
	})
	group.Go(func() error { return d.watchdog(ctx) })
	group.Go(func() error { return d.work(ctx) })
	return d.await(group)
}

// await waits until all that was started has ended. A file that was damaged under
// the process may keep some of it waiting for ever; that is left behind.
func (d *daemon) await(group *errgroup.Group) error {
	ended := make(chan error, 1)
	go func() { ended <- group.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-d.engine.Failed():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(max(drainTime, d.tapPatience()) + 2*time.Second):
		return d.engine.Err()
	}
}

// stop ends what was started before something failed.
func stop(group *errgroup.Group) error {
	group.Go(func() error { return errStopping })
	if err := group.Wait(); !errors.Is(err, errStopping) {
		return err
	}
	return nil
}

var errStopping = errors.New("stopping")

// listen opens the listeners and serves them.
func (d *daemon) listen(ctx context.Context, group *errgroup.Group) (where Addresses, err error) {
	if where, err = d.listenOwn(ctx, group); err != nil {
		return where, err
	}
	where.Tap, err = d.listenTap(ctx, group)
	return where, err
}

// listenOwn opens the control socket and the admin listener and serves them.
func (d *daemon) listenOwn(ctx context.Context, group *errgroup.Group) (Addresses, error) {
	cfg := d.options.Config
	where := Addresses{Control: cfg.ControlSocket(d.options.Env), Admin: cfg.Admin.Listen}
	control, err := listenUnix(where.Control)
	if err != nil {
		return where, exit.Wrap(exit.Failed, "set control: to a path that the daemon may write to", err)
	}
	d.serve(ctx, group, control, api.Handler(d.engine, true), controlLimits())
	if where.Admin == "" {
		return where, nil
	}
	admin, err := listenAdmin(where.Admin)
	if err != nil {
		return where, exit.Wrap(exit.Failed, "set admin.listen to a free address, or to \"\" for none", err)
	}
	where.Admin = admin.Addr().String()
	d.serve(ctx, group, admin, api.Admin(d.engine, d.adminOptions()), adminLimits())
	return where, nil
}

// adminOptions read the configuration in force, so that a reload needs no new
// listener.
func (d *daemon) adminOptions() api.AdminOptions {
	return api.AdminOptions{
		Hosts: func() []string { return d.config.Load().Admin.Hosts },
		Token: func() (string, error) { return d.config.Load().Admin.Token.Value() },
	}
}

func (d *daemon) greet(where Addresses) {
	cfg := d.config.Load()
	d.log.Info("backstop runs", "version", d.options.Version, "state", cfg.State.Path, "control", where.Control,
		"admin", where.Admin, "tap", where.Tap, "receiver", heygen.CutURLs(cfg.Receiver.URL), "listing", cfg.Heygen.BaseURL)
	if cfg.Receiver.URL == "" {
		d.log.Warn("receiver.url is empty: backstop watches and replays nothing")
	}
	if proxy, ok := d.options.Env("HTTPS_PROXY"); ok && proxy != "" {
		d.log.Warn("HTTPS_PROXY is set: requests go through it", "proxy", heygen.CutURLs(proxy))
	}
	if d.options.Ready != nil {
		d.options.Ready(where)
	}
}

// work runs the engine, and runs it again with every new configuration.
func (d *daemon) work(ctx context.Context) error {
	for {
		serving, cancel := context.WithCancelCause(ctx)
		reload := make(chan *config.Config, 1)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if cfg := d.awaitReload(serving); cfg != nil {
				reload <- cfg
				cancel(reconcile.ErrHandOver)
			}
		}()
		err := d.engine.Run(serving)
		cancel(nil)
		<-done
		if err != nil {
			return err
		}
		select {
		case cfg := <-reload:
			d.adopt(cfg)
		default:
			return errors.Join(err, endedEarly(ctx))
		}
	}
}

// endedEarly is an error where the engine returned although nobody asked.
func endedEarly(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	return errors.New("the engine ended by itself: start backstop again and report this")
}

// awaitReload waits for a request to reload that gives a good configuration; nil
// when ctx ends first. A bad file keeps the one in force.
func (d *daemon) awaitReload(ctx context.Context) *config.Config {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.options.Reload:
		}
		cfg, err := d.options.Load()
		if err != nil {
			d.refuse(err)
			continue
		}
		return cfg
	}
}

// refuse logs why a configuration was not taken, a line for each mistake.
func (d *daemon) refuse(err error) {
	var several *config.Errors
	if !errors.As(err, &several) {
		d.log.Error("configuration not reloaded; the old one stays in force", "error", err)
		return
	}
	for _, mistake := range several.Mistakes {
		d.log.Error("configuration not reloaded; the old one stays in force", "mistake", mistake.String())
	}
}

// adopt puts a new configuration in force, and names what needs a restart.
func (d *daemon) adopt(cfg *config.Config) {
	if err := d.engine.Reload(cfg); err != nil {
		d.refuse(err)
		return
	}
	d.config.Store(cfg)
	before := d.options.Config // what runs until a restart
	if d.options.Level != nil {
		d.options.Level.Set(cfg.Log.Level)
	}
	d.log.Info("configuration reloaded", "file", cfg.File)
	for key, changed := range map[string]bool{
		"heygen.base_url": before.Heygen.BaseURL != cfg.Heygen.BaseURL,
		"state":           before.State != cfg.State,
		"control":         before.Control != cfg.Control,
		"admin.listen":    before.Admin.Listen != cfg.Admin.Listen,
		"seen: tap":       tapAddress(before) != tapAddress(cfg),
	} {
		if changed {
			d.log.Warn("this change needs a restart", "key", key)
		}
	}
}
