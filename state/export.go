package state

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// SeenRecord is one event that the receiver has.
type SeenRecord struct {
	ID        string
	CreatedAt time.Time // zero: not listed yet, or undated
	SeenAt    time.Time
	Proof     Proof
}

// Export calls yield with every event that is seen: the ledger, oldest day first, then what was only reported. An imported
// id that was listed later comes twice, because imports stay where they are; a reader goes by the id. Rows are copied out in
// chunks, and no transaction is open while yield runs.
func (s *Store) Export(ctx context.Context, yield func(SeenRecord) error) error {
	var days []uint32
	waiting := s.rows.waiting() // before the ledger is read: what is listed meanwhile comes twice rather than never
	err := s.view(func(t *tx) error { days = t.ledgerDays(); return nil })
	for i := 0; i < len(days) && err == nil; i++ {
		day := days[i]
		err = s.copyOut(ctx, func(t *tx) *bbolt.Bucket { return t.day(bucketLedger, day) }, yield, func(k, v []byte) (SeenRecord, bool) {
			l, p := decodeLine(v), ledgerPlace(day, k)
			return SeenRecord{ID: p.id, CreatedAt: p.created, SeenAt: l.at, Proof: l.proof}, l.status == Seen
		})
	}
	if err == nil {
		err = s.reports(ctx, waiting, yield, func(sorted) bool { return true })
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// Unlisted calls yield with the ids that recorders reported and no page has listed, in no order. Imports are not among them:
// which of those were listed is not kept. No transaction is open while yield runs.
func (s *Store) Unlisted(ctx context.Context, yield func(SeenRecord) error) error {
	err := s.reports(ctx, s.rows.waiting(), yield, func(o sorted) bool { return o.proof != Import })
	if err != nil {
		return fmt.Errorf("list what is reported and not listed: %w", err)
	}
	return nil
}

// reports yields the ids that are only reported: those of the inbox, and the wanted ones of the bucket reported.
func (s *Store) reports(ctx context.Context, waiting []SeenRecord, yield func(SeenRecord) error, want func(sorted) bool) error {
	for _, one := range waiting {
		if err := yield(one); err != nil {
			return err
		}
	}
	return s.copyOut(ctx, func(t *tx) *bbolt.Bucket { return t.bucket(bucketReported) }, yield, func(k, v []byte) (SeenRecord, bool) {
		o := decodeSorted(v)
		return SeenRecord{ID: string(k), SeenAt: o.at, Proof: o.proof}, want(o)
	})
}

// waiting copies the ids of the inbox.
func (r *rows) waiting() []SeenRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]SeenRecord, 0, len(r.inbox))
	for id, one := range r.inbox {
		list = append(list, SeenRecord{ID: id, SeenAt: one.at(), Proof: one.proof})
	}
	return list
}

// copyOut yields the records of one bucket, a chunk for each read transaction.
func (s *Store) copyOut(ctx context.Context, bucket func(*tx) *bbolt.Bucket, yield func(SeenRecord) error, decode func(k, payload []byte) (SeenRecord, bool)) error {
	var from []byte
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var chunk []SeenRecord
		more = false
		err := s.view(func(t *tx) error {
			b := bucket(t)
			if b == nil {
				return nil // the day was pruned meanwhile
			}
			c := b.Cursor()
			n := 0
			for k, v := c.Seek(from); k != nil; k, v = c.Next() {
				if n++; n > chunkRows {
					from, more = bytes.Clone(k), true
					return nil
				}
				if payload, ok := unseal(k, v); ok {
					if one, ok := decode(k, payload); ok {
						chunk = append(chunk, one)
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, one := range chunk {
			if err := yield(one); err != nil {
				return err
			}
		}
	}
	return nil
}
