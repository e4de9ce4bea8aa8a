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

// credit is one anonymous push.
type credit struct {
	seq   uint64
	fact  heygen.Fact
	at    time.Time // received
	proof Proof
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
		r.credits[c.fact] = append(r.credits[c.fact], c)
		return true
	})
}

// addCredit stores an anonymous push that accounts for no event yet.
func (t *tx) addCredit(fact heygen.Fact, at time.Time, proof Proof) error {
	b := t.bucket(bucketCredits)
	seq, err := b.NextSequence()
	if err != nil {
		return err
	}
	c := credit{seq: seq, fact: fact, at: at.Truncate(time.Second), proof: proof}
	t.counts().credits++
	o := t.over()
	o.added[fact] = append(o.added[fact], c)
	t.after(func() { t.s.rows.addCredit(c) })
	return t.put(b, c.key(), append(slices.Clone(fact[:]), byte(proof)))
}

func (r *rows) addCredit(c credit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.credits[c.fact] = append(r.credits[c.fact], c)
	slices.SortFunc(r.credits[c.fact], byArrival)
}

func byArrival(a, b credit) int {
	if n := a.at.Compare(b.at); n != 0 {
		return n
	}
	return int(min(1, max(-1, int64(a.seq)-int64(b.seq))))
}

// creditsOf copies the credits of a fact, oldest first.
func (r *rows) creditsOf(fact heygen.Fact) []credit {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.credits[fact])
}

// creditFor returns the oldest unspent credit that accounts for an event; want, where not 0, is the one to prefer.
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
	slices.SortFunc(all, byArrival)
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
