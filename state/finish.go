package state

import (
	"fmt"
	"time"

	"backstop/internal/heygen"
)

// ending says how an event is finished.
type ending struct {
	status Status // Seen or Ignored
	proof  Proof
	at     time.Time // when the receiver got it; when it was ignored
	why    string    // "": the line says it all
	twin   string    // the kept event of the same fact

	content bool // a push with its content is the proof
}

// finish moves an unfinished event to the ledger. Its event_data is deleted: it is the customers' data. Twins that waited
// for it are resolved, and missed events of the same fact are seen with it.
func (t *tx) finish(now time.Time, r *record, e ending) error {
	if err := t.dropOpen(r); err != nil {
		return err
	}
	l, err := t.newLine(r.event(), r.fact, r.entity, e.status, e.proof, e.at)
	if err != nil {
		return err
	}
	l.listed = r.listed
	d := storyOf(r)
	d.why, d.twin = e.why, e.twin
	d.acts = addAct(d.acts, t.hand)
	if e.twin != "" {
		l.flags |= flagTwin
	}
	if e.content {
		l.flags |= flagContent
	}
	if d.worth() {
		l.flags |= flagDetails
		if err := t.putStory(r.place(), d); err != nil {
			return err
		}
	}
	if err := t.putLine(now, r.place(), nil, l); err != nil {
		return err
	}
	t.movedEnd(r, e)
	if err := t.runMoved(now, r.run, r.fate(), endFate(e.status)); err != nil {
		return err
	}
	t.remember(r.id, finished{created: r.created, status: e.status})
	if err := t.resolve(now, r.id, e); err != nil {
		return err
	}
	if e.status != Seen || e.twin != "" {
		return nil
	}
	return t.cover(now, r.place(), r.fact, e)
}

// resolve answers the twins that wait for an event: with it they are seen, without it they are judged by themselves.
func (t *tx) resolve(now time.Time, kept string, e ending) error {
	for _, id := range t.twinsOf(kept) {
		old, r, err := t.reopen(id)
		if err != nil {
			return err
		}
		if old == nil || old.twin != kept {
			continue
		}
		if e.status == Seen {
			err = t.finish(now, old, ending{status: Seen, proof: e.proof, at: e.at, why: sameFact(kept), twin: kept})
		} else {
			r.status, r.proof, r.twin, r.at = Settling, None, "", now
			r.why = fmt.Sprintf("%s, which is %s: judged by itself", sameFact(kept), e.status)
			err = t.saveOpen(old, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func sameFact(kept string) string { return "same fact as " + kept }

// waiting reports whether any event is missed or dead.
func (t *tx) waiting() bool {
	n := &t.counts().status
	return n[Missed]+n[Replaying]+n[Dead] > 0
}

// cover finds the missed and dead events of a fact that the receiver has now: within the collapse window they are one.
func (t *tx) cover(now time.Time, p place, fact heygen.Fact, e ending) error {
	window := t.s.rows.window()
	if window <= 0 || p.created.IsZero() || e.proof == Baseline || !t.waiting() {
		return nil
	}
	for _, other := range t.factRows(fact) {
		if other.id == p.id || other.created.IsZero() || p.created.Sub(other.created).Abs() > window {
			continue
		}
		r, err := t.open(other.id)
		if err != nil {
			return err
		}
		if r == nil || r.fact != fact {
			continue
		}
		end := ending{status: Seen, proof: e.proof, at: e.at, why: sameFact(p.id), twin: p.id}
		if err := t.finish(now, r, end); err != nil {
			return err
		}
	}
	return nil
}
