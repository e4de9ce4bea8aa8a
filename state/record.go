package state

import (
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

// echoFor is how long after a replay an anonymous report may still be of that replay.
const echoFor = time.Hour

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
	before := len(*fresh)
	if err := t.recordID(now, n, met, fresh, imports, sp); err != nil || len(*fresh) == before {
		return err
	}
	return t.link(n, fact)
}

// recordID notes one id: at its event, or among those to be added.
func (t *tx) recordID(now time.Time, n named, met map[string]int, fresh, imports *[]named, sp spent) error {
	if r, err := t.open(n.id); err != nil || r != nil {
		return t.recordOpen(now, r, n, err)
	}
	if f, ok := t.recentOf(n.id); ok && f.status != 0 {
		p := place{f.created, n.id}
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
	if n.proof != Import {
		t.counts().matched++
	}
	if err := t.unlink(n.id); err != nil {
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

// recordFact notes an anonymous push: it proves the oldest event of its fact that waits, or it may be the echo of a replay,
// or it is kept as a credit.
func (t *tx) recordFact(now time.Time, fact heygen.Fact, at time.Time, proof Proof) error {
	c := credit{at: at.Truncate(time.Second)}
	for _, p := range t.factRows(fact) {
		if !c.covers(p.created, t.s.rows.slack()) {
			continue
		}
		r, err := t.open(p.id)
		if err != nil {
			return err
		}
		if r != nil && r.fact == fact {
			return t.finish(now, r, ending{status: Seen, proof: proof, at: c.at, why: c.why(), content: true})
		}
	}
	if t.echo(fact, at) {
		return nil
	}
	return t.addCredit(credit{fact: fact, at: at, proof: proof})
}

// echo takes a replay that an anonymous report may be of.
func (t *tx) echo(fact heygen.Fact, at time.Time) bool {
	r := &t.s.rows
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := t.over().echoes
	for _, sent := range r.echoes[fact] {
		if age := at.Sub(sent); age > -time.Minute && age < echoFor && !taken[sent] {
			taken[sent] = true
			t.after(func() { r.dropEcho(fact, sent) })
			return true
		}
	}
	return false
}

func (r *rows) dropEcho(fact heygen.Fact, sent time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := slices.DeleteFunc(r.echoes[fact], func(at time.Time) bool { return at.Equal(sent) })
	if len(left) == 0 {
		delete(r.echoes, fact)
	} else {
		r.echoes[fact] = left
	}
}

// replayed notes that the receiver took a replay: an anonymous report of it may follow.
func (t *tx) replayed(fact heygen.Fact, at time.Time) {
	if fact.IsZero() {
		return
	}
	t.after(func() {
		r := &t.s.rows
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.echoes) >= recentLimit {
			clear(r.echoes) // a bound; an echo taken for a push is given back by time
		}
		r.echoes[fact] = append(r.echoes[fact], at)
	})
}
