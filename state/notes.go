package state

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"backstop/internal/heygen"
)

// notes are the marks, the coverage and the last passes as they are now. They may be ahead of the file: what an idle pass
// adds to them rides the next commit, so that it costs none of its own.
type notes struct {
	mu     sync.Mutex
	walked map[walkKey]walked
	covers map[heygen.Query][]Range // never changed in place
	passes []Pass                   // oldest first, not in the file yet
	marked map[walkKey]bool         // walked that the file does not have yet
	dirty  map[heygen.Query]bool    // the same, of covers
}

// loadNotes fills the memory. What is damaged counts as never walked: it is walked again.
func (t *tx) loadNotes() {
	n := &t.s.notes
	n.mu.Lock()
	defer n.mu.Unlock()
	n.walked, n.marked = make(map[walkKey]walked), make(map[walkKey]bool)
	n.covers, n.dirty = make(map[heygen.Query][]Range), make(map[heygen.Query]bool)
	t.payloads(bucketMarks, func(key, payload []byte) { n.walked[parseWalkKey(key)] = decodeWalked(payload) })
	t.payloads(bucketCoverage, func(key, payload []byte) { n.covers[parseQuery(key)] = decodeRanges(payload) })
}

// payloads calls fn with every undamaged record of a small bucket.
func (t *tx) payloads(bucket string, fn func(key, payload []byte)) {
	c := t.bucket(bucket).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if payload, ok := unseal(k, v); ok {
			fn(k, payload)
		}
	}
}

// finish takes in a complete walk and reports whether its query had no mark before.
func (n *notes) finish(e WalkEnd) (first bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := walkKey{e.Query, e.Kind}
	old, known := n.walked[key]
	if now := old.advance(e); now != old || !known {
		n.walked[key] = now
		n.marked[key] = true
	}
	if now := merge(n.covers[e.Query], Range{e.From, e.To}); !slices.Equal(now, n.covers[e.Query]) {
		n.covers[e.Query] = now
		n.dirty[e.Query] = true
	}
	return !known
}

// covered returns a copy of the coverage of a query.
func (n *notes) covered(q heygen.Query) []Range {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.covers[q])
}

// note takes in a pass.
func (n *notes) note(p Pass) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.passes = append(n.passes, p)
	n.passes = n.passes[max(0, len(n.passes)-keptPasses):]
}

// waiting reports whether anything is not in the file yet.
func (n *notes) waiting() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.marked)+len(n.dirty)+len(n.passes) > 0
}

// pending is what waits in memory, as it was when a transaction began to write it.
type pending struct {
	walked map[walkKey]walked
	covers map[heygen.Query][]Range
	passes []Pass
}

func (n *notes) pending() pending {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := pending{walked: make(map[walkKey]walked), covers: make(map[heygen.Query][]Range), passes: slices.Clone(n.passes)}
	for key := range maps.Keys(n.marked) {
		p.walked[key] = n.walked[key]
	}
	for q := range maps.Keys(n.dirty) {
		p.covers[q] = n.covers[q]
	}
	return p
}

// written forgets that p waits, but for what has changed again since.
func (n *notes) written(p pending) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key, w := range p.walked {
		if n.walked[key] == w {
			delete(n.marked, key)
		}
	}
	for q, ranges := range p.covers {
		if slices.Equal(n.covers[q], ranges) {
			delete(n.dirty, q)
		}
	}
	// Passes are added at the end, and fall off the front only when there are too many to keep.
	done := len(p.passes)
	if done > 0 {
		last := p.passes[done-1]
		if i := slices.Index(n.passes, last); i >= 0 {
			n.passes = slices.Clone(n.passes[i+1:])
		}
	}
}

// writeNotes lets what waits in memory ride this transaction.
func (t *tx) writeNotes() error {
	p := t.s.notes.pending()
	for key, w := range p.walked {
		if err := t.put(t.bucket(bucketMarks), key.bytes(), w.encode()); err != nil {
			return fmt.Errorf("write a mark: %w", err)
		}
	}
	for q, ranges := range p.covers {
		if err := t.put(t.bucket(bucketCoverage), queryKey(q), encodeRanges(ranges)); err != nil {
			return fmt.Errorf("write coverage: %w", err)
		}
	}
	if err := t.writePasses(p.passes); err != nil {
		return fmt.Errorf("write a pass: %w", err)
	}
	t.after(func() { t.s.notes.written(p) })
	return nil
}
