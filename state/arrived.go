package state

import (
	"cmp"
	"slices"
	"time"
)

// arrived notes in the ledger that the receiver took an event of a forced run. Of one that the state knows only from a
// report, or that lies below the floor, only the run tells.
func (t *tx) arrived(now time.Time, run Run, r *record) error {
	t.replayed(r.fact, now)
	old, err := t.open(r.id)
	if err != nil {
		return err
	}
	if old != nil {
		told := *old
		told.attempts, told.acts = joinAttempts(old.attempts, r.attempts), addAct(old.acts, run.Act)
		told.sent += r.sent
		if err := t.finish(now, &told, ending{status: Seen, proof: Replay, at: now, why: r.why}); err != nil || old.status == Replaying {
			return err
		}
		t.landed(old.kind, old.created, Seen, Seen) // its end alone does not tell of a replay
		return nil
	}
	p := r.place()
	l, ok, err := t.ledgerLine(p)
	if err != nil {
		return err
	}
	if ok {
		return t.arrivedAgain(now, run, r, l)
	}
	if t.waits(r.id) || p.created.IsZero() || p.created.Before(t.s.Floor()) {
		return nil
	}
	return t.arrivedFirst(now, run, r)
}

// arrivedAgain adds the attempts to the story of a finished event.
func (t *tx) arrivedAgain(now time.Time, run Run, r *record, l line) error {
	before, p := l, r.place()
	if l.status == Ignored || Replay.Stronger(l.proof) {
		l.status, l.proof, l.at = Seen, Replay, now
		l.flags &^= flagTwin | flagContent
	}
	if err := t.tell(run, r); err != nil {
		return err
	}
	l.flags |= flagDetails
	t.landed(t.typeName(l.kind), p.created, l.status, Seen)
	return t.putLine(now, p, &before, l)
}

// refused adds the attempts of a forced run that gave an event up to the event's story; the event stands as it did. Of one
// that the state knows only from a report, or not at all, only the run tells.
func (t *tx) refused(now time.Time, run Run, r *record) error {
	old, changed, err := t.reopen(r.id)
	if err != nil {
		return err
	}
	if old != nil {
		changed.attempts, changed.acts = joinAttempts(old.attempts, uncounted(r.attempts)), addAct(old.acts, run.Act)
		changed.sent += r.sent
		return t.saveOpen(old, changed)
	}
	p := r.place()
	l, ok, err := t.ledgerLine(p)
	if !ok || err != nil {
		return err
	}
	if err := t.tell(run, r); err != nil {
		return err
	}
	before := l
	l.flags |= flagDetails
	return t.putLine(now, p, &before, l)
}

// tell adds what a forced run did to the story of a finished event.
func (t *tx) tell(run Run, r *record) error {
	p := r.place()
	d := t.storyAt(p)
	if d.sent > 0 || len(d.attempts) == 0 { // else it was not noted how many there were
		d.sent += r.sent
	}
	d.attempts, d.acts = joinAttempts(d.attempts, r.attempts), addAct(d.acts, run.Act)
	d.created, d.entity = cmp.Or(d.created, r.createdText), cmp.Or(d.entity, r.entity)
	return t.putStory(p, d)
}

// arrivedFirst makes the ledger line of an event that had none.
func (t *tx) arrivedFirst(now time.Time, run Run, r *record) error {
	l, err := t.newLine(r.event(), r.fact, r.entity, Seen, Replay, now)
	if err != nil {
		return err
	}
	l.listed, l.flags = r.listed, flagDetails
	d := storyOf(r)
	d.acts = addAct(nil, run.Act)
	if err := t.putStory(r.place(), d); err != nil {
		return err
	}
	t.moved(Change{Type: r.kind, Created: r.created, To: Seen, Proof: Replay, At: now, Tried: true, Landed: Seen})
	t.remember(r.id, finished{created: r.created, status: Seen})
	return t.putLine(now, r.place(), nil, l)
}

// uncounted gives attempts that don't count towards those after which an event is dead.
func uncounted(list []Attempt) []Attempt {
	list = slices.Clone(list)
	for i := range list {
		list[i].Counted = false
	}
	return list
}

// joinAttempts adds attempts that were made later. One that a crash has left open ends with it.
func joinAttempts(list, more []Attempt) []Attempt {
	list = slices.Clone(list)
	if n := len(list); n > 0 && list[n-1].Open {
		list[n-1].Open, list[n-1].Error = false, interrupted
	}
	for _, a := range more {
		list = addAttempt(list, a)
	}
	return list
}
