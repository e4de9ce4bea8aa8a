package state

import (
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

// creditsOf returns the unspent credits of a fact in the order of their use.
func (t *tx) creditsOf(fact heygen.Fact) []credit {
	o := t.over()
	all := append(t.s.rows.creditsOf(fact), o.added[fact]...)
	all = slices.DeleteFunc(all, func(c credit) bool { return o.credits[c.seq] })
	slices.SortFunc(all, byUse)
	return all
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
