package reconcile

import (
	"context"
	"fmt"
	"time"

	"backstop/state"
)

// deliver makes one claimed attempt and writes down what came of it. Once ctx has
// ended no POST is begun whose links are still being looked up: the attempt is
// taken back, with errUnsent. A POST that was begun has until sending ends.
func (r *Replayer) deliver(ctx, sending context.Context, q Queue, c *state.Claim, secrets []string) (state.Status, error) {
	note, status, err := r.renew(ctx, q, c)
	if err != nil {
		return status, err
	}
	a := r.sender.Send(sending, Message{Event: c.Event, Attempt: c.Attempt, Reason: c.Reason, Secrets: secrets})
	a.Note = note
	r.log.Debug("replay attempt", "event_id", c.Event.ID, "attempt", c.Attempt, "answer", a.String(), "latency", a.Latency)
	return r.settle(q, c, a)
}

// settle decides and writes. The receiver that a decision starts from must be
// the one that the decision before left, so this is one step.
func (r *Replayer) settle(q Queue, c *state.Claim, a Answer) (state.Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	before := r.home.Receiver()
	out := Decide(*c, a, before, r.limits, now)
	// The outcome: a crash before it leaves the attempt open; a crash after
	// it, nothing to repair.
	status, err := q.Settle(out)
	if err != nil {
		return 0, fmt.Errorf("settle replay of %s: %w", c.Event.ID, err)
	}
	if status == state.Dead && out.Status == state.Dead { // else it was before, and a cancel took its replay back
		r.log.Warn(r.givenUp(q), "event_id", c.Event.ID, "reason", out.Why)
	}
	r.edges(c.Event.ID, before, out, a, now)
	return status, nil
}

// givenUp is what the log says of an event that was sent for the last time.
func (r *Replayer) givenUp(q Queue) string {
	switch {
	case r.store == nil:
		return "a shadow replay was given up, the event stands as it was"
	case q != r.home:
		return "a forced replay was given up, the event stands as it was: see backstop explain"
	}
	return "event is dead: it waits for a person, see backstop explain"
}

// edges takes in what the answer says of the receiver, and logs when it stops
// and starts to work.
func (r *Replayer) edges(id string, before state.Receiver, out state.Outcome, a Answer, now time.Time) {
	if a.Err != wordStopped {
		r.outage.note(id, a, r.limits, now, r.log)
		r.pace.note(a, r.outage.down, now)
	}
	if out.Receiver == nil {
		return
	}
	switch was, is := before.Misconfigured, out.Receiver.Misconfigured; {
	case was == "" && is != "":
		r.log.Warn("receiver misconfigured: replaying paused, one probe at a time", "reason", is)
	case was != "" && is == "":
		r.log.Info("receiver accepts again: replaying resumed", "probes", before.Probes, "after", now.Sub(before.Since).Round(time.Second))
	case was != is:
		r.log.Warn("receiver still misconfigured, in another way", "reason", is)
	}
}
