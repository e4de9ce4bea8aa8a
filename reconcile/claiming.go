package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"backstop/state"
)

// claim asks the state for the next event, of those that were asked for, once the sources were asked about it. With a claim
// comes the duty to settle or release it. Without one, wait is how long nothing will be due; 0: until somebody says so. It is
// errPaced when the pace must be waited for.
func (r *Replayer) claim(ctx context.Context, exclude map[string]bool, by byHand) (c *state.Claim, secrets []string, wait time.Duration, err error) {
	r.claiming.Lock()
	defer r.claiming.Unlock()
	for {
		now := time.Now()
		p := r.permit(now, by.probe)
		r.noteHold(p.hold)
		if !p.may() {
			return nil, nil, p.wait, nil
		}
		rules := state.ClaimRules{
			Now: now, Lane: r.lanes.next(), Manual: p.manual || by.manual, Probe: p.probe, Exclude: exclude, Asked: r.asking.fresh(r.options.Sources, now, r.freshness()),
			BackoffMin: r.limits.BackoffMin, BackoffMax: r.limits.BackoffMax, Next: r.limits.backoff,
		}
		if by.from != nil {
			rules.Asked = nil // it was asked for whatever the sources say
		}
		if wait, _ := r.pace.until(now); wait > 0 {
			return nil, nil, wait, r.paced(rules, by)
		}
		c, wait, err = r.claimBy(rules, by)
		if !errors.Is(err, state.ErrAsk) {
			return c, p.secrets, wait, err
		}
		// A question takes its time: whether anything may be sent is looked at anew after it.
		if wait, err := r.ask(ctx, rules); wait > 0 || err != nil {
			return nil, nil, wait, err
		}
	}
}

// paced is errPaced when there is an event to wait for the pace with.
func (r *Replayer) paced(rules state.ClaimRules, by byHand) error {
	due, err := r.queue(by).Due(rules, 1)
	switch {
	case err != nil:
		return fmt.Errorf("look for the next event to replay: %w", err)
	case len(due) > 0:
		return errPaced
	}
	return nil
}

// claimBy claims the next event. The intent: a crash after it and before the
// outcome leaves an open attempt, and the event is sent again when its backoff
// is over.
func (r *Replayer) claimBy(rules state.ClaimRules, by byHand) (c *state.Claim, wait time.Duration, err error) {
	c, wait, err = r.queue(by).Claim(rules)
	switch {
	case errors.Is(err, state.ErrFull):
		r.stop(err.Error(), rules.Now.Add(lookAgain))
		return nil, 0, nil
	case errors.Is(err, state.ErrAsk):
		return nil, 0, err
	case err != nil:
		return nil, 0, fmt.Errorf("claim the next event to replay: %w", err)
	case c == nil:
		return nil, wait, nil
	}
	if by.from == nil {
		r.lanes.took()
	}
	r.pace.take(time.Now())
	r.fly(1)
	return c, 0, nil
}
