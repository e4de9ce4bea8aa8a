package state

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"backstop/internal/heygen"
)

// Filter chooses events. The zero Filter chooses all.
type Filter struct {
	Status []Status // empty: any
	Type   []string // empty: any
	Entity string
	Proof  Proof     // only finished events that are seen because of it; None: any event
	Since  time.Time // inclusive; zero: no bound
	Until  time.Time // exclusive; zero: no bound
	Limit  int       // 0: all
}

// A read transaction of a listing hands out, and reads, at most so many rows.
const (
	chunkRows = 1_000
	chunkRead = 20_000
)

func (f Filter) wants(status Status) bool {
	return len(f.Status) == 0 || slices.Contains(f.Status, status)
}

func (f Filter) open(p place, e entry) bool {
	return f.wants(e.status) && (f.Entity == "" || e.entity == heygen.HashEntity(f.Entity))
}

func (f Filter) wantsType(name string) bool { return len(f.Type) == 0 || slices.Contains(f.Type, name) }

// ledger reports whether finished events are wanted at all.
func (f Filter) ledger() bool { return f.wants(Seen) || f.wants(Ignored) }

// Events calls yield with the events that a filter chooses, newest first, undated ones last, without their data. No
// transaction is open while yield runs, so what changes meanwhile shows as it was or as it is.
func (s *Store) Events(ctx context.Context, f Filter, yield func(Row) error) error {
	at := &spot{}
	if !f.Until.IsZero() {
		at.to = place{created: f.Until}
	}
	left := f.Limit
	for !at.done {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list events: %w", err)
		}
		var rows []Row
		err := s.view(func(t *tx) (err error) {
			rows, err = t.chunk(f, at)
			return err
		})
		if err != nil {
			return fmt.Errorf("list events: %w", err)
		}
		for _, row := range rows {
			if err := yield(row); err != nil {
				return err
			}
			if left--; left == 0 {
				return nil
			}
		}
	}
	return nil
}

// spot is how far a listing has come: everything from here on, downwards, is still to come.
type spot struct {
	to   place // exclusive; the zero place: from the very newest
	done bool
}

// chunk reads the next rows below a spot and moves it.
func (t *tx) chunk(f Filter, at *spot) ([]Row, error) {
	sources := t.sources(f, at.to)
	var rows []Row
	for range chunkRead {
		i := newestOf(sources)
		if i < 0 || sources[i].at.created.Before(f.Since) {
			at.done = true
			return rows, nil
		}
		at.to = sources[i].at
		row, ok, err := sources[i].row(t, f)
		if err != nil {
			return nil, err
		}
		if ok {
			rows = append(rows, row)
		}
		sources[i].step()
		if len(rows) == chunkRows {
			break
		}
	}
	if at.to == (place{}) {
		at.done = true // unreachable: no id is empty; it would start the listing anew
	}
	return rows, nil
}

// source is one sorted run of events, read backwards.
type source struct {
	at   place
	ok   bool
	step func()
	row  func(*tx, Filter) (Row, bool, error)
}

func newestOf(sources []*source) int {
	best := -1
	for i, s := range sources {
		if s.ok && (best < 0 || sources[best].at.before(s.at)) {
			best = i
		}
	}
	return best
}

func (t *tx) sources(f Filter, to place) []*source {
	var list []*source
	for _, stage := range stages() {
		if f.Proof == None { // what is not finished has none
			list = append(list, t.stageSource(stage, to))
		}
	}
	if f.ledger() {
		list = append(list, t.ledgerSource(to))
	}
	return list
}

// stageSource reads one stage of the index.
func (t *tx) stageSource(stage byte, to place) *source {
	c := t.bucket(bucketIndex).Cursor()
	end := []byte{stage + 1}
	if to != (place{}) {
		end = stageKey(stage, to)
	}
	s := &source{}
	var value []byte
	take := func(k, v []byte) {
		s.ok = len(k) > 9 && k[0] == stage
		if s.ok {
			s.at, value = placeOf(k[1:]), v
		}
	}
	s.step = func() { take(c.Prev()) }
	s.row = func(t *tx, f Filter) (Row, bool, error) {
		payload, ok := unseal(stageKey(stage, s.at), value)
		if !ok || !f.open(s.at, decodeEntry(payload)) {
			return Row{}, false, nil
		}
		r, err := t.readOpen(s.at.id, false)
		if err != nil || r == nil || !f.wantsType(r.kind) {
			return Row{}, false, err
		}
		return r.row(), true, nil
	}
	take(seekBefore(c, end))
	return s
}

// seekBefore returns the last key before one.
func seekBefore(c *bbolt.Cursor, end []byte) (k, v []byte) {
	if k, _ := c.Seek(end); k == nil {
		k, v := c.Last()
		if k == nil || bytes.Compare(k, end) >= 0 {
			return nil, nil
		}
		return k, v
	}
	return c.Prev()
}

// ledgerSource reads the ledger, day by day.
func (t *tx) ledgerSource(to place) *source {
	days := t.ledgerDays()
	if to != (place{}) {
		days = slices.DeleteFunc(days, func(day uint32) bool { return day > dayOf(to.created) })
	}
	s := &source{}
	var c *bbolt.Cursor
	var day uint32
	var value []byte
	take := func(k, v []byte) {
		for k == nil && len(days) > 0 {
			day, days = days[len(days)-1], days[:len(days)-1]
			c = t.day(bucketLedger, day).Cursor()
			if to != (place{}) && day == dayOf(to.created) {
				k, v = seekBefore(c, to.ledgerKey())
			} else {
				k, v = c.Last()
			}
		}
		if s.ok = k != nil; s.ok {
			s.at, value = ledgerPlace(day, k), v
		}
	}
	s.step = func() { take(c.Prev()) }
	s.row = func(t *tx, f Filter) (Row, bool, error) {
		payload, ok := unseal(s.at.ledgerKey(), value)
		if !ok {
			return Row{}, false, nil
		}
		l := decodeLine(payload)
		if !f.wants(l.status) || f.Proof != None && l.proof != f.Proof || f.Entity != "" && l.entity != heygen.HashEntity(f.Entity) || !f.wantsType(t.typeName(l.kind)) {
			return Row{}, false, nil
		}
		return t.lineRow(s.at, l, f.Entity), true, nil
	}
	take(nil, nil)
	return s
}

// lineRow is a finished event as people see it.
func (t *tx) lineRow(p place, l line, entity string) Row {
	row := Row{
		Event:  heygen.Event{ID: p.id, Type: t.typeName(l.kind), CreatedAt: p.created},
		Status: l.status, Proof: l.proof, At: l.at, Listed: l.listed, Entity: entity,
	}
	if !p.created.IsZero() {
		row.Event.Created = p.created.Format(time.RFC3339)
	}
	var d story
	if l.flags&flagDetails != 0 {
		d = t.storyAt(p)
		row.Reason, row.Manual, row.Attempts, row.Twin, row.Acts, row.Sent = d.reason, d.manual, d.attempts, d.twin, d.acts, d.sent
		if d.created != "" {
			row.Event.Created, row.Entity = d.created, d.entity
		}
	}
	if row.Listed.IsZero() { // a line from before it said so
		row.Listed = d.listed
	}
	row.Why = lineWhy(l, d)
	return row
}

// lineWhy says in one sentence why a finished event is finished.
func lineWhy(l line, d story) string {
	if d.twin != "" && l.flags&flagTwin != 0 {
		return sameFact(d.twin)
	}
	if l.status == Ignored || l.flags&flagContent != 0 {
		return d.why
	}
	switch l.proof {
	case Replay:
		return replayWhy(d, l.at.UTC().Format(time.RFC3339))
	case None:
		return d.why
	}
	return l.proof.Why(l.at)
}

// replayWhy tells the attempt that arrived.
func replayWhy(d story, at string) string {
	for _, a := range slices.Backward(d.attempts) {
		if a.Status >= 200 && a.Status < 300 {
			return fmt.Sprintf("replayed: %d in %d ms at %s", a.Status, a.Latency.Milliseconds(), at)
		}
	}
	return "replayed at " + at
}
