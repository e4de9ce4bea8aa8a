package state

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"backstop/internal/heygen"
)

// Sighting is one thing that the receiver has: an event by its id, an anonymous
// push by its content, or a push of which both are known.
type Sighting struct {
	ID    string
	Fact  heygen.Fact // counts where ID is "", or no event of that id is listed
	At    time.Time   // when the receiver got it; zero: now
	Proof Proof
}

// Record notes what the receiver has. It is durable when Record returns; events that wait turn seen in the same
// transaction. n counts the items, known ones too; those without id and content are passed over.
//
// A crash before the commit leaves nothing, and the reporter has no answer: it reports again.
func (s *Store) Record(now time.Time, seen []Sighting) (n int, err error) {
	if len(seen) == 0 {
		return 0, nil
	}
	err = s.update(true, func(t *tx) error {
		n, err = t.record(now, seen)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("record what was seen: %w", err)
	}
	return n, nil
}

// Import is a Record of what a person says, and notes the act. An act with a number goes on: what is recorded is added to
// the act of that number, where it is the same person's. It returns the number of the act.
//
// A crash before the commit leaves nothing, and the person has no answer: importing again does no harm.
func (s *Store) Import(now time.Time, seen []Sighting, a ManualAct) (n int, seq uint64, err error) {
	err = s.update(true, func(t *tx) error {
		if n, seq = 0, a.Seq; seq == 0 {
			seq = t.nextAct()
		}
		t.hand = seq
		defer func() { t.hand = 0 }()
		if n, err = t.record(now, seen); err != nil || n == 0 {
			seq = a.Seq
			return err
		}
		done := a
		done.N, done.IDs, done.Seq = n, idsOf(seen), seq
		if a.Seq != 0 {
			if ok, err := t.widenAct(done); ok || err != nil {
				return err
			}
			seq = t.nextAct()
		}
		return t.noteAct(now, done)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("import what was seen: %w", err)
	}
	return n, seq, nil
}

// idsOf gives the ids of a few sightings; nil where there are many.
func idsOf(seen []Sighting) (ids []string) {
	for _, one := range seen {
		if one.ID != "" && len(ids) <= actNames {
			ids = append(ids, one.ID)
		}
	}
	return ids
}

func (t *tx) record(now time.Time, seen []Sighting) (n int, err error) {
	var fresh, imports []named
	sp := make(spent)
	met := make(map[string]int)
	var spoken uint16
	for _, one := range seen {
		at := one.At
		if at.IsZero() {
			at = now
		}
		switch {
		case one.ID != "":
			n++
			err = t.recordPush(now, named{one.ID, one.Proof, at.Truncate(time.Second)}, one.Fact, met, &fresh, &imports, sp)
		case !one.Fact.IsZero():
			n++
			err = t.recordFact(now, one.Fact, at, one.Proof)
		}
		if err != nil {
			return 0, err
		}
		spoken |= bit(one.Proof)
	}
	if n == 0 {
		return 0, nil
	}
	if err := t.setPaired(now, spoken); err != nil {
		return 0, err
	}
	if err := t.take(sp); err != nil {
		return 0, err
	}
	if err := t.addReported(imports, false); err != nil {
		return 0, err
	}
	return n, t.addInbox(now, fresh)
}

// recordPush notes one id, and where its event is not listed yet the content of the push beside it.
func (t *tx) recordPush(now time.Time, n named, fact heygen.Fact, met map[string]int, fresh, imports *[]named, sp spent) error {
	if !fact.IsZero() {
		if r, err := t.open(n.id); err != nil || r != nil && t.disputed(fact, r.fact, n.at) {
			return errors.Join(err, t.byContent(now, n, fact))
		}
	}
	if err := t.recordID(now, n, met, fresh, imports, sp); err != nil || fact.IsZero() {
		return err
	}
	if _, waits := met[n.id]; !waits && !t.waits(n.id) {
		return nil
	}
	return t.link(now, n, fact)
}

// waits reports whether an id was reported and no page has listed it yet.
func (t *tx) waits(id string) bool {
	if _, ok := t.inboxOf(id); ok {
		return true
	}
	_, ok, err := t.reportedOf(id)
	return ok && err == nil
}

// recordID notes one id: at its event, or among those to be added.
func (t *tx) recordID(now time.Time, n named, met map[string]int, fresh, imports *[]named, sp spent) error {
	if r, err := t.open(n.id); err != nil || r != nil {
		return t.recordOpen(now, r, n, err)
	}
	if f, ok := t.recentOf(n.id); ok && f.status != 0 {
		p := place{f.created, cmp.Or(f.as, n.id)}
		if l, ok, err := t.ledgerLine(p); err != nil || ok {
			return t.recordLine(now, p, l, n, err)
		}
	}
	if old, ok := t.inboxOf(n.id); ok {
		if !n.proof.Stronger(old.proof) {
			return nil
		}
		t.leave(sp, n.id, old)
	}
	if old, ok, err := t.reportedOf(n.id); err != nil || ok {
		if err != nil || !n.proof.Stronger(old.proof) {
			return err
		}
		if err := t.dropReported(n.id, old); err != nil {
			return err
		}
	}
	addNamed(met, fresh, imports, n)
	return nil
}

// addNamed adds an id once; of two proofs in one call the stronger stays.
func addNamed(met map[string]int, fresh, imports *[]named, n named) {
	list := fresh
	if n.proof == Import {
		list = imports
	}
	i, ok := met[n.id]
	switch {
	case !ok:
		met[n.id] = len(*list)
		*list = append(*list, n)
	case i < len(*list) && (*list)[i].id == n.id:
		if n.proof.Stronger((*list)[i].proof) {
			(*list)[i] = n
		}
	case n.proof != Import: // it was an import a moment ago, and this says more
		*imports = slices.DeleteFunc(slices.Clone(*imports), func(o named) bool { return o.id == n.id })
		met[n.id] = len(*list)
		*list = append(*list, n)
	}
}

func (t *tx) recordOpen(now time.Time, r *record, n named, err error) error {
	if err != nil {
		return err
	}
	if err := t.matched(now, n, r.fact); err != nil {
		return err
	}
	return t.finish(now, r, ending{status: Seen, proof: n.proof, at: n.at})
}

func (t *tx) recordLine(now time.Time, p place, l line, n named, err error) error {
	if err != nil {
		return err
	}
	return t.strengthen(now, p, l, n.proof, n.at)
}

// recordFact notes an anonymous push: it was told before, or it proves the oldest event of its fact that waits, or it is
// kept as a credit.
func (t *tx) recordFact(now time.Time, fact heygen.Fact, at time.Time, proof Proof) error {
	t.s.rows.anonymous.Store(true)
	c := credit{fact: fact, at: at.Truncate(time.Second), proof: proof, told: bit(proof)}
	if now.Sub(at) > creditLapse || t.retold(fact, c.at, proof) {
		return nil
	}
	if merged, err := t.merge(c); merged || err != nil {
		return err
	}
	for _, p := range t.factRows(fact) {
		if !c.covers(p.created, t.s.rows.slack()) {
			continue
		}
		r, err := t.open(p.id)
		if err != nil {
			return err
		}
		if r != nil && r.fact == fact {
			if err := t.pushed(now, fact, c.at, c.told); err != nil {
				return err
			}
			return t.finish(now, r, c.ending())
		}
	}
	return t.addCredit(c)
}
