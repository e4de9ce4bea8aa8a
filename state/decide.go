package state

import (
	"fmt"
	"time"
)

// Verdict is what was decided about one event.
type Verdict struct {
	ID     string
	Status Status
	Proof  Proof
	Why    string
	Credit uint64 // the push that accounts for it by its content; 0: none
	Linked string // the other id that this push came with; "": none
	Twin   string // the kept event of the same fact; "": none
	Lane   Lane
	Reason Reason // why it will be replayed; "": missed

	Withheld bool // of a missed one: it is not sent before a person asks for it
}

// Judgeable lists the events to be judged: settling ones, and those whose source could not answer, oldest first, with their
// data. Those found by a walk under way (walking) are left out: order per entity needs the older ones first. after is what
// the call before returned as next, "" at the start; next is "" at the end.
func (s *Store) Judgeable(now time.Time, walking map[uint64]bool, after string, limit int) (rows []Row, next string, err error) {
	if after == "" {
		if err := s.upkeep(now); err != nil {
			return nil, "", fmt.Errorf("list what is to be judged: %w", err)
		}
	}
	err = s.view(func(t *tx) error {
		rows, next, err = t.judgeable(walking, after, limit)
		return err
	})
	return rows, next, err
}

// upkeep is what a pass does first.
func (s *Store) upkeep(now time.Time) error {
	if err := s.mend(); err != nil {
		return err
	}
	if err := s.tidyRuns(now); err != nil {
		return err
	}
	return s.age(now)
}

func (t *tx) judgeable(walking map[uint64]bool, after string, limit int) (rows []Row, next string, err error) {
	from := place{}
	if after != "" {
		from = placeOf([]byte(after))
		from.id += "\x00" // the place right behind
	}
	for _, p := range t.merged(from, limit, func(e entry) bool {
		return e.epoch == t.s.rows.epoch && walking[e.walk]
	}) {
		r, err := t.open(p.id)
		if err != nil {
			return nil, "", err
		}
		next = string(p.key())
		if r != nil {
			rows = append(rows, r.row())
		}
		limit--
	}
	if limit > 0 {
		next = ""
	}
	return rows, next, nil
}

// merged lists the first places of the stages settling and listed, oldest first.
func (t *tx) merged(from place, limit int, skip func(entry) bool) []place {
	var lists [2][]place
	for i, stage := range []byte{stageSettling, stageListed} {
		t.stageRows(stage, from, func(p place, e entry) bool {
			if !skip(e) {
				lists[i] = append(lists[i], p)
			}
			return len(lists[i]) < limit
		})
	}
	var all []place
	a, b := lists[0], lists[1]
	for len(all) < limit && len(a)+len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && a[0].before(b[0]) {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return all
}

// Decide applies verdicts in one transaction and returns those that took effect, as they did: recorders and credits are
// read again in it, and late proof wins. A verdict on an event that is gone or has moved on is passed over, and so is one
// that says settling.
//
// A crash before the commit leaves the events as they were; the next pass judges them again.
func (s *Store) Decide(now time.Time, vs []Verdict) (applied []Verdict, err error) {
	if len(vs) == 0 {
		return nil, nil
	}
	err = s.update(false, func(t *tx) error {
		applied = nil
		sp := make(spent)
		for _, v := range vs {
			done, ok, err := t.decide(now, v, sp)
			if err != nil {
				return fmt.Errorf("decide %q: %w", v.ID, err)
			}
			if ok {
				applied = append(applied, done)
			}
		}
		return t.take(sp)
	})
	if err != nil {
		return nil, err
	}
	return applied, nil
}

func (t *tx) decide(now time.Time, v Verdict, sp spent) (Verdict, bool, error) {
	old, r, err := t.reopen(v.ID)
	if err != nil || old == nil || v.Status == Settling || !mayDecide(old, v) {
		return v, false, err
	}
	if n, ok, err := t.lateProof(sp, v.ID); ok || err != nil {
		return Verdict{ID: v.ID, Status: Seen, Proof: n.proof}, ok, t.recordOpen(now, old, n, err)
	}
	if v.Status != Ignored && (v.Status != Seen || v.Credit != 0) {
		if c, ok := t.creditFor(old.fact, old.created, v.Credit); ok {
			return Verdict{ID: v.ID, Status: Seen, Proof: c.proof, Credit: c.seq, Linked: c.id, Why: c.why()}, true, t.credited(now, old, c, sp)
		}
		if v.Credit != 0 {
			return v, false, nil // another event took it
		}
	}
	switch v.Status {
	case Seen:
		return t.decideSeen(now, old, r, v)
	case Ignored:
		return v, true, t.finish(now, old, ending{status: Ignored, at: now, why: v.Why})
	}
	return t.decideOpen(now, old, r, v)
}

// mayDecide reports whether an event is where the verdict found it: judged ones settle or are listed, but that it is seen or
// ignored may be said of any that does not wait for its twin.
func mayDecide(r *record, v Verdict) bool {
	switch r.stage() {
	case stageSettling, stageListed:
		return true
	case stageTwin:
		return false
	}
	return v.Status == Seen || v.Status == Ignored
}

// credited finishes an event by a push with its content.
func (t *tx) credited(now time.Time, r *record, c credit, sp spent) error {
	if err := t.account(now, c, r, sp); err != nil {
		return err
	}
	return t.finish(now, r, c.ending())
}

// decideSeen finishes an event, or lets it wait as the twin of one that is unfinished itself.
func (t *tx) decideSeen(now time.Time, old, r *record, v Verdict) (Verdict, bool, error) {
	if v.Twin == "" {
		return v, true, t.finish(now, old, ending{status: Seen, proof: v.Proof, at: now})
	}
	kept, err := t.root(v.Twin)
	if err != nil {
		return v, false, err
	}
	switch {
	case kept == nil:
		if f, ok := t.recentOf(v.Twin); ok && f.status != Seen {
			return v, false, nil // it was given up meanwhile: this one is judged again, by itself
		}
		end := ending{status: Seen, proof: v.Proof, at: now, why: sameFact(v.Twin), twin: v.Twin}
		return v, true, t.finish(now, old, end)
	case kept.id == v.ID || kept.status == Dead:
		return v, false, nil
	}
	v.Twin = kept.id
	r.status, r.proof, r.twin, r.at, r.why = Seen, v.Proof, kept.id, now, sameFact(kept.id)
	r.withheld = false
	return v, true, t.saveOpen(old, r)
}

// root follows twins that wait to the event they wait for; nil when it is finished.
func (t *tx) root(id string) (*record, error) {
	for range 10 {
		r, err := t.readOpen(id, false)
		if err != nil || r == nil || r.status != Seen {
			return r, err
		}
		id = r.twin
	}
	return nil, nil
}

// decideOpen moves an event to another stage.
func (t *tx) decideOpen(now time.Time, old, r *record, v Verdict) (Verdict, bool, error) {
	if v.Status != Missed && v.Status != Listed {
		return v, false, nil
	}
	if old.status == v.Status && old.why == v.Why {
		return v, false, nil
	}
	r.status, r.proof, r.why, r.at = v.Status, None, v.Why, now
	if v.Status == Missed {
		r.lane, r.reason, r.due = v.Lane, v.Reason, now
		if r.withheld = v.Withheld; r.withheld {
			r.due = time.Time{}
		}
	}
	return v, true, t.saveOpen(old, r)
}
