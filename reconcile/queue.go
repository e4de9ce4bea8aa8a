package reconcile

import (
	"context"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// Queue is what a Replayer sends from: the ordinary one of the state, or what a
// run has to send. A claim is written down before the attempt, and ends with
// Settle or Release; an error of any of them says that the state can't be read or
// written.
type Queue interface {
	Claim(r state.ClaimRules) (c *state.Claim, wait time.Duration, err error)
	Settle(o state.Outcome) (state.Status, error)
	Release(id string, due time.Time) error

	Due(r state.ClaimRules, limit int) ([]heygen.Event, error) // the first in turn, and maybe more that are due; none: nothing is
	Claimed(id string) (state.Status, error)                   // where an event stands that was claimed; Replaying: it is still to be sent

	Receiver() state.Receiver // what was learned about the receiver
	Paired() bool             // false: only what a person asked for is sent
	Counts() state.Counts     // what waits
}

// queue is what a drain sends from.
func (r *Replayer) queue(by byHand) Queue {
	if by.from != nil {
		return by.from
	}
	return r.home
}

// DrainFrom is a DrainManual of another queue: workers, rate and what is known of
// the receiver are shared with all that the Replayer sends.
func (r *Replayer) DrainFrom(ctx context.Context, q Queue, probe bool) (Drained, error) {
	return r.drain(ctx, byHand{manual: true, probe: probe, from: q})
}

// NewShadow makes a Replayer of its own for a queue that goes to another receiver.
// Its options tell of no sources: nobody is asked what that one has.
func NewShadow(q Queue, o ReplayOptions) *Replayer {
	o.Sources = nil
	return newReplayer(q, o)
}
