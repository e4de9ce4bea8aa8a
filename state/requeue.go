package state

import (
	"fmt"
	"slices"
	"time"
)

// Requeued answers for one id what QueueRun or Ignore did.
type Requeued struct {
	ID     string
	Was    Status // 0: unknown
	Queued bool   // it was changed
	Note   string // for people; "" when there is nothing to add
}

// requeue is who has an event sent now, and why.
type requeue struct {
	who string
	run uint64 // 0: none
	act uint64 // the number of the act that notes it
}

// requeue gives what is done to an event that is to be sent now because a person asks for it: a dead one begins anew, and what
// was to be judged is not waited for, nor what was withheld. What has a settled twin is not queued.
func (t *tx) requeue(now time.Time, q requeue) func(t *tx, old, r *record) (string, error) {
	return func(t *tx, old, r *record) (string, error) {
		if old.status == Seen {
			return sameFact(old.twin) + ", which is not settled yet: not queued", nil
		}
		r.rememberWas(old)
		r.reason, r.manual, r.withheld = reasonFor(old), true, false
		r.run, r.acts = q.run, addAct(r.acts, q.act)
		if t.flies(old.id) {
			return "an attempt is under way", t.saveOpen(old, r)
		}
		r.due = now
		if old.withheld || old.status != Missed && old.status != Replaying {
			r.status, r.at, r.why = Missed, now, "queued by "+q.who
		}
		if old.status == Dead {
			r.beginAnew()
		}
		return "", t.saveOpen(old, r)
	}
}

// beginAnew has the attempts made so far count no more towards those after which an event is dead.
func (r *record) beginAnew() {
	if last := r.last(); last != nil {
		r.since = last.Seq
	}
}

// history gives the attempts before the next one; those from before it began anew are not counted.
func (r *record) history() []Attempt {
	list := slices.Clone(r.attempts)
	for i := range list {
		list[i].Counted = list[i].Counted && (r.since == 0 || list[i].Seq > r.since)
	}
	return list
}

// rememberWas notes what an event was before a person had it sent, so that this can be taken back.
func (r *record) rememberWas(old *record) {
	if old.manual && old.was != 0 && (old.status == Missed || old.status == Replaying) {
		return // queued by hand already: what it was before that counts
	}
	r.was, r.wasWhy, r.wasWithheld = old.status, old.why, old.withheld
}

// reasonFor is what a replay is said to be sent for.
func reasonFor(r *record) Reason {
	switch {
	case r.status == Dead:
		return ReasonDead
	case r.reason != "":
		return r.reason
	}
	return ReasonMissed
}

// Ignore gives events up because a person says so. Late proof still turns them seen. Seen and unknown ids are answered.
//
// A crash before the commit leaves all as it was; the person has no answer and asks again.
func (s *Store) Ignore(now time.Time, ids []string, why, who string) ([]Requeued, error) {
	reason := "ignored by " + who
	if why != "" {
		reason += ": " + why
	}
	return s.byHand(now, ids, ManualAct{Who: who, What: "ignore", Why: why}, func(t *tx, old, r *record) (string, error) {
		told := *old
		told.acts = addAct(r.acts, t.nextAct())
		return "", t.finish(now, &told, ending{status: Ignored, at: now, why: reason})
	})
}

// byHand does something to the unfinished ones among some ids, and answers for all.
func (s *Store) byHand(now time.Time, ids []string, act ManualAct, do func(t *tx, old, r *record) (note string, err error)) ([]Requeued, error) {
	what := act.What
	ids = unique(ids)
	places, err := s.locate(ids)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var answers []Requeued
	err = s.update(false, func(t *tx) error {
		answers, act.N, act.IDs = nil, 0, nil
		for _, id := range ids {
			a, err := t.handOne(id, places, do)
			if err != nil {
				return fmt.Errorf("%s %q: %w", what, id, err)
			}
			if a.Queued {
				act.N++
				act.IDs = append(act.IDs, id)
			}
			answers = append(answers, a)
		}
		if act.N == 0 {
			return nil
		}
		return t.noteAct(now, act)
	})
	if err != nil {
		return nil, err
	}
	return answers, nil
}

func (t *tx) handOne(id string, places map[string]place, do func(t *tx, old, r *record) (string, error)) (Requeued, error) {
	old, r, err := t.reopen(id)
	if err != nil {
		return Requeued{}, err
	}
	if old == nil {
		return t.handFinished(id, places)
	}
	note, err := do(t, old, r)
	after, readErr := t.readOpen(id, false)
	changed := after == nil || after.stage() != old.stage() || after.manual
	if readErr != nil {
		err = readErr
	}
	return Requeued{ID: id, Was: old.status, Queued: changed, Note: note}, err
}

func (t *tx) handFinished(id string, places map[string]place) (Requeued, error) {
	a := Requeued{ID: id}
	p, ok := places[id]
	if f, recent := t.recentOf(id); recent && f.status != 0 {
		p, ok = place{f.created, id}, true
	}
	if ok {
		l, found, err := t.ledgerLine(p)
		if err != nil {
			return a, err
		}
		if found {
			a.Was, a.Note = l.status, finishedNote(l.status)
			return a, nil
		}
	}
	if _, ok := t.inboxOf(id); ok {
		a.Was, a.Note = Seen, "it was reported, and is not listed yet"
		return a, nil
	}
	if _, ok, err := t.reportedOf(id); ok || err != nil {
		a.Was, a.Note = Seen, "it was reported, and is not listed yet"
		return a, err
	}
	a.Note = "unknown: no walk has listed it"
	return a, nil
}

// unique drops repeated ids and keeps their order.
func unique(ids []string) []string {
	met := make(map[string]bool, len(ids))
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		again := met[id]
		met[id] = true
		return again
	})
}

// finishedNote says why there is nothing to do about a finished event.
func finishedNote(status Status) string {
	if status == Ignored {
		return "it is ignored already, and its data is gone"
	}
	return "it is " + status.String() + " already"
}
