package state

import (
	"cmp"
	"time"

	"backstop/internal/heygen"
)

// A push of which id and content are known is one push: it accounts for one event, by its id, or where the listing does not
// have that id, by its content. Its credit is linked to the id until one of the two is decided.

// link keeps the content of a push beside its id: should the listing know the event under another id, the content tells.
func (t *tx) link(now time.Time, n named, fact heygen.Fact) error {
	if _, ok := t.linkOf(n.id); ok || now.Sub(n.at) > creditLapse || t.s.rows.crowdedLinks() {
		return nil
	}
	c := credit{fact: fact, at: n.at, proof: n.proof, id: n.id, told: bit(n.proof)}
	if merged, err := t.merge(c); merged || err != nil {
		return err
	}
	return t.addCredit(c)
}

// merge puts what a source tells of a push to what one of another kind has told of it. Two ids are two pushes.
func (t *tx) merge(c credit) (merged bool, err error) {
	for _, old := range t.creditsOf(c.fact) {
		if old.told&c.told != 0 || old.at.Sub(c.at).Abs() > sameWithin || old.id != "" && c.id != "" {
			continue
		}
		if err := t.spend(old); err != nil {
			return false, err
		}
		both := old
		both.id, both.told, both.at = cmp.Or(old.id, c.id), old.told|c.told, later(old.at, c.at)
		if c.proof.Stronger(old.proof) {
			both.proof = c.proof
		}
		return true, t.addCredit(both)
	}
	return false, nil
}

// linked reports whether there are pushes whose id no page has listed.
func (r *rows) linked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.links) > 0
}

func (r *rows) crowdedLinks() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.links) >= linkLimit
}

// linkOf returns the unspent credit of a push with an id.
func (t *tx) linkOf(id string) (credit, bool) {
	o := t.over()
	c, ok := o.links[id]
	if !ok {
		c, ok = t.s.rows.linkOf(id)
	}
	return c, ok && !o.credits[c.seq]
}

func (r *rows) linkOf(id string) (credit, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.links[id]
	return c, ok
}

// disputed reports that a push can't be of the event whose id it came with: its content is another one's. Where no event with
// its content is known the id decides: what is pushed and what is listed may be written differently.
func (t *tx) disputed(push, listed heygen.Fact, at time.Time) bool {
	return !push.IsZero() && !listed.IsZero() && push != listed && (t.waitsFor(push, at) || t.finishedFact(push, at))
}

// waitsFor reports whether an unfinished event with this content is listed that a push of then can be of.
func (t *tx) waitsFor(fact heygen.Fact, at time.Time) (waits bool) {
	if len(t.factRows(fact)) > 0 {
		return true
	}
	for _, stage := range []byte{stageSettling, stageListed} {
		t.stageRows(stage, place{created: at.Add(-creditBefore)}, func(p place, _ entry) bool {
			r, err := t.readOpen(p.id, false)
			waits = err == nil && r != nil && r.fact == fact
			return !waits && p.created.Before(at.Add(creditAfter))
		})
	}
	return waits
}

// finishedFact is waitsFor of finished events.
func (t *tx) finishedFact(fact heygen.Fact, at time.Time) (known bool) {
	hash := factHash(fact)
	for day := dayOf(at.Add(-creditBefore)); day <= dayOf(at.Add(creditAfter)) && !known; day++ {
		t.dayLines(day, func(_ []byte, l line) bool {
			known = l.fact == hash
			return !known
		})
	}
	return known
}

// byContent turns a push whose id is disputed into one without an id. Where the event with its content is finished it says
// nothing new.
func (t *tx) byContent(now time.Time, n named, fact heygen.Fact) error {
	if err := t.unlink(n.id); err != nil || !t.waitsFor(fact, n.at) {
		return err
	}
	return t.recordFact(now, fact, n.at, n.proof)
}

// matched notes that a reported id has met its event. The content of its push accounts for no other one then. A zero fact is one
// that is not known.
func (t *tx) matched(now time.Time, n named, fact heygen.Fact) error {
	if n.proof == Import {
		return t.unlink(n.id)
	}
	t.counts().matched++
	told := bit(n.proof)
	if c, ok := t.linkOf(n.id); ok {
		told |= c.told
	}
	if err := t.unlink(n.id); err != nil {
		return err
	}
	return t.pushed(now, fact, n.at, told)
}

// unlink takes the content of a push away whose id has met its event, or is forgotten.
func (t *tx) unlink(id string) error {
	c, ok := t.linkOf(id)
	if !ok {
		return nil
	}
	return t.spend(c)
}

// genuine reports whether a push may account for an event by its content. One with an id may when the listing had the time
// to show that id and did not. Where that is the id of an event that was finished before this process it is that one's: the
// ledger days in which it can lie are looked through.
func (t *tx) genuine(c credit) bool {
	if c.id == "" {
		return true
	}
	if t.s.notes.lastWalks().Before(c.at.Add(linkAfter)) {
		return false
	}
	known := make(map[string]place)
	for day := dayOf(c.at.Add(-creditBefore)); day <= dayOf(c.at.Add(creditAfter)) && len(known) == 0; day++ {
		t.locateIn(day, map[string]bool{c.id: true}, known)
	}
	return len(known) == 0
}

// account spends a credit on an event. The id that the push came with is the event's from now on.
func (t *tx) account(now time.Time, c credit, r *record, sp spent) error {
	if c.id != "" {
		if _, _, err := t.lateProof(sp, c.id); err != nil {
			return err
		}
		t.counts().matched++
		t.remember(c.id, finished{created: r.created, status: Seen, as: r.id})
	}
	if err := t.spend(c); err != nil {
		return err
	}
	return t.pushed(now, c.fact, c.at, c.told)
}
