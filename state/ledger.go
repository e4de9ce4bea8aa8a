package state

import (
	"encoding/binary"
	"errors"
	"time"

	"backstop/internal/heygen"
)

// entryFlags of a ledger line.
const (
	flagTwin    = 1 << iota // seen only as the twin of another: it is no kept event for a third
	flagDetails             // it has a row in details
	flagContent             // its proof is a push with its content; details tell which
)

// line is the payload of a finished event in the ledger, 37 bytes.
type line struct {
	status Status
	proof  Proof
	kind   uint16 // number of the event type
	at     time.Time
	entity uint64
	fact   uint64
	flags  byte
	listed time.Time // first listing
}

func (l line) encode() []byte {
	b := make([]byte, 0, 37)
	b = append(b, byte(l.status), byte(l.proof))
	b = binary.BigEndian.AppendUint16(b, l.kind)
	b = appendTime(b, l.at)
	b = appendNumber(b, l.entity)
	b = appendNumber(b, l.fact)
	b = append(b, l.flags)
	return appendTime(b, l.listed)
}

func decodeLine(b []byte) line {
	h := reader(b)
	l := line{status: Status(h.one()), proof: Proof(h.one())}
	l.kind = uint16(h.one())<<8 | uint16(h.one())
	l.at = timeAt(h.take(8))
	l.entity, l.fact, l.flags = h.number(), h.number(), h.one()
	l.listed = timeAt(h.take(8))
	return l
}

// receipt reports whether the line says that the receiver has the event by itself: a baseline is no receipt, and a twin has
// only what its kept event has.
func (l line) receipt() bool {
	return l.status == Seen && l.proof != Baseline && l.flags&flagTwin == 0
}

// ledgerKey is the key of an event in the sub-bucket of its day.
func (p place) ledgerKey() []byte {
	if p.created.IsZero() {
		return []byte(p.id)
	}
	return p.key()
}

func ledgerPlace(day uint32, key []byte) place {
	if day == 0 {
		return place{id: string(key)}
	}
	return placeOf(key)
}

// ledgerLine returns the line of an event under exactly this created_at. A damaged one counts as none.
func (t *tx) ledgerLine(p place) (line, bool, error) {
	b := t.day(bucketLedger, dayOf(p.created))
	if b == nil {
		return line{}, false, nil
	}
	payload, ok, err := t.get(b, p.ledgerKey())
	if errors.Is(err, errBadRecord) {
		return line{}, false, t.spoilLine(b, p)
	}
	return decodeLine(payload), ok, err
}

// putLine stores a line, in place of old where there is one, and keeps counts and the day's last handling in step.
func (t *tx) putLine(now time.Time, p place, old *line, l line) error {
	day := dayOf(p.created)
	b, err := t.makeDay(bucketLedger, day)
	if err != nil {
		return err
	}
	if err := t.put(b, p.ledgerKey(), l.encode()); err != nil {
		return err
	}
	if old != nil {
		t.countLine(*old, -1)
	}
	t.countLine(l, 1)
	t.movedLine(p, old, l)
	return t.touchDay(day, now)
}

// dropLine deletes a line and its details.
func (t *tx) dropLine(p place, l line) error {
	day := dayOf(p.created)
	if err := t.delete(t.day(bucketLedger, day), p.ledgerKey()); err != nil {
		return err
	}
	t.countLine(l, -1)
	t.remember(p.id, finished{})
	if b := t.day(bucketDetails, day); b != nil {
		return t.delete(b, p.ledgerKey())
	}
	return nil
}

func (t *tx) countLine(l line, n int64) {
	c := t.counts()
	if l.status >= Settling && l.status <= Ignored {
		c.status[l.status] += n
	}
	if l.status == Seen && l.proof == Baseline {
		c.baseline += n
	}
}

// newLine is the line of an event that was finished.
func (t *tx) newLine(e heygen.Event, fact heygen.Fact, entity string, status Status, proof Proof, at time.Time) (line, error) {
	kind, err := t.typeNumber(e.Type)
	return line{
		status: status, proof: proof, kind: kind, at: at, entity: heygen.HashEntity(entity), fact: factHash(fact),
	}, err
}

// ledgerDays lists the days of the ledger, oldest first.
func (t *tx) ledgerDays() []uint32 {
	var days []uint32
	c := t.bucket(bucketLedger).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if v == nil && len(k) == 4 {
			days = append(days, binary.BigEndian.Uint32(k))
		}
	}
	return days
}

// dayLines calls fn with the lines of one ledger day, oldest first, until it returns false. The key is valid only within fn.
func (t *tx) dayLines(day uint32, fn func(key []byte, l line) bool) {
	b := t.day(bucketLedger, day)
	if b == nil {
		return
	}
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if payload, ok := unseal(k, v); ok && !fn(k, decodeLine(payload)) {
			return
		}
	}
}

// keyID is the id in a ledger key.
func keyID(day uint32, key []byte) []byte {
	if day == 0 {
		return key
	}
	return tail(key, 8)
}

// locate finds ids whose created_at is not known: first among what was finished lately, then by reading the ledger, newest
// day first, one short transaction a day.
func (s *Store) locate(ids []string) (map[string]place, error) {
	found := make(map[string]place)
	wanted := make(map[string]bool)
	var days []uint32
	err := s.view(func(t *tx) error {
		days = t.ledgerDays()
		for _, id := range ids {
			if f, ok := t.recentOf(id); ok && f.status != 0 {
				found[id] = place{f.created, id}
			} else {
				wanted[id] = true
			}
		}
		return nil
	})
	for i := len(days) - 1; i >= 0 && len(wanted) > 0 && err == nil; i-- {
		err = s.view(func(t *tx) error { t.locateIn(days[i], wanted, found); return nil })
	}
	return found, err
}

func (t *tx) locateIn(day uint32, wanted map[string]bool, found map[string]place) {
	t.dayLines(day, func(key []byte, _ line) bool {
		if id := keyID(day, key); wanted[string(id)] {
			found[string(id)] = ledgerPlace(day, key)
			delete(wanted, string(id))
		}
		return len(wanted) > 0
	})
}
