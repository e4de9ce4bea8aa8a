package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"backstop/internal/heygen"
	"backstop/poller"
	"backstop/state"
)

// errAllFound ends a walk that looks for named events: it has all of them.
var errAllFound = errors.New("all that was looked for is found")

// finder looks in the listing for the events that a forced or shadow replay is to
// send.
type finder struct {
	e      *Engine
	kind   state.RunKind
	chosen state.Selection
	wanted map[string]bool // ids that are not found yet; nil: a range is chosen
	since  time.Time       // how far down to read; zero: to the end
	show   *meter
	skip   int // events that are left out, for they have not settled

	// at gives the position where the walk of a query goes on, and take what it
	// found with the position behind that; it gives how many are found in all.
	at   func(q heygen.Query) (state.HistoryWalk, error)
	take func(q heygen.Query, events []heygen.Event, walk state.HistoryWalk) (int, error)
}

// askFirst asks the listing for its time before it is read for a selection: no run
// is begun, or taken up, that HeyGen's answer would end at once.
func (e *Engine) askFirst(ctx context.Context, s state.Selection) error {
	if s.Dead || s.Missed { // the state has them
		return nil
	}
	return askTime(ctx, e.current(), queriesOf(s.Types, s.Entity)[0])
}

// find walks every query that the selection needs.
func (f *finder) find(ctx context.Context) error {
	for _, q := range queriesOf(f.chosen.Types, f.chosen.Entity) {
		if f.wanted != nil && len(f.wanted) == 0 {
			return nil
		}
		if err := f.walk(ctx, q); err != nil {
			return fmt.Errorf("walk of %s: %w", q, err)
		}
	}
	return nil
}

func (f *finder) walk(ctx context.Context, q heygen.Query) error {
	walk, err := f.at(q)
	if err != nil || walk.Done() {
		return err
	}
	result, err := f.e.historyWalker(q).History(ctx, poller.History{
		Walk: walk, Since: f.since,
		Commit: func(p poller.HistoryPages) (state.HistoryTally, error) {
			walk = p.Walk
			return state.HistoryTally{}, f.commit(q, p)
		},
	}, f.between)
	if errors.Is(err, errAllFound) {
		return nil
	}
	if err == nil && !walk.Done() {
		err = incomplete(result)
	}
	return err
}

// between is called between two pages: a due poll goes first, and nothing is read
// for a state that can't be written.
func (f *finder) between(context.Context) error {
	f.e.turn.letPass()
	if f.wanted != nil && len(f.wanted) == 0 {
		return errAllFound
	}
	return f.e.store.Err()
}

func (f *finder) commit(q heygen.Query, p poller.HistoryPages) error {
	events, err := f.match(p.Events)
	if err != nil {
		return err
	}
	found, err := f.take(q, events, p.Walk)
	if err != nil {
		return err
	}
	for _, event := range events {
		delete(f.wanted, event.ID)
	}
	return f.show.walked(q, f.since, f.upper(), p.Walk.Segment, found)
}

func (f *finder) upper() time.Time {
	if f.chosen.Until.IsZero() {
		return f.e.Now()
	}
	return f.chosen.Until
}

// match gives those of some listed events that are to be sent.
func (f *finder) match(events []heygen.Event) (chosen []heygen.Event, err error) {
	if f.wanted != nil {
		for _, event := range events {
			if f.wanted[event.ID] {
				chosen = append(chosen, event)
			}
		}
		return chosen, nil
	}
	for _, event := range events {
		if f.covers(event) {
			chosen = append(chosen, event)
		}
	}
	if f.kind == state.RunShadow {
		return chosen, nil
	}
	return f.settled(chosen)
}

// covers reports whether an event lies in the range. An undated one only does
// where there is none.
func (f *finder) covers(event heygen.Event) bool {
	s, at := f.chosen, event.CreatedAt
	if at.IsZero() && (!s.Since.IsZero() || !s.Until.IsZero()) {
		return false
	}
	return !at.Before(s.Since) && (s.Until.IsZero() || at.Before(s.Until)) && (s.Entity == "" || event.Entity() == s.Entity)
}

// settled leaves out what has not settled: its push may be in flight.
func (f *finder) settled(events []heygen.Event) (chosen []heygen.Event, err error) {
	statuses, err := f.e.store.StandsAt(events)
	if err != nil {
		return nil, err
	}
	young := f.e.Now().Add(-f.e.current().cfg.Reconcile.Settle)
	for i, event := range events {
		switch statuses[i] {
		case state.Settling, state.Listed:
			f.skip++
			continue
		case 0:
			if event.CreatedAt.After(young) {
				f.skip++
				continue
			}
		}
		chosen = append(chosen, event)
	}
	return chosen, nil
}

// named prepares the search for ids: those that are unfinished need none, for the
// state has their data. It gives these, and how far down the others lie.
func (e *Engine) named(ids []string) (open []state.Row, wanted map[string]bool, since time.Time, err error) {
	if open, err = e.store.OpenRows(ids); err != nil {
		return nil, nil, since, err
	}
	wanted = make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	for _, row := range open {
		delete(wanted, row.Event.ID)
	}
	since, err = e.store.Oldest(wanted)
	return open, wanted, since, err
}
