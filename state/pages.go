package state

import (
	"fmt"
	"slices"
	"time"

	"backstop/internal/heygen"
)

// Pages is what a walk has read since its last commit.
type Pages struct {
	Query      heygen.Query
	Kind       Kind
	Walk       uint64 // this walk, unique in the process; see Judgeable
	Events     []heygen.Event
	Ready      []Ready // what Prepare told of Events, from the first on; of the others nobody asked
	Bad        []heygen.BadRow
	Checkpoint Checkpoint // the position behind these pages; no segments: none is needed
	Now        time.Time
	First      bool // the first walk of this state: its undated rows are baseline
}

// Tally counts what CommitPages did with the rows of some pages. Listed is all
// readable rows; New those never met before, of which Seen, Baseline and
// Settling are parts; Known the rest.
type Tally struct {
	Listed, New, Known       int
	Seen, Baseline, Settling int
	Undated, Bad             int
	Types                    map[string]int // new events by type
}

// rememberYoung is how old a seen event may be for its id to be remembered: a report that comes twice comes soon.
const rememberYoung = 2 * time.Hour

// CommitPages stores the events of some pages and the checkpoint behind them in one transaction. Events that a recorder
// knows are seen at once, those older than the baseline are seen by baseline, all others settle. Where nothing is new and
// no checkpoint is needed, nothing is written.
//
// A crash before the commit leaves the older checkpoint, and the walk reads these pages again; after it, both are there.
func (s *Store) CommitPages(p Pages) (Tally, error) {
	if tally, ok, err := s.allKnown(p); ok || err != nil {
		return tally, err
	}
	var tally Tally
	err := s.update(true, func(t *tx) (err error) {
		tally, err = t.commitPages(p)
		return err
	})
	if err != nil {
		return Tally{}, fmt.Errorf("store pages of %s: %w", p.Query, err)
	}
	return tally, nil
}

// allKnown reports whether these pages change nothing, and then counts them.
func (s *Store) allKnown(p Pages) (tally Tally, ok bool, err error) {
	if len(p.Bad) > 0 || len(p.Checkpoint.Segments) > 0 {
		return Tally{}, false, nil
	}
	for _, e := range p.Events {
		if _, reported := s.rows.reported(e.ID); reported {
			return Tally{}, false, nil
		}
	}
	err = s.view(func(t *tx) error {
		_, pending, err := t.checkpoint(p.Query, p.Kind)
		if pending || err != nil {
			return err
		}
		met := t.meeting(p)
		for i, e := range p.Events {
			tally.count(e)
			tally.Known++
			if m, err := met.of(i, e); !m.known || err != nil {
				return err
			}
		}
		ok = true
		return nil
	})
	return tally, ok, err
}

func (n *Tally) count(e heygen.Event) {
	n.Listed++
	if e.CreatedAt.IsZero() {
		n.Undated++
	}
}

func (t *tx) belowFloor(e heygen.Event) bool {
	return !e.CreatedAt.IsZero() && e.CreatedAt.Before(t.s.Floor())
}

func (t *tx) commitPages(p Pages) (Tally, error) {
	var tally Tally
	sp := make(spent)
	// From the end: a listing that is newest first then fills the ledger upwards, which appends.
	met := t.meeting(p)
	for i, e := range slices.Backward(p.Events) {
		tally.count(e)
		m, err := met.of(i, e)
		if err == nil {
			err = t.list(p, e, m, sp, &tally)
		}
		if err != nil {
			return Tally{}, fmt.Errorf("event %q: %w", e.ID, err)
		}
	}
	if err := t.take(sp); err != nil {
		return Tally{}, err
	}
	for _, row := range p.Bad {
		tally.Bad++
		if _, err := t.quarantine(p.Now, row, p.Query.String()); err != nil {
			return Tally{}, err
		}
	}
	return tally, t.setCheckpoint(p.Query, p.Kind, p.Checkpoint)
}

// list handles one listed event.
func (t *tx) list(p Pages, e heygen.Event, m meeting, sp spent, tally *Tally) error {
	if m.known {
		tally.Known++
		return t.listAgain(p.Now, e, sp)
	}
	tally.new(e)
	n, reported := t.fromInbox(sp, e.ID)
	if !reported && m.reported {
		var err error
		if n, reported, err = t.fromReported(e.ID, m.proof); err != nil {
			return err
		}
	}
	if c, ok := t.linkOf(e.ID); ok && reported && t.disputed(c.fact, m.fact, n.at) {
		reported = false
		if err := t.byContent(p.Now, n, c.fact); err != nil {
			return err
		}
	}
	switch {
	case reported:
		tally.Seen++
		if err := t.matched(p.Now, n, m.fact); err != nil {
			return err
		}
		return t.listSeen(p.Now, e, m, n)
	case t.isBaseline(p, e):
		tally.Baseline++
		return t.listSeen(p.Now, e, m, named{e.ID, Baseline, p.Now})
	}
	tally.Settling++
	r := newRecord(e, p.Now)
	if p.Walk != 0 {
		r.walk, r.epoch = p.Walk, t.s.rows.epoch
	}
	t.met(e.Type, e.CreatedAt, Settling, named{})
	return t.saveOpen(nil, r)
}

func (n *Tally) new(e heygen.Event) {
	n.New++
	if n.Types == nil {
		n.Types = make(map[string]int)
	}
	n.Types[e.Type]++
}

// listAgain lets a report that waited for a listing meet its finished event.
func (t *tx) listAgain(now time.Time, e heygen.Event, sp spent) error {
	one, ok := t.inboxOf(e.ID)
	if !ok {
		return nil
	}
	t.leave(sp, e.ID, one)
	n := named{e.ID, one.proof, one.at()}
	if r, err := t.open(e.ID); r != nil || err != nil {
		return t.recordOpen(now, r, n, err)
	}
	return t.meet(now, place{e.CreatedAt, e.ID}, n)
}

// isBaseline reports whether an event is older than the first run.
func (t *tx) isBaseline(p Pages, e heygen.Event) bool {
	if e.CreatedAt.IsZero() {
		return p.First
	}
	baseline, ok := t.s.Baseline()
	return ok && e.CreatedAt.Before(baseline)
}

// listSeen writes an event straight to the ledger.
func (t *tx) listSeen(now time.Time, e heygen.Event, m meeting, n named) error {
	l, err := t.newLine(e, m.fact, m.entity, Seen, n.proof, n.at)
	if err != nil {
		return err
	}
	l.listed = now
	p := place{e.CreatedAt, e.ID}
	if err := t.putLine(now, p, nil, l); err != nil {
		return err
	}
	t.met(e.Type, e.CreatedAt, Seen, n)
	if now.Sub(e.CreatedAt) < rememberYoung {
		t.remember(e.ID, finished{created: e.CreatedAt, status: Seen})
	}
	return t.cover(now, p, m.fact, ending{status: Seen, proof: n.proof, at: n.at})
}
