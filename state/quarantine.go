package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/bbolt"

	"backstop/internal/heygen"
)

// quarantineLimit bounds the rows that are kept; a listing whose broken row changes with every page must not fill the disk.
const quarantineLimit = 10_000

// ownRecords stands for the query of a record of our own that was damaged.
const ownRecords = "state"

// QuarantinedRow is a row of the listing, or a record of our own, that could
// not be read.
type QuarantinedRow struct {
	heygen.BadRow
	Query string // the walk that met it, or "state" for a record of our own
	At    time.Time
}

// storedBadRow is the JSON behind the time in a quarantine payload.
type storedBadRow struct {
	ID     string `json:"id,omitempty"`
	Reason string `json:"reason"`
	Bytes  int    `json:"bytes"`
	Query  string `json:"query"`
}

// quarantine keeps a row that could not be read, once: it is known by its bytes. It reports whether it was new.
func (t *tx) quarantine(now time.Time, row heygen.BadRow, query string) (bool, error) {
	b, key := t.bucket(bucketQuarantine), appendNumber(nil, row.Sum)
	if b.Get(key) != nil || t.counts().quarantined >= quarantineLimit {
		return false, nil
	}
	text, err := json.Marshal(storedBadRow{ID: row.ID, Reason: row.Reason, Bytes: row.Bytes, Query: query})
	if err != nil {
		return false, fmt.Errorf("quarantine a row: %w", err) // unreachable: strings and numbers always encode
	}
	t.counts().quarantined++
	return true, t.put(b, key, append(appendTime(nil, now), text...))
}

// Quarantined lists rows that could not be read, newest first; limit 0: all.
func (s *Store) Quarantined(limit int) ([]QuarantinedRow, error) {
	var rows []QuarantinedRow
	err := s.view(func(t *tx) error {
		t.each(t.bucket(bucketQuarantine), func(key, payload []byte) bool {
			var r storedBadRow
			if json.Unmarshal(tail(payload, 8), &r) == nil {
				rows = append(rows, QuarantinedRow{
					BadRow: heygen.BadRow{ID: r.ID, Reason: r.Reason, Bytes: r.Bytes, Sum: numberAt(key)},
					Query:  r.Query, At: timeAt(payload),
				})
			}
			return true
		})
		return nil
	})
	slices.SortStableFunc(rows, func(a, b QuarantinedRow) int { return b.At.Compare(a.At) })
	if limit > 0 && len(rows) > limit {
		rows = rows[:limit]
	}
	return rows, err
}

// spoil moves a damaged value out of a bucket. What it held is gone for us; the listing has it still.
func (t *tx) spoil(b *bbolt.Bucket, key []byte, id string) error {
	raw := b.Get(key)
	sum := fnv.New64a()
	sum.Write(key)
	sum.Write(raw)
	row := heygen.BadRow{ID: printable(id), Reason: "damaged in the state file", Bytes: len(raw), Sum: sum.Sum64()}
	if err := t.delete(b, bytes.Clone(key)); err != nil {
		return err
	}
	_, err := t.quarantine(time.Now(), row, ownRecords)
	return err
}

// spoilOpen takes a damaged record out of open, index and counts. A reader only passes it over.
func (t *tx) spoilOpen(id string) error {
	if !t.bolt.Writable() {
		return nil
	}
	if err := t.spoil(t.bucket(bucketOpen), []byte(id), id); err != nil {
		return err
	}
	if err := t.unindexID(id); err != nil {
		return err
	}
	t.recount()
	return nil
}

// unindexID deletes every index key of an id, whatever its record said.
func (t *tx) unindexID(id string) error {
	var keys [][]byte
	b := t.bucket(bucketIndex)
	c := b.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if indexID(k) == id {
			keys = append(keys, bytes.Clone(k))
		}
	}
	for _, k := range keys {
		if err := t.delete(b, k); err != nil {
			return err
		}
	}
	return nil
}

// indexID is the id at the end of an index key.
func indexID(k []byte) string {
	switch k[0] {
	case byEntity, byFact:
		return string(tail(k, 17))
	case byKept:
		n := reader(tail(k, 1))
		kept := int(n.one())<<8 | int(n.one())
		return string(tail(k, 3+kept))
	}
	return string(tail(k, 9))
}

// spoilLine takes a damaged line out of the ledger.
func (t *tx) spoilLine(b *bbolt.Bucket, p place) error {
	if !t.bolt.Writable() {
		return nil
	}
	if err := t.spoil(b, p.ledgerKey(), p.id); err != nil {
		return err
	}
	t.recount()
	return nil
}

// printable cuts an id to what may be shown.
func printable(id string) string {
	if !heygen.PrintableID(id) {
		id = strconv.QuoteToASCII(id)
	}
	return id[:min(len(id), 64)]
}
