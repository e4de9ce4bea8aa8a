package state

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"backstop/internal/heygen"
)

// HistoryPages is what a backfill has read since its last commit.
type HistoryPages struct {
	Backfill uint64
	Query    heygen.Query
	Events   []heygen.Event
	Bad      []heygen.BadRow
	Walk     HistoryWalk // the position behind these pages; its Tally counts what lies above them
	Now      time.Time
}

// PlanPages stores what a backfill has read, with the position behind it, in one transaction: events that a recorder knows
// are seen, and those of which nobody knows more than that they are older than the baseline are planned. It returns the tally
// of the whole walk, these pages included.
//
// A crash before the commit leaves the older position, and these pages are read again; after it, both are there.
func (s *Store) PlanPages(p HistoryPages) (HistoryTally, error) {
	events := slices.Clone(p.Events)
	// Neighbours share pages of the file where they are written one after the other.
	slices.SortFunc(events, func(a, b heygen.Event) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) })
	var sum HistoryTally
	err := s.update(true, func(t *tx) error {
		b, err := t.backfill(p.Backfill)
		if err != nil {
			return err
		}
		var n HistoryTally
		if n, err = t.planPages(b, events, p); err != nil {
			return err
		}
		walk := p.Walk
		walk.Tally = walk.Tally.Plus(n)
		sum = walk.Tally
		return t.putJSON(bucketBackfills, historyKey(p.Backfill, p.Query), walk)
	})
	if err != nil {
		return HistoryTally{}, fmt.Errorf("store pages of backfill %d: %w", p.Backfill, err)
	}
	return sum, nil
}

func (t *tx) planPages(b Backfill, events []heygen.Event, p HistoryPages) (n HistoryTally, err error) {
	plans, err := t.makePlans(b.ID)
	if err != nil {
		return n, err
	}
	sp := make(spent)
	for _, e := range events {
		if !b.Covers(e) {
			n.Outside++
			continue
		}
		if err := t.planOne(b, plans, p.Now, e, sp, &n); err != nil {
			return n, fmt.Errorf("event %q: %w", e.ID, err)
		}
	}
	for _, row := range p.Bad {
		n.Bad++
		if _, err := t.quarantine(p.Now, row, p.Query.String()); err != nil {
			return n, err
		}
	}
	return n, t.take(sp)
}

// planOne finds out what is known of one event of history, and plans it when that is nothing.
func (t *tx) planOne(b Backfill, plans *bbolt.Bucket, now time.Time, e heygen.Event, sp spent, n *HistoryTally) error {
	p := place{e.CreatedAt, e.ID}
	if plans.Get(p.key()) != nil {
		n.Planned++
		return nil
	}
	open, err := t.readOpen(e.ID, false)
	if err != nil {
		return err
	}
	if open != nil && !b.History.MarkOnly {
		n.Open++
		return nil
	}
	known, err := t.finishedHistory(now, e, sp, n)
	if known || err != nil {
		return err
	}
	if !b.History.Force && !e.CreatedAt.IsZero() && e.CreatedAt.Before(t.s.Floor()) {
		n.Ignored++ // the floor rose above it while the history was read, or stopped: who knows whether it was seen
		return nil
	}
	n.Planned++
	r := newRecord(e, now)
	r.backfill = b.ID
	if b.History.MarkOnly {
		r.data = nil // nothing is sent
	}
	return t.put(plans, p.key(), r.encode())
}

// finishedHistory counts an event that is seen or ignored. That it is older than the baseline is no receipt.
func (t *tx) finishedHistory(now time.Time, e heygen.Event, sp spent, n *HistoryTally) (known bool, err error) {
	p := place{e.CreatedAt, e.ID}
	l, listed, err := t.ledgerLine(p)
	switch {
	case err != nil:
		return false, err
	case listed && l.status == Ignored:
		n.Ignored++
		return true, nil
	case listed && l.proof != Baseline:
		n.Seen++
		return true, nil
	}
	proof, reported, err := t.lateProof(sp, e.ID)
	if !reported || err != nil {
		return false, err
	}
	n.Seen++
	if listed {
		return true, t.meet(now, p, proof)
	}
	if proof.proof != Import {
		t.counts().matched++
	}
	m := meeting{}
	m.entity, m.fact = t.keys.Of(e)
	return true, t.listSeen(now, e, m, proof)
}

// plans is the bucket of what a backfill has planned; nil where there is none.
func (t *tx) plans(id uint64) *bbolt.Bucket {
	return t.bucket(bucketPlanned).Bucket(appendNumber(nil, id))
}

func (t *tx) makePlans(id uint64) (*bbolt.Bucket, error) {
	if b := t.plans(id); b != nil {
		return b, nil
	}
	t.dirty()
	b, err := t.bucket(bucketPlanned).CreateBucket(appendNumber(nil, id))
	if err != nil {
		return nil, fmt.Errorf("create the plans of backfill %d: %w", id, err)
	}
	return b, nil
}

// PlannedCount counts the planned events of a backfill by reading its bucket.
func (s *Store) PlannedCount(id uint64) (n int, err error) {
	err = s.view(func(t *tx) error { n = t.plannedCount(id); return nil })
	return n, err
}

func (t *tx) plannedCount(id uint64) int {
	if b := t.plans(id); b != nil {
		return b.Stats().KeyN
	}
	return 0
}

// Planned lists events that a backfill has found and not queued yet, oldest first, with their data. after is what the call
// before returned as next, "" at the start; next is "" at the end. A damaged one is passed over.
func (s *Store) Planned(id uint64, after string, limit int) (rows []Row, next string, err error) {
	err = s.view(func(t *tx) error {
		rows, next = t.planned(id, after, limit)
		return nil
	})
	return rows, next, err
}

func (t *tx) planned(id uint64, after string, limit int) (rows []Row, next string) {
	plans := t.plans(id)
	if plans == nil {
		return nil, ""
	}
	c := plans.Cursor()
	k, v := c.First()
	if after != "" {
		k, v = c.Seek([]byte(after + "\x00")) // the place right behind
	}
	for ; k != nil && len(rows) < limit; k, v = c.Next() {
		next = string(k)
		if r, ok := plan(k, v); ok {
			rows = append(rows, r.row())
		}
	}
	if k == nil {
		next = ""
	}
	return rows, next
}

// plan reads a planned event.
func plan(key, sealed []byte) (*record, bool) {
	payload, ok := unseal(key, sealed)
	if !ok {
		return nil, false
	}
	r, err := decodeRecord(placeOf(key).id, payload, true)
	return r, err == nil
}

// QueuePlanned applies verdicts, one for each of some planned events, in one transaction. It returns those that took effect,
// as they did, and how many events left the plan. A missed one goes to the old lane, to be sent whether backstop is paired
// or not, for a person asked; one of which polls have heard meanwhile is theirs. What is said to settle stays planned.
//
// A crash before the commit leaves the events planned; after it they are queued, and the replayer has them.
func (s *Store) QueuePlanned(now time.Time, id uint64, planned []Row, vs []Verdict) (applied []Verdict, moved int, err error) {
	err = s.update(false, func(t *tx) error {
		applied, moved = nil, 0
		b, err := t.backfill(id)
		if err != nil || t.plans(id) == nil {
			return err
		}
		sp := make(spent)
		for i, v := range vs {
			p := place{planned[i].Event.CreatedAt, v.ID}
			done, ok, err := t.queue(now, b, p, v, sp)
			if err != nil {
				return fmt.Errorf("event %q: %w", v.ID, err)
			}
			if ok {
				b.count(done)
				applied = append(applied, done)
			}
			if t.plans(id).Get(p.key()) == nil {
				moved++
			}
		}
		return errors.Join(t.take(sp), t.putBackfill(b))
	})
	if err != nil {
		return nil, 0, fmt.Errorf("queue events of backfill %d: %w", id, err)
	}
	return applied, moved, nil
}

func (b *Backfill) count(v Verdict) {
	switch v.Status {
	case Missed:
		b.Queued++
	case Seen:
		b.Proven++
	}
}

// queue takes one event out of the plans and puts it where it belongs. A damaged plan goes to the quarantine.
func (t *tx) queue(now time.Time, b Backfill, p place, v Verdict, sp spent) (Verdict, bool, error) {
	plans, key := t.plans(b.ID), p.key()
	if v.Status == Settling || v.Status == Listed {
		return v, false, nil
	}
	sealed := plans.Get(key)
	if sealed == nil {
		return v, false, nil
	}
	r, ok := plan(key, sealed)
	if !ok {
		return v, false, t.spoil(plans, key, v.ID)
	}
	if v.Status == Seen && v.Proof == Import && b.History.MarkOnly {
		return v, true, errors.Join(t.delete(plans, bytes.Clone(key)), t.markSeen(now, r, sp))
	}
	return t.queueOne(now, b, r, v, sp)
}

// queueOne lets an event live: from here on it is as if a poll had listed and judged it.
func (t *tx) queueOne(now time.Time, b Backfill, r *record, v Verdict, sp spent) (Verdict, bool, error) {
	key := r.place().key()
	_, baseline, lineErr := t.ledgerLine(r.place())
	known, err := t.heardOf(r)
	if err := errors.Join(lineErr, err); known || err != nil {
		return Verdict{ID: r.id, Status: Ignored}, false, errors.Join(err, t.delete(t.plans(b.ID), key))
	}
	r.manual, r.lane = true, Old
	r.acts = addAct(r.acts, b.Act)
	if err := t.saveOpen(nil, r); err != nil {
		return v, false, err
	}
	v.Lane, v.Reason = Old, ReasonBackfill
	done, ok, err := t.decide(now, v, sp)
	if err != nil {
		return v, false, err
	}
	if !ok { // the event that it should be the twin of was given up meanwhile: it is judged again
		return v, false, t.dropOpen(r)
	}
	from := Status(0)
	if baseline {
		from = Seen
	}
	t.moved(Change{Type: r.kind, Created: r.created, From: from, To: Settling})
	return done, true, t.delete(t.plans(b.ID), key)
}

// heardOf reports whether polls or recorders have dealt with an event since it was planned. A line that only says that it is
// older than the baseline gives way.
func (t *tx) heardOf(r *record) (bool, error) {
	if open, err := t.readOpen(r.id, false); open != nil || err != nil {
		return true, err
	}
	l, ok, err := t.ledgerLine(r.place())
	if !ok || err != nil {
		return false, err
	}
	if l.proof == Baseline {
		return false, t.dropLine(r.place(), l)
	}
	return true, nil
}

// markSeen notes on a person's word that the receiver has an event.
func (t *tx) markSeen(now time.Time, r *record, sp spent) error {
	n := named{r.id, Import, now}
	if late, ok, err := t.lateProof(sp, r.id); ok || err != nil {
		if err != nil {
			return err
		}
		n = late
	}
	if open, err := t.open(r.id); open != nil || err != nil {
		return t.recordOpen(now, open, n, err)
	}
	if l, ok, err := t.ledgerLine(r.place()); ok || err != nil {
		return t.recordLine(now, r.place(), l, n, err)
	}
	l, err := t.newLine(r.event(), r.fact, r.entity, Seen, n.proof, n.at)
	if err != nil {
		return err
	}
	l.listed = r.listed
	t.met(r.kind, r.created, Seen, n)
	return t.putLine(now, r.place(), nil, l)
}

// OldLane counts the events that backfills have queued and that are neither seen nor dead, up to a limit. Withheld ones wait
// for a person and are not among them.
func (s *Store) OldLane(limit int) (n int, err error) {
	err = s.view(func(t *tx) error {
		t.stageRows(stageOld, place{}, func(_ place, e entry) bool {
			if !e.withheld {
				n++
			}
			return n < limit
		})
		return nil
	})
	return n, err
}

// DeadOf counts the events of a backfill that are dead.
func (s *Store) DeadOf(id uint64) (n int, err error) {
	err = s.view(func(t *tx) error {
		var failed error
		t.stageRows(stageDead, place{}, func(p place, _ entry) bool {
			r, err := t.readOpen(p.id, false)
			if r != nil && r.backfill == id {
				n++
			}
			failed = err
			return err == nil
		})
		return failed
	})
	return n, err
}
