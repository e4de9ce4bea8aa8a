package state

import (
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"backstop/internal/heygen"
)

// defaultSettle bounds how far created_at may lie behind the arrival of an anonymous push, until a Look says better.
const defaultSettle = 5 * time.Minute

// recentLimit bounds how many finished ids are remembered without a look into the ledger.
const recentLimit = 50_000

// report is one id that a recorder knows and no page has listed yet. There may be very many, so it is small.
type report struct {
	seq     uint64 // of its value in the inbox
	seconds int64  // when the receiver got it, as unix time: what is stored, too
	proof   Proof
}

func reportOf(seq uint64, n named) report {
	return report{seq: seq, seconds: n.at.Unix(), proof: n.proof}
}

func (r report) at() time.Time { return time.Unix(r.seconds, 0).UTC() }

// finished says where an event that was finished in this process lies in the ledger.
type finished struct {
	created time.Time
	status  Status // 0: forgotten again
	as      string // of an id that no listing has: the event that its push accounted for; "": the id's own
}

// flight is an attempt under way in this process.
type flight struct {
	entity  uint64
	created time.Time
}

// rows is the memory of the life of events. What is in it follows the commits, through tx.after; what a transaction has
// done and not yet committed is in its overlay.
type rows struct {
	mu       sync.Mutex
	epoch    uint64 // this process; walks of another one have ended
	settle   time.Duration
	collapse time.Duration
	inbox    map[string]report
	crowd    int                      // the most that were in inbox since it was made
	credits  map[heygen.Fact][]credit // in the order of their use
	links    map[string]credit        // those that came with an id, by it
	recent   map[string]finished
	order    []string // of recent, a ring
	next     int      // place in order
	flying   map[string]flight
	told     map[heygen.Fact][]telling // what was accounted for lately, and may be told again
	aged     time.Time                 // when the inbox was aged last
	swept    string                    // how far reported was looked through; only writers use it

	tellingCount uint64      // numbers given out
	anonymous    atomic.Bool // a push without an id was told of in this process, or waits from one before

	bent atomic.Bool // a reader met damage in the index; see mend

	pending overlay
}

// overlay is what the running write transaction has done to rows. Writers run one after another, so there is one.
type overlay struct {
	owner   *tx
	inbox   map[string]*report // nil: taken out
	credits map[uint64]bool    // spent
	added   map[heygen.Fact][]credit
	links   map[string]credit
	recent  map[string]finished
	flying  map[string]*flight // nil: landed
	told    map[uint64]uint16  // bits added to tellings, by their number
}

// over returns the overlay of a write transaction. It belongs to the goroutine that runs the transaction.
func (t *tx) over() *overlay {
	o := &t.s.rows.pending
	if o.owner != t {
		*o = overlay{
			owner: t, inbox: make(map[string]*report), credits: make(map[uint64]bool), added: make(map[heygen.Fact][]credit),
			links:  make(map[string]credit),
			recent: make(map[string]finished), flying: make(map[string]*flight),
			told: make(map[uint64]uint16),
		}
	}
	return o
}

// loadRows fills the memory of the life of events when the file is opened.
func (t *tx) loadRows() error {
	r := &t.s.rows
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch = rand.Uint64() | 1
	r.settle, r.collapse = defaultSettle, t.s.options.CollapseWindow
	r.inbox = make(map[string]report)
	r.credits = make(map[heygen.Fact][]credit)
	r.links = make(map[string]credit)
	r.recent = make(map[string]finished)
	r.flying = make(map[string]flight)
	r.told = make(map[heygen.Fact][]telling)
	t.loadInbox(r)
	t.loadCredits(r)
	return nil
}

// recentOf returns what is remembered of an event that was finished in this process.
func (t *tx) recentOf(id string) (finished, bool) {
	if t.bolt.Writable() {
		if f, ok := t.over().recent[id]; ok {
			return f, true
		}
	}
	r := &t.s.rows
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.recent[id]
	return f, ok
}

// remember notes where a finished event lies; a zero status forgets it.
func (t *tx) remember(id string, f finished) {
	id = strings.Clone(id) // it may be a part of a whole page
	t.over().recent[id] = f
	t.after(func() { t.s.rows.remember(id, f) })
}

func (r *rows) remember(id string, f finished) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.recent[id]; ok {
		r.recent[id] = f
		return
	}
	if len(r.order) < recentLimit {
		r.order = append(r.order, id)
	} else {
		delete(r.recent, r.order[r.next])
		r.order[r.next] = id
	}
	r.next = (r.next + 1) % recentLimit
	r.recent[id] = f
}

// flightOf returns the attempt of an event that is under way.
func (t *tx) flightOf(id string) (flight, bool) {
	if t.bolt.Writable() {
		if f, ok := t.over().flying[id]; ok {
			if f == nil {
				return flight{}, false
			}
			return *f, true
		}
	}
	r := &t.s.rows
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.flying[id]
	return f, ok
}

// entityFlies reports whether an attempt for an entity is under way.
func (t *tx) entityFlies(entity uint64) bool {
	if entity == 0 {
		return false
	}
	var o *overlay
	if t.bolt.Writable() {
		o = t.over()
		for _, f := range o.flying {
			if f != nil && f.entity == entity {
				return true
			}
		}
	}
	r := &t.s.rows
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, f := range r.flying {
		if f.entity != entity {
			continue
		}
		if o != nil {
			if _, changed := o.flying[id]; changed {
				continue
			}
		}
		return true
	}
	return false
}

// fly and land note that an attempt is under way, and that it is over.
func (t *tx) fly(id string, f flight) {
	t.over().flying[id] = &f
	t.after(func() {
		t.s.rows.mu.Lock()
		defer t.s.rows.mu.Unlock()
		t.s.rows.flying[id] = f
	})
}

func (t *tx) land(id string) {
	t.over().flying[id] = nil
	t.after(func() {
		t.s.rows.mu.Lock()
		defer t.s.rows.mu.Unlock()
		delete(t.s.rows.flying, id)
	})
}

// each calls fn with every key and payload of a bucket whose checksum holds, until fn returns false.
func (t *tx) each(b *bbolt.Bucket, fn func(key, payload []byte) bool) {
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if v == nil {
			continue
		}
		if payload, ok := unseal(k, v); ok && !fn(k, payload) {
			return
		}
	}
}

// window is the collapse window of the last Look, which a reload may have changed.
func (r *rows) window() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.collapse
}
