package state

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"backstop/internal/heygen"
)

// sub is the bucket of a run's resends, waiting or done; nil where there is none.
func (t *tx) sub(bucket string, id uint64) *bbolt.Bucket {
	return t.bucket(bucket).Bucket(appendNumber(nil, id))
}

func (t *tx) makeSub(bucket string, id uint64) (*bbolt.Bucket, error) {
	if b := t.sub(bucket, id); b != nil {
		return b, nil
	}
	t.dirty()
	b, err := t.bucket(bucket).CreateBucket(appendNumber(nil, id))
	if err != nil {
		return nil, fmt.Errorf("create %s of run %d: %w", bucket, id, err)
	}
	return b, nil
}

func (t *tx) dropSub(bucket string, id uint64) error {
	if t.sub(bucket, id) == nil {
		return nil
	}
	t.dirty()
	return t.bucket(bucket).DeleteBucket(appendNumber(nil, id))
}

// dropResends deletes what waits in a forced or shadow run: it is the customers' data.
func (t *tx) dropResends(id uint64) error { return t.dropSub(bucketResends, id) }

func (t *tx) resendCount(id uint64) int {
	if b := t.sub(bucketResends, id); b != nil {
		return b.Stats().KeyN
	}
	return 0
}

// dropWalks forgets how far the listing was read for a run.
func (t *tx) dropWalks(id uint64) error { return t.dropBehind(runKey(id, runWalk)) }

// dropBehind deletes what of runs has a key that begins so.
func (t *tx) dropBehind(prefix []byte) error {
	b := t.bucket(bucketRuns)
	var keys [][]byte
	c := b.Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		keys = append(keys, slices.Clone(k))
	}
	for _, k := range keys {
		if err := t.delete(b, k); err != nil {
			return err
		}
	}
	return nil
}

// ResendPages is what was read for a forced or shadow run since its last commit.
type ResendPages struct {
	Run    uint64
	Query  heygen.Query
	Events []heygen.Event // those that the run is to send
	Walk   HistoryWalk    // the position behind these pages
	Now    time.Time
}

// PlanResends stores events of a run with the position in the listing behind them, in one transaction. One that the run has
// already is passed over; of a selection with a limit the newest ones above it go again. It returns how many are planned.
//
// A crash before the commit leaves the older position, and these pages are read again.
func (s *Store) PlanResends(p ResendPages) (planned int, err error) {
	run, err := s.changeRun(true, p.Run, "store pages of", func(t *tx, r *Run) error {
		if err := t.planResends(r, p.Events, p.Now); err != nil {
			return err
		}
		return t.putJSON(bucketRuns, runWalkKey(p.Run, p.Query), p.Walk)
	})
	return int(run.Planned), err
}

// CopyResends is PlanResends of unfinished events, whose data the state has.
func (s *Store) CopyResends(now time.Time, id uint64, ids []string) error {
	_, err := s.changeRun(true, id, "store events of", func(t *tx, r *Run) error {
		var events []heygen.Event
		for _, one := range ids {
			o, err := t.open(one)
			if err != nil {
				return err
			}
			if o != nil {
				events = append(events, o.event())
			}
		}
		return t.planResends(r, events, now)
	})
	return err
}

func (t *tx) planResends(r *Run, events []heygen.Event, now time.Time) error {
	switch {
	case !r.Cancelled.IsZero():
		return ErrRunCancelled
	case !r.Ended.IsZero():
		return fmt.Errorf("it has ended: %w", ErrNoRun)
	}
	waiting, err := t.makeSub(bucketResends, r.ID)
	if err != nil {
		return err
	}
	done := t.sub(bucketResent, r.ID)
	for _, e := range events {
		key := place{e.CreatedAt, e.ID}.key()
		if waiting.Get(key) != nil || done != nil && done.Get(key) != nil {
			continue
		}
		one := newRecord(e, now)
		one.status, one.reason, one.run, one.manual = Missed, ReasonForced, r.ID, true
		if err := t.put(waiting, key, one.encode()); err != nil {
			return err
		}
		r.Planned++
		r.Waiting++
	}
	return t.trimResends(r, waiting)
}

// trimResends keeps the oldest ones, as many as were asked for.
func (t *tx) trimResends(r *Run, waiting *bbolt.Bucket) error {
	for r.Chosen.Limit > 0 && r.Planned > int64(r.Chosen.Limit) && r.Waiting > 0 {
		k, _ := waiting.Cursor().Last()
		if k == nil {
			return nil
		}
		if err := t.delete(waiting, slices.Clone(k)); err != nil {
			return err
		}
		r.Planned--
		r.Waiting--
	}
	return nil
}

// WalkedRun notes that the listing was read for a run as far as its selection goes; ErrRunCancelled where that is of no use.
func (s *Store) WalkedRun(now time.Time, id uint64) (Run, error) {
	return s.changeRun(false, id, "note the end of the walk of", func(t *tx, r *Run) error {
		if !r.Cancelled.IsZero() {
			return ErrRunCancelled
		}
		r.Walked = now.UTC()
		return t.dropWalks(id)
	})
}

// ConfirmRun notes that a person agreed to what a forced or shadow run has found: from now on it may be sent. The act that
// began the run tells of how many events it is.
func (s *Store) ConfirmRun(now time.Time, id uint64) (Run, error) {
	return s.changeRun(false, id, "confirm", func(t *tx, r *Run) error {
		if !r.Cancelled.IsZero() || !r.Ready.IsZero() {
			return nil
		}
		r.Confirmed, r.Ready = now.UTC(), now.UTC()
		if err := t.countAct(r.Act, int(r.Waiting), t.resendIDs(id)); err != nil {
			return err
		}
		if r.Waiting > 0 {
			return nil
		}
		r.Ended = now.UTC()
		return t.dropResends(id)
	})
}

// Resending lists what waits in a forced or shadow run, oldest first, with its data; the status of each is that of the event,
// 0 for one of which the state knows nothing. after is what the call before returned as next, nil at the start; next is nil
// at the end.
func (s *Store) Resending(id uint64, after []byte) (rows []Row, next []byte, err error) {
	err = s.view(func(t *tx) error {
		rows, next, err = t.resendRows(bucketResends, id, after, true)
		for i := range rows {
			if err == nil {
				rows[i].Status, err = t.standsAt(rows[i].Event)
			}
		}
		return err
	})
	return rows, next, err
}

// Resent lists what a forced or shadow run has done with, oldest first, without data: seen ones, which the receiver took, and
// dead ones, each with its attempts; missed ones were handed over to the ordinary queue.
func (s *Store) Resent(id uint64, after []byte) (rows []Row, next []byte, err error) {
	err = s.view(func(t *tx) error {
		rows, next, err = t.resendRows(bucketResent, id, after, false)
		return err
	})
	return rows, next, err
}

func (t *tx) resendRows(bucket string, id uint64, after []byte, withData bool) (rows []Row, next []byte, err error) {
	b := t.sub(bucket, id)
	if b == nil {
		return nil, nil, nil
	}
	c := b.Cursor()
	k, v := c.First()
	if after != nil {
		k, v = c.Seek(append(slices.Clone(after), 0)) // the place right behind
	}
	for ; k != nil && len(rows) < runBite; k, v = c.Next() {
		next = slices.Clone(k)
		if r, ok := resend(k, v, withData); ok {
			rows = append(rows, r.row())
		}
	}
	if k == nil {
		next = nil
	}
	return rows, next, nil
}

// resend reads an event of a run; false for a damaged one.
func resend(key, sealed []byte, withData bool) (*record, bool) {
	payload, ok := unseal(key, sealed)
	if !ok {
		return nil, false
	}
	r, err := decodeRecord(placeOf(key).id, payload, withData)
	return r, err == nil
}

// StandsAt tells where events stand now: 0 for one of which the state knows nothing.
func (s *Store) StandsAt(events []heygen.Event) (all []Status, err error) {
	err = s.view(func(t *tx) error {
		all = make([]Status, len(events))
		for i, e := range events {
			if all[i], err = t.standsAt(e); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

func (t *tx) standsAt(e heygen.Event) (Status, error) {
	r, err := t.readOpen(e.ID, false)
	if r != nil || err != nil {
		if r == nil {
			return 0, err
		}
		return r.status, nil
	}
	l, ok, err := t.ledgerLine(place{e.CreatedAt, e.ID})
	if ok || err != nil {
		return l.status, err
	}
	if t.waits(e.ID) {
		return Seen, nil
	}
	return 0, nil
}

// spoilResend moves a damaged event of a run to the quarantine: it was not sent, and only the listing has it now.
func (t *tx) spoilResend(now time.Time, r Run, key []byte) error {
	if err := t.spoil(t.sub(bucketResends, r.ID), key, placeOf(key).id); err != nil {
		return err
	}
	r.Waiting, r.Left = r.Waiting-1, r.Left+1
	return t.endRun(now, r)
}
