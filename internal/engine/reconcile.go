package engine

import (
	"context"
	"errors"
	"time"

	"backstop/internal/exit"
	"backstop/state"
)

// ReconcileRequest asks for one pass and the replays that are due.
type ReconcileRequest struct {
	Sweep   bool          `json:"sweep,omitempty"`
	Wait    bool          `json:"wait,omitempty"`    // until nothing is missed or replaying
	Timeout time.Duration `json:"timeout,omitempty"` // of the wait; 0: none
}

// Reconciled is how a reconcile ended.
type Reconciled struct {
	Pass      Pass      `json:"pass"`
	Replayed  int       `json:"replayed"`
	Missed    int64     `json:"missed"`             // left missed
	Replaying int64     `json:"replaying"`          // left between two attempts
	Withheld  int64     `json:"withheld,omitempty"` // of the missed ones: a person must say replay or ignore
	Dead      int64     `json:"dead"`
	Settling  int64     `json:"settling"`
	Listed    int64     `json:"listed,omitempty"`         // a source could not answer
	Next      time.Time `json:"next_attempt_at,omitzero"` // the earliest of what is left replaying; zero: nobody can tell
	Held      string    `json:"held,omitempty"`           // why replaying stands still; empty: it does not
}

// Reconcile makes one pass and sends what is due. What is left missed or dead is
// an error with the code Differences, beside the result.
func (e *Engine) Reconcile(ctx context.Context, r ReconcileRequest) (Reconciled, error) {
	e.current().teller.Begin()
	defer e.tellNow(ctx)
	pass, passErr := e.poll(ctx, r.Sweep)
	defer e.keepWalking(ctx)()
	sent, drainErr := e.drain(ctx)
	if r.Wait && passErr == nil && drainErr == nil {
		var more int
		more, drainErr = e.wait(ctx, r.Timeout)
		sent += more
	}
	result := e.outcome(pass, sent)
	result.Next = e.nextAttempt(ctx)
	if passErr == nil { // else it says so itself
		drainErr = errors.Join(drainErr, e.sourceError())
	}
	return result, errors.Join(passErr, drainErr, result.differences(e.withheldHint(result.Withheld)))
}

func (e *Engine) poll(ctx context.Context, sweep bool) (Pass, error) {
	if sweep {
		return e.Sweep(ctx)
	}
	return e.Poll(ctx)
}

// keepWalking polls when the schedule says so, until the function that it gives
// is called: a run without a daemon sends for as long as the receiver takes, and
// another one can't begin meanwhile. Beside a daemon that is done already.
func (e *Engine) keepWalking(ctx context.Context) (stop func()) {
	if e.scheduled.Load() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // ends with stop, which waits for it
		defer close(done)
		for {
			next, _ := e.current().schedule.Next(time.Now())
			if pause(ctx, time.Until(next)) != nil {
				return
			}
			_, _ = e.Poll(ctx) // noted and logged
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// drain sends what is due now and tells how many events the receiver took. What
// the daemon's own replayer has in flight is due, too: its answers are awaited.
func (e *Engine) drain(ctx context.Context) (int, error) {
	replayer := e.current().replayer
	drained, err := replayer.Drain(ctx)
	for err == nil && replayer.InFlight() > 0 {
		err = pause(ctx, 20*time.Millisecond)
	}
	if err == nil { // it may have latched at what the daemon's replayer wrote: nothing more will be sent
		err = e.store.Err()
	}
	return drained.Seen, explain(err)
}

// wait drains until nothing is missed or replaying but what is withheld, or
// replaying stands still.
func (e *Engine) wait(caller context.Context, limit time.Duration) (int, error) {
	ctx := caller
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	sent := 0
	for e.unfinished() && e.held() == "" {
		if err := pause(ctx, e.untilDue()); err != nil {
			if caller.Err() != nil {
				return sent, explain(caller.Err())
			}
			return sent, exit.Errorf(exit.Timeout, "give --timeout more time, or look at `backstop events --status missed,replaying`",
				"events are still missed or replaying after %s", limit)
		}
		n, err := e.drain(ctx)
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

func (e *Engine) unfinished() bool {
	counts := e.store.Counts()
	return counts.Status[state.Missed]+counts.Status[state.Replaying]-counts.Withheld > 0
}

// untilDue is a wait that is short enough to be unnoticed and long enough not to
// turn in circles.
func (e *Engine) untilDue() time.Duration {
	return min(time.Second, max(50*time.Millisecond, e.current().cfg.Replay.BackoffMin/4))
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

// held tells why nothing is replayed, or "" when replaying goes on.
func (e *Engine) held() string { return e.current().replayer.Paused() }

func (e *Engine) outcome(pass Pass, sent int) Reconciled {
	all := e.store.Counts()
	counts := all.Status
	return Reconciled{
		Pass: pass, Replayed: sent, Missed: counts[state.Missed], Replaying: counts[state.Replaying],
		Dead: counts[state.Dead], Settling: counts[state.Settling], Held: e.held(),
		Withheld: all.Withheld, Listed: counts[state.Listed],
	}
}

// nextAttempt is when the first of the events that wait for another attempt is due;
// while the receiver is down, when it is tried.
func (e *Engine) nextAttempt(ctx context.Context) (next time.Time) {
	if o := e.current().replayer.Outage(); o.Answer != "" {
		return o.Next
	}
	waiting := state.Filter{Status: []state.Status{state.Replaying}}
	err := e.store.Events(ctx, waiting, func(row state.Row) error {
		if next.IsZero() || row.Due.Before(next) {
			next = row.Due
		}
		return nil
	})
	if err != nil {
		return time.Time{}
	}
	return next
}

// differences is the error of a run that left events missed or dead.
func (r Reconciled) differences(withheld string) error {
	missed := r.Missed + r.Replaying
	if missed+r.Dead == 0 {
		return nil
	}
	hint := "see `backstop events --status missed,replaying,dead`"
	if withheld != "" {
		hint = withheld
	}
	switch {
	case r.Held != "":
		hint = r.Held + "; " + hint
	case !r.Next.IsZero():
		hint = "the next attempt is due at " + r.Next.UTC().Format(time.RFC3339) + "; " + hint
	}
	return exit.Errorf(exit.Differences, hint, "%d missed, %d dead", missed, r.Dead)
}
