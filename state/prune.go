package state

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	berrors "go.etcd.io/bbolt/errors"

	"backstop/internal/heygen"
)

// handledEvery is how exactly it is known when a day was last handled: exacter would write one more page with every commit.
const handledEvery = time.Hour

// pruneMost bounds how many single entries one call of Prune deletes.
const pruneMost = 1000

// retention is how long records of finished events are kept.
func (s *Store) retention() time.Duration { return s.options.Retention }

// Prune drops what is older than retention: at most one whole day of finished events a call, and a bounded number of notes.
// It returns how many days it dropped; the caller calls again later. A day is dropped only when it lies behind every mark by
// retention, and none of its events was handled within retention: never by the clock alone, and never without a mark. The
// floor moves to the end of the day in the same transaction, so no crash leaves a day without records above the floor.
func (s *Store) Prune(now time.Time) (days int, err error) {
	behind, ok := s.behind(now)
	if !ok {
		return 0, nil
	}
	err = s.update(false, func(t *tx) error {
		days = 0
		if err := t.expire(behind); err != nil {
			return err
		}
		day := t.pruneable(behind, now.Add(-s.retention()))
		if day == 0 {
			return nil
		}
		days = 1
		return t.dropDay(day)
	})
	if err != nil {
		return 0, fmt.Errorf("prune the state: %w", err)
	}
	return days, nil
}

// behind is the time before which records may go: behind every mark and behind now by retention. A clock that is set forward
// alone drops nothing; without a mark nothing goes at all.
func (s *Store) behind(now time.Time) (time.Time, bool) {
	mark := s.notes.lowestMark(s.retention())
	return minTime(mark, now).Add(-s.retention()), !mark.IsZero()
}

// lowestMark returns the mark behind which every query has been walked; zero while there is none. A query that nobody has
// walked for a whole retention while others were is one that the configuration no longer has: it holds nothing back.
func (n *notes) lowestMark(retention time.Duration) time.Time {
	newest := make(map[heygen.Query]walked)
	var last time.Time
	n.mu.Lock()
	defer n.mu.Unlock()
	for key, w := range n.walked {
		q := newest[key.query]
		q.mark, q.completed = later(q.mark, w.mark), later(q.completed, w.completed)
		newest[key.query] = q
		last = later(last, w.completed)
	}
	var lowest time.Time
	for _, w := range newest {
		if last.Sub(w.completed) > retention {
			continue
		}
		if w.mark.IsZero() {
			return time.Time{}
		}
		lowest = earlier(lowest, w.mark)
	}
	return lowest
}

// touchDay notes that an event of a ledger day was handled now, which keeps an old day that a backfill has filled for
// retention from now. It belongs to every write into the ledger.
func (t *tx) touchDay(day uint32, now time.Time) error {
	if t.touched[day] {
		return nil
	}
	if t.touched == nil {
		t.touched = make(map[uint32]bool)
	}
	t.touched[day] = true
	b, key := t.bucket(bucketDays), dayKey(day)
	payload, _, err := t.get(b, key)
	if err == nil && now.Sub(timeAt(payload)) < handledEvery {
		return nil
	}
	return t.put(b, key, appendTime(nil, now))
}

// pruneable returns the oldest ledger day that ends behind a time and was not handled since another; 0: none. Undated
// events, in day 0, have no day that could lie behind a mark: they stay.
func (t *tx) pruneable(behind, handled time.Time) uint32 {
	for _, day := range t.ledgerDays() {
		if day == 0 {
			continue
		}
		if dayStart(day + 1).After(behind) {
			return 0
		}
		payload, _, err := t.get(t.bucket(bucketDays), dayKey(day))
		// A damaged note counts as the oldest: the mark has passed the day by retention all the same.
		if err != nil || !timeAt(payload).After(handled) {
			return day
		}
	}
	return 0
}

// dropDay deletes all records of one day and moves the floor to its end.
func (t *tx) dropDay(day uint32) error {
	t.dayLines(day, func(_ []byte, l line) bool {
		t.countLine(l, -1)
		return true
	})
	for _, parent := range []string{bucketLedger, bucketDetails} {
		err := t.bucket(parent).DeleteBucket(dayKey(day))
		if err != nil && !errors.Is(err, berrors.ErrBucketNotFound) {
			return fmt.Errorf("drop %s of %s: %w", parent, dayStart(day).Format(time.DateOnly), err)
		}
	}
	t.dirty()
	delete(t.touched, day)
	if err := t.delete(t.bucket(bucketDays), dayKey(day)); err != nil {
		return err
	}
	return t.setFloor(dayStart(day + 1))
}

// expire deletes notes from before a time, a bounded number of them.
func (t *tx) expire(before time.Time) error {
	dropped, err := t.expireIn(bucketQuarantine, before)
	if err != nil {
		return err
	}
	if dropped > 0 {
		t.counts().quarantined -= int64(dropped)
	}
	if _, err = t.expireIn(bucketActs, before); err != nil {
		return err
	}
	return errors.Join(t.expireBackfills(before), t.expireRuns(before))
}

// expireBackfills deletes backfills that ended before a time. One that has not ended stays until it does.
func (t *tx) expireBackfills(before time.Time) error {
	var old [][]byte
	err := t.backfills(func(b Backfill) {
		if !b.Ended.IsZero() && b.Ended.Before(before) {
			old = append(old, appendNumber(nil, b.ID))
		}
	})
	for _, key := range old {
		err = errors.Join(err, t.delete(t.bucket(bucketBackfills), key))
	}
	return err
}

// expireIn deletes the records of a bucket whose payload begins with a time that lies before another.
func (t *tx) expireIn(bucket string, before time.Time) (int, error) {
	b := t.bucket(bucket)
	var old [][]byte
	t.payloads(bucket, func(key, payload []byte) {
		if len(old) < pruneMost && timeAt(payload).Before(before) {
			old = append(old, bytes.Clone(key))
		}
	})
	for _, key := range old {
		if err := t.delete(b, key); err != nil {
			return 0, err
		}
	}
	return len(old), nil
}
