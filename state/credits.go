package state

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"backstop/internal/heygen"
)

// An anonymous push accounts for an event that was created up to creditBefore before it, which is how long HeyGen tries
// again and an hour; unspent it lapses after creditLapse.
const (
	creditBefore = 25 * time.Hour
	linkAfter    = time.Minute // the listing has an event by then, after its push
	creditAfter  = time.Hour   // how far behind its push created_at is looked for; settle times are shorter
	creditLapse  = 72 * time.Hour
)

const (
	linkLimit   = 50_000  // pushes with an id that are kept with their content, too
	creditLimit = 200_000 // of both kinds: a flood must not fill the memory; beyond it a push without an id is not kept
)

// credit is one push of which the content is known. It accounts for one event, and is anonymous where it came without an id.
type credit struct {
	seq   uint64
	fact  heygen.Fact
	at    time.Time // received
	proof Proof     // the strongest that told of it
	id    string    // linked: the id that it came with, of which no event has been listed yet; "": anonymous
	told  uint16    // bits of the proofs that told of it
}

// ending is how an event ends for which the push accounts.
func (c credit) ending() ending {
	return ending{status: Seen, proof: c.proof, at: c.at, why: c.why(), content: true}
}

// covers reports whether the push can be of an event created then.
func (c credit) covers(created time.Time, settle time.Duration) bool {
	return !created.IsZero() && !created.Before(c.at.Add(-creditBefore)) && !created.After(c.at.Add(settle))
}

// key orders credits by arrival.
func (c credit) key() []byte { return appendNumber(appendTime(nil, c.at), c.seq) }

func (t *tx) loadCredits(r *rows) {
	t.each(t.bucket(bucketCredits), func(key, payload []byte) bool {
		c := credit{at: timeAt(key), seq: numberAt(tail(key, 8))}
		h := reader(payload)
		copy(c.fact[:], h.take(len(c.fact)))
		c.proof = Proof(h.one())
		c.id = h.text()
		c.told = numberOfBits(h.take(2)) | bit(c.proof)
		r.keepCredit(c)
		if c.id == "" {
			r.anonymous.Store(true)
		}
		return true
	})
}

// keepCredit keeps one in memory. It needs r.mu.
func (r *rows) keepCredit(c credit) {
	i, _ := slices.BinarySearchFunc(r.credits[c.fact], c, byUse)
	r.credits[c.fact] = slices.Insert(r.credits[c.fact], i, c)
	if c.id != "" {
		r.links[c.id] = c
	}
}

// addCredit stores a push that accounts for no event yet; its number is given here.
func (t *tx) addCredit(c credit) error {
	if t.counts().credits >= creditLimit {
		return nil
	}
	b := t.bucket(bucketCredits)
	seq, err := b.NextSequence()
	if err != nil {
		return err
	}
	c.seq, c.at = seq, c.at.Truncate(time.Second)
	t.counts().credits++
	o := t.over()
	o.added[c.fact] = append(o.added[c.fact], c)
	if c.id != "" {
		o.links[c.id] = c
	}
	t.after(func() { t.s.rows.addCredit(c) })
	payload := appendText(append(slices.Clone(c.fact[:]), byte(c.proof)), c.id)
	return t.put(b, c.key(), binary.BigEndian.AppendUint16(payload, c.told))
}

func (r *rows) addCredit(c credit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keepCredit(c)
}

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

// creditsOf returns the unspent credits of a fact in the order of their use.
func (t *tx) creditsOf(fact heygen.Fact) []credit {
	o := t.over()
	all := append(t.s.rows.creditsOf(fact), o.added[fact]...)
	all = slices.DeleteFunc(all, func(c credit) bool { return o.credits[c.seq] })
	slices.SortFunc(all, byUse)
	return all
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

// byUse is the order in which credits are used: anonymous ones first, for of another an event with its id may still be listed.
func byUse(a, b credit) int {
	if (a.id == "") != (b.id == "") {
		if a.id == "" {
			return -1
		}
		return 1
	}
	return byArrival(a, b)
}

func byArrival(a, b credit) int {
	if n := a.at.Compare(b.at); n != 0 {
		return n
	}
	return int(min(1, max(-1, int64(a.seq)-int64(b.seq))))
}

// creditsOf copies the credits of a fact in the order of their use.
func (r *rows) creditsOf(fact heygen.Fact) []credit {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.credits[fact])
}

// creditFor returns the first unspent credit that accounts for an event; want, where not 0, is the one to prefer.
func (t *tx) creditFor(fact heygen.Fact, created time.Time, want uint64) (credit, bool) {
	if fact.IsZero() {
		return credit{}, false
	}
	all := slices.DeleteFunc(t.creditsOf(fact), func(c credit) bool { return !c.covers(created, t.s.rows.slack()) || !t.genuine(c) })
	if len(all) == 0 {
		return credit{}, false
	}
	if i := slices.IndexFunc(all, func(c credit) bool { return c.seq == want }); i >= 0 {
		return all[i], true
	}
	return all[0], true
}

// slack is the settle time that the last Look was given.
func (r *rows) slack() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settle
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

// why tells how a credit proves an event.
func (c credit) why() string { return CreditWhy(c.proof, c.id, c.at) }

// CreditWhy tells in words that a push accounts for an event by its content; id is the one that it came with, "" for none.
func CreditWhy(proof Proof, id string, at time.Time) string {
	if id == "" {
		return proof.Why(at) + ", without an id: matched by content"
	}
	return proof.Why(at) + ", with another id (" + id + "): matched by content"
}

// spend takes a credit for good.
func (t *tx) spend(c credit) error {
	t.over().credits[c.seq] = true
	t.counts().credits--
	t.after(func() { t.s.rows.dropCredit(c) })
	return t.delete(t.bucket(bucketCredits), c.key())
}

func (r *rows) dropCredit(c credit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.links[c.id].seq == c.seq {
		delete(r.links, c.id)
	}
	left := slices.DeleteFunc(r.credits[c.fact], func(o credit) bool { return o.seq == c.seq })
	if len(left) == 0 {
		delete(r.credits, c.fact)
	} else {
		r.credits[c.fact] = left
	}
}

// lapsed lists the credits that account for nothing any more, a bounded number at a time.
func (r *rows) lapsed(now time.Time) []credit {
	r.mu.Lock()
	defer r.mu.Unlock()
	var old []credit
	for _, list := range r.credits {
		for _, c := range list {
			if c.at.Before(now.Add(-creditLapse)) && len(old) < sweepMost {
				old = append(old, c)
			}
		}
	}
	return old
}
