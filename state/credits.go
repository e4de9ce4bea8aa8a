package state

import (
	"slices"
	"time"

	"backstop/internal/heygen"
)

// An anonymous push accounts for an event that was created up to creditBefore before it, which is how long HeyGen tries
// again and an hour; unspent it lapses after creditLapse.
const (
	creditBefore = 25 * time.Hour
	creditLapse  = 72 * time.Hour
)

// linkLimit bounds how many pushes with an id are kept with their content, too.
const linkLimit = 50_000

// credit is one push of which the content is known. It accounts for one event, and is anonymous where it came without an id.
type credit struct {
	seq   uint64
	fact  heygen.Fact
	at    time.Time // received
	proof Proof
	id    string // linked: the id that it came with, of which no event has been listed yet; "": anonymous
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
		r.keepCredit(c)
		return true
	})
}

// keepCredit keeps one in memory. It needs r.mu.
func (r *rows) keepCredit(c credit) {
	r.credits[c.fact] = append(r.credits[c.fact], c)
	slices.SortFunc(r.credits[c.fact], byUse)
	if c.id != "" {
		r.links[c.id] = c
	}
}

// addCredit stores a push that accounts for no event yet; its number is given here.
func (t *tx) addCredit(c credit) error {
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
	payload := append(slices.Clone(c.fact[:]), byte(c.proof))
	if c.id != "" {
		payload = appendText(payload, c.id)
	}
	return t.put(b, c.key(), payload)
}

func (r *rows) addCredit(c credit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keepCredit(c)
}

// link keeps the content of a push beside its id: should the listing know the event under another id, the content tells.
func (t *tx) link(n named, fact heygen.Fact) error {
	if fact.IsZero() || t.s.rows.crowdedLinks() {
		return nil
	}
	if _, ok := t.linkOf(n.id); ok {
		return nil
	}
	return t.addCredit(credit{fact: fact, at: n.at, proof: n.proof, id: n.id})
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

// unlink takes the content of a push away whose id has met its event, or is forgotten: one push accounts for one event.
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
	o := t.over()
	all := append(t.s.rows.creditsOf(fact), o.added[fact]...)
	all = slices.DeleteFunc(all, func(c credit) bool { return o.credits[c.seq] || !c.covers(created, t.s.rows.slack()) })
	if len(all) == 0 {
		return credit{}, false
	}
	slices.SortFunc(all, byUse)
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

// account spends a credit on an event. The id that the push came with is nobody's any more.
func (t *tx) account(c credit, sp spent) error {
	if c.id != "" {
		if _, _, err := t.lateProof(sp, c.id); err != nil {
			return err
		}
	}
	return t.spend(c)
}

// why tells how a credit proves an event.
func (c credit) why() string { return CreditWhy(c.id, c.at) }

// CreditWhy tells in words that a push accounts for an event by its content; id is the one that it came with, "" for none.
func CreditWhy(id string, at time.Time) string {
	when := at.UTC().Format(time.RFC3339)
	if id == "" {
		return "an anonymous push with its content arrived at " + when
	}
	return "a push with its content and another id (" + id + ") arrived at " + when
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

// lapsed lists the credits that account for nothing any more.
func (r *rows) lapsed(now time.Time) []credit {
	r.mu.Lock()
	defer r.mu.Unlock()
	var old []credit
	for _, list := range r.credits {
		for _, c := range list {
			if c.at.Before(now.Add(-creditLapse)) {
				old = append(old, c)
			}
		}
	}
	return old
}
