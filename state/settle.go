package state

import (
	"fmt"
	"time"
)

// Outcome is what became of an attempt.
type Outcome struct {
	ID       string
	Now      time.Time
	Attempt  Attempt
	Status   Status // Seen, Replaying or Dead
	Why      string
	Due      time.Time // of the next attempt, where Status is Replaying
	Receiver *Receiver // nil: unchanged
}

// Settle writes down what became of a claimed attempt, and returns where the event stands now. Where it was finished in the
// meantime, by late proof or by a person, it stays so and only the attempt is added to its story.
//
// A crash before the commit leaves the attempt open, and it is made again; after it there is nothing to repair.
func (s *Store) Settle(o Outcome) (status Status, err error) {
	err = s.update(false, func(t *tx) error {
		status, err = t.settle(o)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("settle %q: %w", o.ID, err)
	}
	return status, nil
}

func (t *tx) settle(o Outcome) (Status, error) {
	flown, flew := t.flightOf(o.ID)
	t.land(o.ID)
	if o.Receiver != nil {
		if err := t.setReceiver(*o.Receiver); err != nil {
			return 0, err
		}
	}
	old, r, err := t.reopen(o.ID)
	if err != nil {
		return 0, err
	}
	if old == nil {
		return t.settleFinished(o, flown, flew)
	}
	r.attempts = closeAttempt(r.attempts, o.Attempt)
	if o.Status == Seen {
		t.replayed(r.fact, o.Now)
		t.tellReplayed(old.kind, old.created, o.Now)
	}
	waits := old.status == Seen // as a twin: judged again since it was claimed
	if flew && old.status != Replaying && (waits || o.Status == Seen) {
		t.landed(old.kind, old.created, old.standing(), o.Status)
	}
	if waits {
		return Seen, t.saveOpen(old, r)
	}
	switch o.Status {
	case Seen:
		return Seen, t.settleSeen(o, old, r)
	case Dead:
		r.status, r.due = Dead, time.Time{}
	case Replaying:
		r.status, r.due = Replaying, o.Due
	default:
		return 0, fmt.Errorf("status %s is no outcome of an attempt", o.Status) // unreachable: the caller decides among three
	}
	if r.status != old.status {
		r.at = o.Now
	}
	r.why = o.Why
	if o.Status == Replaying && t.cancelled(r) {
		err := t.takeBack(o.Now, old, r)
		return r.status, err
	}
	if err := t.saveOpen(old, r); err != nil || r.status != Dead {
		return r.status, err
	}
	t.tellDead(old.kind, old.created, o.Now)
	return Dead, t.resolve(o.Now, o.ID, ending{status: Dead, at: o.Now})
}

func (t *tx) settleSeen(o Outcome, old, r *record) error {
	// What is stored is old; what goes to the ledger tells this attempt too.
	told := *old
	told.attempts = r.attempts
	return t.finish(o.Now, &told, ending{status: Seen, proof: Replay, at: o.Now, why: o.Why})
}

// settleFinished adds the attempt to the story of an event that is finished already.
func (t *tx) settleFinished(o Outcome, flown flight, flew bool) (Status, error) {
	p, l, ok, err := t.finishedLine(o.ID, flown)
	if err != nil {
		return 0, err
	}
	if flew {
		t.landed(t.typeName(l.kind), p.created, l.status, o.Status)
	}
	if flew && o.Status == Seen {
		t.tellReplayed(t.typeName(l.kind), p.created, o.Now)
	}
	if !ok {
		return 0, nil // forgotten, or pruned: there is nothing to add to
	}
	before := l
	if o.Status == Seen && (l.status == Ignored || Replay.Stronger(l.proof)) { // also where a person had given it up
		l.status, l.proof, l.at = Seen, Replay, o.Now
		l.flags &^= flagTwin | flagContent
	}
	d := t.storyAt(p)
	d.attempts = closeAttempt(d.attempts, o.Attempt)
	if err := t.putStory(p, d); err != nil {
		return 0, err
	}
	l.flags |= flagDetails
	return l.status, t.putLine(o.Now, p, &before, l)
}

// finishedLine finds the line of an event that was finished during an attempt.
func (t *tx) finishedLine(id string, flown flight) (p place, l line, ok bool, err error) {
	p = place{flown.created, id}
	if f, ok := t.recentOf(id); ok && f.status != 0 {
		p.created = f.created
	}
	l, ok, err = t.ledgerLine(p)
	return p, l, ok, err
}

// closeAttempt puts the outcome in the place of the open attempt, or behind the others where there is none.
func closeAttempt(list []Attempt, a Attempt) []Attempt {
	a.Open = false
	n := len(list)
	if n == 0 || !list[n-1].Open {
		return boundAnswers(addAttempt(list, a))
	}
	if a.At.IsZero() {
		a.At = list[n-1].At
	}
	if a.Seq == 0 {
		a.Seq = list[n-1].Seq
	}
	list[n-1] = a
	return boundAnswers(list)
}

// Release takes an intent back whose attempt was never sent, as at a stop before the POST. The event is due again at due.
//
// A crash before the commit leaves the attempt open, which costs one further attempt and no event.
func (s *Store) Release(id string, due time.Time) error {
	err := s.update(false, func(t *tx) error {
		flown, flew := t.flightOf(id)
		t.land(id)
		old, r, err := t.reopen(id)
		if err != nil {
			return err
		}
		if old == nil {
			return t.releaseFinished(id, flown, flew)
		}
		if flew && old.status == Seen { // it waits as a twin: judged again since it was claimed
			t.landed(old.kind, old.created, Settling, Missed)
		}
		last := r.last()
		if last == nil || !last.Open {
			return nil
		}
		r.attempts = r.attempts[:len(r.attempts)-1]
		r.sent--
		if r.status == Replaying {
			r.due = due
			if r.sent == 0 {
				r.status = Missed
			}
		}
		if t.cancelled(r) {
			return t.takeBack(due, old, r)
		}
		return t.saveOpen(old, r)
	})
	if err != nil {
		return fmt.Errorf("take the attempt of %q back: %w", id, err)
	}
	return nil
}

// releaseFinished tells of an event that was finished already that nothing was sent, and takes the attempt out of its story.
func (t *tx) releaseFinished(id string, flown flight, flew bool) error {
	if !flew {
		return nil
	}
	p, l, ok, err := t.finishedLine(id, flown)
	if err != nil {
		return err
	}
	t.landed(t.typeName(l.kind), p.created, l.status, Missed)
	d := t.storyAt(p)
	n := len(d.attempts)
	if !ok || n == 0 || !d.attempts[n-1].Open {
		return nil
	}
	d.attempts, d.sent = d.attempts[:n-1], max(0, d.sent-1)
	return t.putStory(p, d)
}
