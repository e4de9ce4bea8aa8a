package state

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"backstop/internal/heygen"
)

// ErrNoBackfill says that there is no such backfill under way.
var ErrNoBackfill = errors.New("there is no such backfill under way")

// History is what a person asks a backfill to read.
type History struct {
	Since    time.Time `json:"since,omitzero"` // inclusive; zero: all there is
	Until    time.Time `json:"until,omitzero"` // exclusive; zero: up to the start
	Words    string    `json:"words"`          // the range as it was written: an age such as 14d stands for the same history when it is asked for again
	Types    []string  `json:"types,omitempty"`
	Entity   string    `json:"entity,omitempty"`
	MarkOnly bool      `json:"mark_only,omitempty"` // nothing is sent: what is found counts as seen
	Force    bool      `json:"force,omitempty"`     // also what is older than the floor, now or by the time it is read
}

// same reports whether somebody asks for the same history again, be it with more force.
func (h History) same(o History) bool {
	return h.Words == o.Words && h.Entity == o.Entity && h.MarkOnly == o.MarkOnly && slices.Equal(h.Types, o.Types)
}

// all reports whether no range was given.
func (h History) all() bool { return h.Since.IsZero() && h.Until.IsZero() }

// Backfill is one reading of history, from the first page to the last replay.
type Backfill struct {
	ID        uint64    `json:"-"`
	History   History   `json:"history"`
	Upper     time.Time `json:"upper"` // its upper end, frozen when it began: younger events are left to polls
	Begun     time.Time `json:"begun"`
	Confirmed time.Time `json:"confirmed,omitzero"` // a person agreed to the plan; zero: not yet
	Ended     time.Time `json:"ended,omitzero"`     // everything it planned is queued, seen or dead; zero: not yet
	Queued    int64     `json:"queued,omitempty"`   // planned events that became missed
	Proven    int64     `json:"proven,omitempty"`   // planned events that turned out to be seen, or were marked so
	Act       uint64    `json:"act,omitempty"`      // number of the act by which a person agreed; 0: none, or it was not noted
}

// words is what a person agrees to.
func (b Backfill) words() string {
	words := fmt.Sprintf("backfill %d of %s", b.ID, cmp.Or(b.History.Words, "all"))
	if b.History.MarkOnly {
		words += ", mark only"
	}
	return words
}

// Covers reports whether an event lies in the range. An undated one only does where everything is asked for.
func (b Backfill) Covers(e heygen.Event) bool {
	if e.CreatedAt.IsZero() {
		return b.History.all()
	}
	return !e.CreatedAt.Before(b.History.Since) && e.CreatedAt.Before(b.Upper)
}

// HistoryTally counts the rows of a range by what was known of them when they were read.
type HistoryTally struct {
	Outside int `json:"outside,omitempty"` // of the range
	Seen    int `json:"seen,omitempty"`
	Open    int `json:"open,omitempty"` // unfinished: polls and sweeps have them in hand
	Ignored int `json:"ignored,omitempty"`
	Planned int `json:"planned,omitempty"` // not seen
	Bad     int `json:"bad,omitempty"`     // could not be read
}

// Plus is the sum of two tallies.
func (n HistoryTally) Plus(m HistoryTally) HistoryTally {
	return HistoryTally{
		Outside: n.Outside + m.Outside, Seen: n.Seen + m.Seen, Open: n.Open + m.Open, Ignored: n.Ignored + m.Ignored,
		Planned: n.Planned + m.Planned, Bad: n.Bad + m.Bad,
	}
}

// Listed is how many readable rows of the range there were.
func (n HistoryTally) Listed() int { return n.Seen + n.Open + n.Ignored + n.Planned }

// Waypoint is a position in a walk, with the count of what lies above it.
type Waypoint struct {
	Segment Segment      `json:"segment"`
	Tally   HistoryTally `json:"tally"`
}

// HistoryWalk is how far a backfill has read one query: where it stands, and some places that it came by, the last one
// first. A cursor may be refused; one from a few pages before may still be taken.
type HistoryWalk struct {
	Waypoint
	Trail []Waypoint `json:"trail,omitempty"`
}

// Done reports whether the walk has read to its horizon or to the end.
func (w HistoryWalk) Done() bool { return w.Segment.Pages > 0 && w.Segment.Token == "" }

// BeginBackfill takes up the backfill that reads the same history and has not ended, or begins a new one with the upper
// end. It returns the backfill, and whether it was taken up.
//
// A crash before the commit leaves none; the person starts it again.
func (s *Store) BeginBackfill(now time.Time, h History, upper time.Time) (b Backfill, resumed bool, err error) {
	err = s.update(true, func(t *tx) error {
		var found bool
		if b, found, err = t.unendedBackfill(h); found || err != nil {
			resumed = found
			if err != nil || b.History.Force || !h.Force {
				return err
			}
			b.History.Force = true
			return t.putBackfill(b)
		}
		id, err := t.bucket(bucketBackfills).NextSequence()
		if err != nil {
			return err
		}
		b = Backfill{ID: id, History: h, Upper: second(upper), Begun: now.UTC()}
		return t.putBackfill(b)
	})
	if err != nil {
		return Backfill{}, false, fmt.Errorf("begin a backfill: %w", err)
	}
	return b, resumed, nil
}

func (t *tx) unendedBackfill(h History) (b Backfill, found bool, err error) {
	err = t.backfills(func(one Backfill) {
		if one.Ended.IsZero() && one.History.same(h) {
			b, found = one, true
		}
	})
	return b, found, err
}

// Backfills lists the backfills, oldest first; ended ones are kept for retention.
func (s *Store) Backfills() (list []Backfill, err error) {
	err = s.view(func(t *tx) error { return t.backfills(func(b Backfill) { list = append(list, b) }) })
	if err != nil {
		return nil, fmt.Errorf("list backfills: %w", err)
	}
	return list, nil
}

// backfills calls fn with every backfill.
func (t *tx) backfills(fn func(Backfill)) error {
	return eachNumbered(t, bucketBackfills, func(id uint64, b Backfill) {
		b.ID = id
		fn(b)
	})
}

// backfill reads one that has not ended.
func (t *tx) backfill(id uint64) (Backfill, error) {
	b, err := numbered[Backfill](t, bucketBackfills, id, ErrNoBackfill)
	b.ID = id
	if err != nil {
		return b, err
	}
	if !b.Ended.IsZero() {
		return b, ErrNoBackfill
	}
	return b, nil
}

func (t *tx) putBackfill(b Backfill) error {
	return t.putJSON(bucketBackfills, appendNumber(nil, b.ID), b)
}

// putJSON stores a payload that is not drawn byte by byte.
func (t *tx) putJSON(bucket string, key []byte, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", bucket, err)
	}
	return t.put(t.bucket(bucket), key, payload)
}

func historyKey(id uint64, q heygen.Query) []byte {
	return append(appendNumber(nil, id), queryKey(q)...)
}

// HistoryWalk returns how far a backfill has read a query; the zero HistoryWalk before its first page.
func (s *Store) HistoryWalk(id uint64, q heygen.Query) (w HistoryWalk, err error) {
	err = s.view(func(t *tx) error {
		w, err = t.walkAt(bucketBackfills, historyKey(id, q))
		return err
	})
	if err != nil {
		return HistoryWalk{}, fmt.Errorf("position of the backfill of %s: %w", q, err)
	}
	return w, nil
}

// ConfirmBackfill notes that a person agreed to the plan.
func (s *Store) ConfirmBackfill(now time.Time, id uint64, who string) error {
	err := s.update(false, func(t *tx) error {
		b, err := t.backfill(id)
		if err != nil || !b.Confirmed.IsZero() {
			return err
		}
		b.Confirmed = now.UTC()
		b.Act = t.nextAct()
		if err := t.act(now, who, b.words(), t.plannedCount(id)); err != nil {
			return err
		}
		return t.putBackfill(b)
	})
	if err != nil {
		return fmt.Errorf("confirm backfill %d: %w", id, err)
	}
	return nil
}

// Backfill returns one that has not ended.
func (s *Store) Backfill(id uint64) (b Backfill, err error) {
	err = s.view(func(t *tx) error {
		b, err = t.backfill(id)
		return err
	})
	return b, err
}

// unconfirmBackfills takes back that a person agreed to what is planned: some of it may have been sent in the time that a
// restore lost.
func (t *tx) unconfirmBackfills() error {
	var agreed []Backfill
	err := t.backfills(func(b Backfill) {
		if b.Ended.IsZero() && !b.Confirmed.IsZero() {
			agreed = append(agreed, b)
		}
	})
	for _, b := range agreed {
		b.Confirmed = time.Time{}
		err = errors.Join(err, t.putBackfill(b))
	}
	return err
}

// EndBackfill notes that nothing is left of a backfill, and drops its walks. What of its plan was damaged goes to the
// quarantine; it returns how many events these are, for they were not sent, and only the listing has them now.
//
// A crash before the commit leaves it unended and empty: started again it ends at once.
func (s *Store) EndBackfill(now time.Time, id uint64) (spoiled int, err error) {
	err = s.update(false, func(t *tx) error {
		spoiled = 0
		b, err := t.backfill(id)
		if errors.Is(err, ErrNoBackfill) {
			return nil // it ended before
		}
		if err != nil {
			return err
		}
		if spoiled, err = t.spoilPlans(id); err != nil {
			return err
		}
		b.Ended = now.UTC()
		return errors.Join(t.dropHistory(id), t.putBackfill(b))
	})
	if err != nil {
		return 0, fmt.Errorf("end backfill %d: %w", id, err)
	}
	return spoiled, nil
}

// spoilPlans moves what is left of a plan, which can't be read, to the quarantine.
func (t *tx) spoilPlans(id uint64) (n int, err error) {
	plans := t.plans(id)
	if plans == nil {
		return 0, nil
	}
	var keys [][]byte
	c := plans.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		keys = append(keys, slices.Clone(k))
	}
	for _, k := range keys {
		if err := t.spoil(plans, k, placeOf(k).id); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
}

// dropHistory deletes the walks of a backfill and its empty bucket.
func (t *tx) dropHistory(id uint64) error {
	b, prefix := t.bucket(bucketBackfills), appendNumber(nil, id)
	var walks [][]byte
	c := b.Cursor()
	for k, _ := c.Seek(prefix); len(k) >= 8 && string(k[:8]) == string(prefix); k, _ = c.Next() {
		if len(k) > 8 {
			walks = append(walks, slices.Clone(k))
		}
	}
	for _, k := range walks {
		if err := t.delete(b, k); err != nil {
			return err
		}
	}
	if t.plans(id) == nil {
		return nil
	}
	t.dirty()
	return t.bucket(bucketPlanned).DeleteBucket(prefix)
}
