package engine

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"backstop/state"
)

// Run is the daemon's work: scheduled passes and a replayer that never ends. It
// returns when ctx ends, after the pass and the answers in flight, or when the
// state can no longer be written to. Each call serves the configuration of its
// start; after Reload it is ended and called again.
func (e *Engine) Run(ctx context.Context) error {
	e.scheduled.Store(true)
	defer e.scheduled.Store(false)
	p := e.current()
	e.running.Add(1)
	defer e.running.Add(-1)
	p.teller.Begin()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.schedule.Run(ctx, e.job) })
	group.Go(func() error { return p.replayer.Run(ctx) })
	group.Go(func() error { return p.teller.Run(ctx) })
	group.Go(func() error { return p.ping.Run(ctx) })
	group.Go(func() error { return e.watch(ctx) })
	err := group.Wait()
	if errors.Is(err, context.Canceled) && e.store.Err() == nil {
		return nil
	}
	return explain(err)
}

// job is one tick of the schedule. Its error was noted and logged by the pass.
func (e *Engine) job(ctx context.Context, kind state.Kind) {
	if kind == state.Sweep {
		_, _ = e.Sweep(ctx)
		return
	}
	_, _ = e.Poll(ctx)
	if e.sweepOverdue(time.Now()) {
		_, _ = e.Sweep(ctx)
	}
}

// sweepOverdue reports, once in a process, that a sweep was due while none ran:
// a daily one must not be put off by a restart each day.
func (e *Engine) sweepOverdue(now time.Time) bool {
	if !e.caughtUp.CompareAndSwap(false, true) {
		return false
	}
	since, _ := e.store.Baseline()
	for _, q := range queries(e.current().cfg) {
		position, err := e.store.Position(q, state.Sweep)
		if err != nil || position.Completed.IsZero() {
			continue
		}
		since = position.Completed
		break
	}
	_, due := e.current().schedule.Next(since)
	return !since.IsZero() && due.Before(now)
}

// watch ends the run when the state latches: what the file holds is not known
// then, and only a restart that reads it again may go on.
func (e *Engine) watch(ctx context.Context) error {
	select {
	case <-e.store.Failed():
		return e.store.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Failed is closed when the state can't be written to any more; Err tells why.
func (e *Engine) Failed() <-chan struct{} { return e.store.Failed() }

// Err tells why the state can't be written to any more; nil while it can.
func (e *Engine) Err() error { return explain(e.store.Err()) }

// patience is how long a pass may go without a request, and how long a due poll
// may fail to come. The slowest honest step is a request with all its retries.
const patience = 10 * time.Minute

// Stuck tells why the engine seems to hang, "" when it moves. It asks the state,
// so that a state which hangs is noticed by whoever waits for the answer.
func (e *Engine) Stuck(now time.Time) string {
	_ = e.store.Counts()
	p := e.current()
	e.mu.Lock()
	defer e.mu.Unlock()
	if requests := p.client.Requests(); requests != e.moved.requests || e.moved.at.Before(e.last.pass.End) || e.moved.at.IsZero() {
		e.moved = movement{requests: requests, at: now}
	}
	still := now.Sub(e.moved.at)
	if e.walking > 0 && still > patience {
		return "a pass has made no request for " + still.Round(time.Second).String()
	}
	next, _ := p.schedule.Next(e.moved.at)
	if late := now.Sub(next); e.walking == 0 && late > patience {
		return "the poll that was due is late by " + late.Round(time.Second).String()
	}
	return ""
}

// movement is when the engine was last seen to move.
type movement struct {
	requests int64
	at       time.Time
}
