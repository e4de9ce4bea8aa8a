package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"backstop/state"
)

// errUnsent says that an attempt was taken back before its POST.
var errUnsent = errors.New("not sent")

// freshness is how old the answer of a source may be when an event is claimed:
// young enough that it still is when the links have been looked up.
func (r *Replayer) freshness() time.Duration {
	if r.options.Links == nil {
		return freshFor
	}
	return freshFor - LookUpBudget
}

// renew puts links that work into a claimed event, for this attempt alone: what
// the state keeps stays as it was listed. A look-up takes its time. Where the
// event was finished meanwhile, or whoever sends has been told to end, the
// attempt is taken back, with errUnsent.
//
// A crash before that leaves an open attempt, as any crash before an outcome.
func (r *Replayer) renew(ctx context.Context, q Queue, c *state.Claim) (note string, status state.Status, err error) {
	if r.options.Links == nil {
		return "", 0, nil
	}
	data, note := r.options.Links.Renew(ctx, c.Event)
	if note == "" {
		return "", 0, nil
	}
	status, err = q.Claimed(c.Event.ID)
	switch {
	case err != nil:
		return "", 0, fmt.Errorf("look at %s again: %w", c.Event.ID, err)
	case ctx.Err() == nil && status == state.Replaying:
		c.Event.Data = data
		return note, 0, nil
	}
	if err := q.Release(c.Event.ID, time.Now()); err != nil {
		return "", 0, err
	}
	return "", status, errUnsent
}
