package state

import (
	"errors"
	"fmt"
	"time"
)

// Settle is [Store.Settle] for the run.
//
// A crash before the commit leaves the attempt open, and the event is sent again when the run is resumed.
func (q *Resends) Settle(o Outcome) (status Status, err error) {
	err = q.s.update(false, func(t *tx) error {
		status, err = q.settle(t, o)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("settle %q of run %d: %w", o.ID, q.id, err)
	}
	return status, nil
}

func (q *Resends) settle(t *tx, o Outcome) (Status, error) {
	r := q.land(t, o.ID)
	if err := q.learn(t, o.Receiver); err != nil || r == nil {
		return 0, err
	}
	run, err := t.run(q.id)
	lost := errors.Is(err, ErrNoRun) // pruned, or damaged: an event and its entity must not wait for what only counts them
	if err != nil && !lost {
		return 0, err
	}
	if q.shadow {
		o.Attempt.Answer = "" // it may hold what only the other receiver's owner may know, and is told nowhere
	}
	r.attempts = closeAttempt(r.attempts, o.Attempt)
	r.status, r.why, r.due = o.Status, o.Why, o.Due
	if o.Status == Replaying {
		return q.again(t, o.Now, r)
	}
	if err := q.toStory(t, o, run, r); err != nil {
		return 0, err
	}
	if lost {
		return o.Status, nil
	}
	if run, err = t.run(q.id); err != nil { // as that has changed it
		return 0, err
	}
	return o.Status, q.done(t, o, run, r)
}

// toStory tells the event itself what came of its forced replay.
func (q *Resends) toStory(t *tx, o Outcome, run Run, r *record) error {
	switch {
	case q.shadow:
		return nil
	case o.Status == Seen:
		return t.arrived(o.Now, run, r)
	}
	return t.refused(o.Now, run, r)
}

// learn keeps what an answer told about the receiver.
func (q *Resends) learn(t *tx, receiver *Receiver) error {
	if receiver == nil {
		return nil
	}
	if !q.shadow {
		return t.setReceiver(*receiver)
	}
	t.after(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.receiver = receiver.clone()
	})
	return nil
}

// again leaves an event to be tried once more, unless its run was cancelled.
func (q *Resends) again(t *tx, now time.Time, r *record) (Status, error) {
	b, key := t.sub(bucketResends, q.id), r.place().key()
	if b == nil {
		return Replaying, nil
	}
	stored, ok := resend(key, b.Get(key), true)
	if !ok {
		return Replaying, nil
	}
	if run, err := t.run(q.id); err == nil && !run.Cancelled.IsZero() {
		run.dropped(1)
		return Replaying, errors.Join(t.delete(b, key), t.endRun(now, run))
	}
	r.data = stored.data
	return Replaying, t.put(b, key, r.encode())
}

// done moves an event to those that a run has done with; its data goes.
func (q *Resends) done(t *tx, o Outcome, run Run, r *record) error {
	b, key := t.sub(bucketResends, q.id), r.place().key()
	resent, err := t.makeSub(bucketResent, q.id)
	if err != nil {
		return err
	}
	switch {
	case b != nil && b.Get(key) != nil:
		run.Waiting--
		err = t.delete(b, key)
	default: // the run was cancelled and resumed meanwhile, and has not found it again
		run.Planned++
	}
	if o.Status == Seen {
		run.Seen++
	} else {
		run.Dead++
		q.gaveUp(t, r)
	}
	r.data, r.at = nil, o.Now
	return errors.Join(err, t.put(resent, key, r.encode()), t.endRun(o.Now, run))
}

// gaveUp tells that a forced replay ended without success; the event stands as it did.
func (q *Resends) gaveUp(t *tx, r *record) {
	if q.shadow {
		return
	}
	if stands, err := t.standsAt(r.event()); err == nil {
		t.moved(Change{Type: r.kind, Created: r.created, From: stands, To: stands, Landed: Dead, GaveUp: true})
	}
}

// Release takes an intent back whose attempt was never sent; the event is due again at due.
func (q *Resends) Release(id string, due time.Time) error {
	err := q.s.update(false, func(t *tx) error {
		r := q.land(t, id)
		if r == nil {
			return nil
		}
		r.attempts = r.attempts[:max(0, len(r.attempts)-1)]
		r.sent--
		r.due = due
		_, err := q.again(t, due, r)
		return err
	})
	if err != nil {
		return fmt.Errorf("take the attempt of %q back: %w", id, err)
	}
	return nil
}
