// Package engine wires the parts together: from a configuration it builds the
// HeyGen client, the walkers, the judging and the replayer over one state, and
// offers what a user can ask for: a pass, a diff, a replay, a status. It holds
// no rule of its own about what is missed or how a walk proves itself, and it
// never listens on the network.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"backstop/internal/config"
	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/internal/metrics"
	"backstop/internal/notify"
	"backstop/poller"
	"backstop/reconcile"
	"backstop/state"
)

// Need says what a verb wants of the state file.
type Need int

// A verb creates the state, wants one that exists, or takes what there is.
const (
	Create   Need = iota // run, reconcile, seen: a missing state is a first run
	Existing             // events, explain, status: there must be one
	Optional             // diff, doctor: without a state nothing is known as seen
	Nothing              // doctor, where the state can't be opened
)

// Options makes an Engine.
type Options struct {
	Config  *config.Config
	Need    Need
	Version string
	Logger  *slog.Logger
	// Deep looks into a state file that is not as a clean stop left it, in a
	// child process; nil: it is not looked into.
	Deep func(ctx context.Context, path string) error
	// Metrics is told what is done, and asks how things stand. It serves one
	// Engine. nil: nobody counts.
	Metrics *metrics.Metrics

	// For tests: in the place of the network, and around every commit. nil in
	// production.
	API, Receiver, Notices http.RoundTripper
	Fault                  func(point string) error
}

// Engine is backstop without its listeners. Its methods may be called side by
// side.
type Engine struct {
	store   *state.Store // nil: a diff without a state
	log     *slog.Logger
	options Options
	started time.Time      // the first run's baseline is no later than this
	tap     *reconcile.Tap // nil: none is configured

	holdings *holdings // of the sources, those of earlier configurations included

	sweeping    sync.Mutex    // one sweep at a time, also while it gives way to polls
	turn        turn          // one walk at a time
	underWay    atomic.Uint64 // the backfill that holds backfilling; 0: none
	backfilling sync.Mutex    // one backfill at a time; beside the walks
	caughtUp    atomic.Bool   // a sweep missed before the start was looked for
	scheduled   atomic.Bool   // Run is at work, and with it the schedule
	running     atomic.Int32  // Runs under way: they tell of trouble beside their work
	runs        underWay      // the replay runs that a request of this process takes on

	mu    sync.Mutex
	parts *parts // guarded by mu; replaced whole by Reload
	last  lastPass
	// walking and moved tell a hanging engine from an idle one; guarded by mu.
	walking int
	moved   movement
}

// parts is what depends on the configuration and is built anew by a reload.
type parts struct {
	cfg      *config.Config
	client   *heygen.Client
	schedule *poller.Schedule
	sources  *reconcile.Sources
	replayer *reconcile.Replayer
	links    reconcile.Links // nil: they are sent as they are listed
	teller   *notify.Teller
	ping     *notify.Ping

	mu      sync.Mutex
	walkers []*poller.Walker   // guarded by mu; made once the baseline is known
	judging *reconcile.Judging // guarded by mu; likewise
}

// Open opens the state as the verb needs it and builds the parts. The caller
// closes the Engine.
func Open(o Options) (*Engine, error) {
	e := &Engine{log: o.Logger, options: o, started: time.Now(), holdings: newHoldings()}
	store, err := openState(o)
	if err != nil {
		return nil, explain(err)
	}
	e.store = store
	e.tap = e.newTap(o.Config)
	if e.parts, err = e.build(o.Config); err != nil {
		return nil, errors.Join(explain(err), e.Close())
	}
	e.show()
	return e, nil
}

func openState(o Options) (*state.Store, error) {
	options := StateOptions(o.Config, o.Logger)
	if o.Need == Nothing {
		return nil, nil
	}
	options.Deep, options.Fault, options.Observe = o.Deep, o.Fault, observer(o.Metrics)
	if o.Need == Create {
		return state.Open(options)
	}
	store, err := state.OpenExisting(options)
	if errors.Is(err, state.ErrMissing) && o.Need == Optional {
		return nil, nil
	}
	return store, err
}

// StateOptions says how the configuration wants its state opened.
func StateOptions(cfg *config.Config, log *slog.Logger) state.Options {
	return state.Options{
		Path:           cfg.State.Path,
		APIBase:        cfg.Heygen.BaseURL,
		MaxSize:        cfg.State.MaxSize,
		Retention:      cfg.State.Retention,
		CollapseWindow: cfg.Reconcile.CollapseWindow,
		Logger:         log,
	}
}

// Close closes the state. Walks and replays must have ended.
func (e *Engine) Close() error {
	closed := e.holdings.close()
	if e.store == nil {
		return closed
	}
	return explain(errors.Join(e.store.Close(), closed))
}

// Reload replaces what the configuration decides. State path, API base and the
// listeners stay as they are until a restart; the caller says so. The state is
// bound to its API base: another listing must not move its marks. A receiver that
// was found misconfigured is tried at once: that may be what was mended.
func (e *Engine) Reload(cfg *config.Config) error {
	kept := *cfg
	kept.Heygen.BaseURL = e.current().cfg.Heygen.BaseURL
	built, err := e.build(&kept)
	if err == nil {
		err = e.store.ProbeSoon(e.Now())
	}
	if err != nil {
		return explain(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.parts = built
	return nil
}

func (e *Engine) current() *parts {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.parts
}

// build makes the parts of one configuration.
func (e *Engine) build(cfg *config.Config) (*parts, error) {
	client, err := heygen.New(heygen.Options{
		BaseURL:     cfg.Heygen.BaseURL,
		APIKey:      cfg.Heygen.APIKey,
		AccessToken: cfg.Heygen.AccessToken,
		Timeout:     cfg.Heygen.Timeout,
		Rate:        cfg.Heygen.Rate,
		Version:     e.options.Version,
		Logger:      e.log,
		Transport:   e.options.API,
		Watch:       watch(e.options.Metrics),
	})
	if err != nil {
		return nil, fmt.Errorf("heygen client: %w", err)
	}
	schedule, err := poller.NewSchedule(cfg.Schedule.Poll, cfg.Schedule.Sweep, cfg.Schedule.Timezone, e.log)
	if err != nil {
		return nil, exit.Wrap(exit.Config, "", err)
	}
	p := &parts{cfg: cfg, client: client, schedule: schedule}
	if p.sources, err = e.newSources(cfg); err != nil {
		return nil, exit.Wrap(exit.Config, "", err)
	}
	if e.store == nil {
		return p, nil
	}
	options, err := e.replayOptions(cfg)
	if err != nil {
		return nil, exit.Wrap(exit.Config, "", err)
	}
	options.Sources = p.sources
	if before := e.current(); before != nil {
		options.Before = before.replayer
	}
	if p.links, err = e.links(cfg, client); err != nil {
		return nil, err
	}
	options.Links = p.links
	p.replayer = reconcile.NewReplayer(e.store, options)
	p.teller, p.ping = e.newTeller(cfg), e.newPing(cfg)
	return p, nil
}

func (e *Engine) replayOptions(cfg *config.Config) (reconcile.ReplayOptions, error) {
	headers, err := cfg.Receiver.HeaderValues()
	if err != nil {
		return reconcile.ReplayOptions{}, fmt.Errorf("receiver headers: %w", err)
	}
	o := e.sending(cfg)
	o.URL, o.Headers = cfg.Receiver.URL, headers
	o.Secrets = func() ([]string, error) { return secretValues(cfg.Receiver.Secrets) }
	o.Observe = e.failed(attempts(e.options.Metrics))
	return o, nil
}

// sending is how events are sent, whoever the receiver is.
func (e *Engine) sending(cfg *config.Config) reconcile.ReplayOptions {
	return reconcile.ReplayOptions{
		Body:        cfg.Receiver.Body,
		Timeout:     cfg.Receiver.Timeout,
		BackoffMin:  cfg.Replay.BackoffMin,
		BackoffMax:  cfg.Replay.BackoffMax,
		Rate:        cfg.Replay.Rate,
		Concurrency: cfg.Replay.Concurrency,
		MaxAttempts: cfg.Replay.MaxAttempts,
		Version:     e.options.Version,
		Transport:   e.options.Receiver,
		Logger:      e.log,
	}
}
