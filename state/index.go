package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"backstop/internal/heygen"
)

// The kinds of index keys. The first six are the stages: every open record has exactly one of them, under its created_at,
// and doc.go draws it. The others exist so that one seek answers what would else be a scan:
//
//	'e' ‖ entity hash 8 ‖ created_at 8 ‖ id    of stages m and o, but not of withheld ones: which event of an entity is the oldest
//	'f' ‖ fact hash 8 ‖ created_at 8 ‖ id      of stages m, o and d: which events a late push of this content proves
//	'k' ‖ length 2 ‖ kept id ‖ id              of stage t: which twins wait for an event
const (
	stageSettling = 's'
	stageListed   = 'l'
	stageLive     = 'm'
	stageOld      = 'o'
	stageDead     = 'd'
	stageTwin     = 't'

	byEntity = 'e'
	byFact   = 'f'
	byKept   = 'k'
)

// stages lists the stages.
func stages() []byte {
	return []byte{stageSettling, stageListed, stageLive, stageOld, stageDead, stageTwin}
}

// stage says in which stage a record is; 0 for a status that no open record may have.
func (r *record) stage() byte {
	switch r.status {
	case Settling:
		return stageSettling
	case Listed:
		return stageListed
	case Missed, Replaying:
		if r.lane == Old {
			return stageOld
		}
		return stageLive
	case Dead:
		return stageDead
	case Seen:
		return stageTwin
	}
	return 0
}

// entry is the payload of a stage key: what a scan needs without reading the record.
type entry struct {
	status      Status
	manual      bool
	due         time.Time
	entity      uint64
	fact        uint64
	walk, epoch uint64
	tried       time.Time // the last attempt
	withheld    bool
}

func (r *record) entry() entry {
	e := entry{
		status: r.status, manual: r.manual, due: r.due, entity: heygen.HashEntity(r.entity), fact: factHash(r.fact),
		walk: r.walk, epoch: r.epoch, withheld: r.withheld,
	}
	if last := r.last(); last != nil {
		e.tried = last.At
	}
	return e
}

func (e entry) encode() []byte {
	b := appendBool([]byte{byte(e.status)}, e.manual)
	b = appendMoment(b, e.due)
	b = appendNumber(b, e.entity)
	b = appendNumber(b, e.fact)
	b = appendNumber(b, e.walk)
	b = appendNumber(b, e.epoch)
	b = appendMoment(b, e.tried)
	return appendBool(b, e.withheld)
}

func decodeEntry(b []byte) entry {
	h := reader(b)
	return entry{
		status: Status(h.one()), manual: h.one() != 0, due: h.moment(), entity: h.number(), fact: h.number(),
		walk: h.number(), epoch: h.number(), tried: h.moment(), withheld: h.one() != 0,
	}
}

// factHash is the short form of a fact; 0 only for the zero fact.
func factHash(f heygen.Fact) uint64 {
	if f.IsZero() {
		return 0
	}
	return max(1, binary.BigEndian.Uint64(f[:]))
}

// place is where an event stands in every order by created_at: undated ones first, ids break ties.
type place struct {
	created time.Time
	id      string
}

func (p place) key() []byte {
	return append(appendTime(make([]byte, 0, 8+len(p.id)), p.created), p.id...)
}

func placeOf(key []byte) place { return place{timeAt(key), string(tail(key, 8))} }

// before reports whether p is the older one.
func (p place) before(q place) bool {
	if !p.created.Equal(q.created) {
		return p.created.Before(q.created)
	}
	return p.id < q.id
}

func (r *record) place() place { return place{r.created, r.id} }

func stageKey(stage byte, p place) []byte { return append([]byte{stage}, p.key()...) }

func hashKey(kind byte, hash uint64, p place) []byte {
	return append(appendNumber([]byte{kind}, hash), p.key()...)
}

func keptPrefix(kept string) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{byKept}, uint16(len(kept))), kept...)
}

// indexKeys are the keys of a record, each with its payload.
func (r *record) indexKeys() map[string][]byte {
	e, stage := r.entry(), r.stage()
	keys := map[string][]byte{string(stageKey(stage, r.place())): e.encode()}
	waits := stage == stageLive || stage == stageOld
	if waits && e.entity != 0 && !r.withheld { // a withheld one keeps no other waiting
		keys[string(hashKey(byEntity, e.entity, r.place()))] = appendBool(nil, r.manual)
	}
	if (waits || stage == stageDead) && e.fact != 0 {
		keys[string(hashKey(byFact, e.fact, r.place()))] = nil
	}
	if stage == stageTwin {
		keys[string(append(keptPrefix(r.twin), r.id...))] = nil
	}
	return keys
}

// saveOpen stores a record, whose state before was old (nil: it is new), and keeps index and counts in step.
func (t *tx) saveOpen(old, r *record) error {
	if r.stage() == 0 {
		return fmt.Errorf("event %q: status %s is not for an unfinished event", r.id, r.status) // unreachable: callers set it
	}
	keys := r.indexKeys()
	if err := t.unindex(old, keys); err != nil {
		return err
	}
	if err := t.index(keys); err != nil {
		return err
	}
	t.counts().add(r, 1)
	t.movedOpen(old, r)
	if err := t.runOpen(r.at, old, r); err != nil {
		return err
	}
	return t.put(t.bucket(bucketOpen), []byte(r.id), r.encode())
}

// dropOpen deletes a record with its event_data.
func (t *tx) dropOpen(r *record) error {
	if err := t.unindex(r, nil); err != nil {
		return err
	}
	return t.delete(t.bucket(bucketOpen), []byte(r.id))
}

// unindex takes a record out of the index and the counts, but for the keys that stay.
func (t *tx) unindex(r *record, stay map[string][]byte) error {
	if r == nil {
		return nil
	}
	t.counts().add(r, -1)
	for key := range r.indexKeys() {
		if _, ok := stay[key]; ok {
			continue
		}
		if err := t.delete(t.bucket(bucketIndex), []byte(key)); err != nil {
			return err
		}
	}
	return nil
}

// open returns the record of an unfinished event with its data, nil when there is none. A damaged one counts as none: a
// writer moves it to the quarantine, and the listing brings the event again.
func (t *tx) open(id string) (*record, error) { return t.readOpen(id, true) }

func (t *tx) readOpen(id string, withData bool) (*record, error) {
	payload, ok, err := t.get(t.bucket(bucketOpen), []byte(id))
	if ok {
		r, decodeErr := decodeRecord(id, payload, withData)
		if decodeErr == nil && r.stage() != 0 {
			return r, nil
		}
		t.damaged, err = true, errBadRecord
	}
	if errors.Is(err, errBadRecord) {
		return nil, t.spoilOpen(id)
	}
	return nil, err
}

// reopen returns two copies of an unfinished event: as it is, and to be changed. Both are nil when there is none.
func (t *tx) reopen(id string) (old, r *record, err error) {
	old, err = t.open(id)
	if old == nil {
		return nil, nil, err
	}
	copied := *old
	copied.attempts = append([]Attempt(nil), old.attempts...)
	return old, &copied, nil
}

// stageRows calls fn with the rows of a stage from a place on, oldest first, until it returns false. A damaged entry is
// passed over; Check names it, and a changed record writes it anew.
func (t *tx) stageRows(stage byte, from place, fn func(place, entry) bool) {
	t.prefixRows(stageKey(stage, from), 1, func(key, payload []byte) bool {
		return fn(placeOf(key[1:]), decodeEntry(payload))
	})
}

// prefixRows calls fn with every index key from a key on that shares its first n bytes. Damage in the index is repaired from
// the records by the next mend.
func (t *tx) prefixRows(from []byte, n int, fn func(key, payload []byte) bool) {
	c := t.bucket(bucketIndex).Cursor()
	for k, v := c.Seek(from); len(k) >= n && string(k[:n]) == string(from[:n]); k, v = c.Next() {
		payload, ok := unseal(k, v)
		if !ok {
			t.s.rows.bent.Store(true)
			continue
		}
		if !fn(k, payload) {
			return
		}
	}
}

// mend rebuilds the index from the records where a reader met damage in it. A crash before the commit leaves the damage,
// which the next reader meets again.
func (s *Store) mend() error {
	if !s.rows.bent.Swap(false) {
		return nil
	}
	return s.update(false, func(t *tx) error {
		if err := t.bolt.DeleteBucket([]byte(bucketIndex)); err != nil {
			return fmt.Errorf("rebuild the index: %w", err)
		}
		if _, err := t.bolt.CreateBucket([]byte(bucketIndex)); err != nil {
			return fmt.Errorf("rebuild the index: %w", err)
		}
		t.dirty()
		return t.reindex()
	})
}

func (t *tx) reindex() error {
	var failed error
	t.each(t.bucket(bucketOpen), func(key, payload []byte) bool {
		r, err := decodeRecord(string(key), payload, false)
		if err != nil || r.stage() == 0 {
			return true // the record itself is damaged, and goes to the quarantine when it is met
		}
		failed = t.index(r.indexKeys())
		return failed == nil
	})
	return failed
}

func (t *tx) index(keys map[string][]byte) error {
	for key, payload := range keys {
		if err := t.put(t.bucket(bucketIndex), []byte(key), payload); err != nil {
			return err
		}
	}
	return nil
}

// twinsOf lists the ids that wait for an event.
func (t *tx) twinsOf(kept string) []string {
	var ids []string
	prefix := keptPrefix(kept)
	t.prefixRows(prefix, len(prefix), func(key, _ []byte) bool {
		ids = append(ids, string(key[len(prefix):]))
		return true
	})
	return ids
}

// factRows lists the missed and dead events with a fact, oldest first.
func (t *tx) factRows(fact heygen.Fact) []place {
	if fact.IsZero() {
		return nil
	}
	var rows []place
	prefix := appendNumber([]byte{byFact}, factHash(fact))
	t.prefixRows(prefix, len(prefix), func(key, _ []byte) bool {
		rows = append(rows, placeOf(key[len(prefix):]))
		return true
	})
	return rows
}
