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
	flown, _ := t.flightOf(o.ID)
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
		return t.settleFinished(o, flown)
	}
	r.attempts = closeAttempt(r.attempts, o.Attempt)
	if o.Status == Seen {
		t.replayed(r.fact, o.Now)
	}
	if old.status == Seen { // it waits as a twin: judged again since it was claimed
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
	if err := t.saveOpen(old, r); err != nil || r.status != Dead {
		return r.status, err
	}
	return Dead, t.resolve(o.Now, o.ID, ending{status: Dead, at: o.Now})
}

func (t *tx) settleSeen(o Outcome, old, r *record) error {
	// What is stored is old; what goes to the ledger tells this attempt too.
	told := *old
	told.attempts = r.attempts
	return t.finish(o.Now, &told, ending{status: Seen, proof: Replay, at: o.Now, why: o.Why})
}

// settleFinished adds the attempt to the story of an event that is finished already.
func (t *tx) settleFinished(o Outcome, flown flight) (Status, error) {
	p := place{flown.created, o.ID}
	if f, ok := t.recentOf(o.ID); ok && f.status != 0 {
		p.created = f.created
	}
	l, ok, err := t.ledgerLine(p)
	if err != nil {
		return 0, err
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

// closeAttempt puts the outcome in the place of the open attempt, or behind the others where there is none.
func closeAttempt(list []Attempt, a Attempt) []Attempt {
	a.Open = false
	n := len(list)
	if n == 0 || !list[n-1].Open {
		return addAttempt(list, a)
	}
	if a.At.IsZero() {
		a.At = list[n-1].At
	}
	if a.Seq == 0 {
		a.Seq = list[n-1].Seq
	}
	list[n-1] = a
	return list
}

// Release takes an intent back whose attempt was never sent, as at a stop before the POST. The event is due again at due.
//
// A crash before the commit leaves the attempt open, which costs one further attempt and no event.
func (s *Store) Release(id string, due time.Time) error {
	err := s.update(false, func(t *tx) error {
		t.land(id)
		old, r, err := t.reopen(id)
		if err != nil || old == nil {
			return err
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
		return t.saveOpen(old, r)
	})
	if err != nil {
		return fmt.Errorf("take the attempt of %q back: %w", id, err)
	}
	return nil
}
