package state

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"backstop/internal/heygen"
)

// appendFill is how full pages of append-ordered buckets are made.
const appendFill = 0.9

// tx is one transaction on the file, for reading, or for writing shared by all callers of one group commit. What it hands
// out shares the file's memory and is valid only until the transaction ends: rows are copied out.
type tx struct {
	bolt *bbolt.Tx
	s    *Store

	changed bool
	tally   *counts           // staged counters; nil until asked for
	before  counts            // the counters at the start
	types   map[string]uint16 // type numbers given out in this transaction
	done    []func()
	changes []Change   // how events have moved
	news    []happened // to be counted for those who are told
	keys    heygen.Keys
	buckets map[bucketName]*bbolt.Bucket    // of a reader; for a writer bbolt keeps them itself
	cursors map[*bbolt.Bucket]*bbolt.Cursor // for get, which would else make one for each key
	touched map[uint32]bool                 // ledger days whose last handling is written
	damaged bool                            // a value was met that could not be read
	hand    uint64                          // number of the manual act whose events are being finished; 0: none
}

// bucketName is a top-level bucket, or the sub-bucket of a day.
type bucketName struct {
	parent string
	day    uint32
	isDay  bool
}

func newTx(s *Store, bolt *bbolt.Tx) *tx {
	return &tx{bolt: bolt, s: s}
}

// after has fn run once the transaction has succeeded, in order, before the callers are answered. Everything a transaction
// does to memory goes through it: the function that a caller gave to update may run more than once.
func (t *tx) after(fn func()) {
	t.done = append(t.done, fn)
}

// dirty notes that something was changed. A transaction that nothing marked is not committed.
func (t *tx) dirty() {
	t.changed = true
}

// bucket returns a top-level bucket. All of them exist from the creation of the file.
func (t *tx) bucket(name string) *bbolt.Bucket {
	return t.kept(bucketName{parent: name}, func() *bbolt.Bucket {
		b := t.bolt.Bucket([]byte(name))
		if b != nil && appendOrdered(name) {
			b.FillPercent = appendFill
		}
		return b
	})
}

// kept finds a bucket once for a reader.
func (t *tx) kept(name bucketName, find func() *bbolt.Bucket) *bbolt.Bucket {
	if t.bolt.Writable() {
		return find()
	}
	b, ok := t.buckets[name]
	if !ok {
		if t.buckets == nil {
			t.buckets = make(map[bucketName]*bbolt.Bucket)
		}
		b = find()
		t.buckets[name] = b
	}
	return b
}

// day returns the sub-bucket of one UTC day of bucketLedger or bucketDetails; nil when there is none.
func (t *tx) day(parent string, day uint32) *bbolt.Bucket {
	return t.kept(bucketName{parent, day, true}, func() *bbolt.Bucket {
		b := t.bucket(parent).Bucket(dayKey(day))
		if b != nil {
			b.FillPercent = appendFill
		}
		return b
	})
}

// makeDay is day, and creates the sub-bucket where it is missing.
func (t *tx) makeDay(parent string, day uint32) (*bbolt.Bucket, error) {
	if b := t.day(parent, day); b != nil {
		return b, nil
	}
	b, err := t.bucket(parent).CreateBucket(dayKey(day))
	if err != nil {
		return nil, fmt.Errorf("create %s of day %d: %w", parent, day, err)
	}
	t.dirty()
	b.FillPercent = appendFill
	return b, nil
}

// put seals the payload and stores it.
func (t *tx) put(b *bbolt.Bucket, key, payload []byte) error {
	if err := b.Put(key, seal(key, payload)); err != nil {
		return fmt.Errorf("put %q: %w", key, err)
	}
	t.dirty()
	return nil
}

// get returns the payload under a key, errBadRecord when its checksum does not hold.
func (t *tx) get(b *bbolt.Bucket, key []byte) (payload []byte, ok bool, err error) {
	c := t.cursors[b]
	if c == nil {
		if t.cursors == nil {
			t.cursors = make(map[*bbolt.Bucket]*bbolt.Cursor)
		}
		c = b.Cursor()
		t.cursors[b] = c
	}
	found, sealed := c.Seek(key) // from the root, whatever was written since
	if sealed == nil || !bytes.Equal(found, key) {
		return nil, false, nil
	}
	payload, ok = unseal(key, sealed)
	if !ok {
		t.damaged = true
		return nil, false, errBadRecord
	}
	return payload, true, nil
}

// delete removes a key; one that is not there is no error and no change.
func (t *tx) delete(b *bbolt.Bucket, key []byte) error {
	if b.Get(key) == nil {
		return nil
	}
	if err := b.Delete(key); err != nil {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	t.dirty()
	return nil
}

// counts returns the counters as this transaction sees them. A writer changes them in place; they are stored with the
// transaction.
func (t *tx) counts() *counts {
	if t.tally == nil {
		t.before = t.readCounts()
		staged := t.before
		t.tally = &staged
	}
	return t.tally
}

// readCounts takes a damaged record for zeroes: Check says so, and Open counts anew.
func (t *tx) readCounts() counts {
	payload, _, err := t.get(t.bucket(bucketMeta), []byte(metaCounts))
	if err != nil {
		return counts{}
	}
	return decodeCounts(payload)
}

// typeNumber returns the number of an event type, and gives out a new one where it has none. When all 65,535 are given out
// it answers 0, whose name is empty.
func (t *tx) typeNumber(name string) (uint16, error) {
	if n, ok := t.s.types.number(name); ok {
		return n, nil
	}
	if n, ok := t.types[name]; ok {
		return n, nil
	}
	next := t.s.types.count() + len(t.types) + 1
	if next > 1<<16-1 {
		return 0, nil
	}
	n := uint16(next)
	if err := t.put(t.bucket(bucketTypes), binary.BigEndian.AppendUint16(nil, n), []byte(name)); err != nil {
		return 0, err
	}
	if t.types == nil {
		t.types = make(map[string]uint16)
	}
	t.types[name] = n
	t.after(func() { t.s.types.add(name) })
	return n, nil
}

// typeName returns the event type of a number, "" for one that was never given out.
func (t *tx) typeName(n uint16) string {
	if name := t.s.types.name(n); name != "" {
		return name
	}
	for name, number := range t.types {
		if number == n {
			return name
		}
	}
	return ""
}
