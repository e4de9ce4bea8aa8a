package state

import (
	"fmt"
	"slices"
	"time"
)

// runBite bounds how many events one transaction of a run changes or hands out.
const runBite = 500

// Unfinished lists the unfinished events that a filter chooses, oldest first, with their data. Its limit is left to the
// caller. after is what the call before returned as next, nil at the start; next is nil at the end.
func (s *Store) Unfinished(f Filter, after []byte) (rows []Row, next []byte, err error) {
	err = s.view(func(t *tx) error {
		rows, next = nil, nil
		places, more := t.chosen(f, after, runBite)
		for _, p := range places {
			r, err := t.readOpen(p.id, true)
			if err != nil {
				return err
			}
			if r != nil && f.wantsType(r.kind) {
				rows = append(rows, r.row())
			}
		}
		if more {
			next = places[len(places)-1].key()
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list what is unfinished: %w", err)
	}
	return rows, next, nil
}

// chosen merges the stages of missed and dead events from a place on: the first ones that a filter chooses, as far as
// the index tells. more says that others may follow.
func (t *tx) chosen(f Filter, after []byte, limit int) (places []place, more bool) {
	from := place{created: f.Since}
	if after != nil {
		from = placeOf(after)
		from.id += "\x00" // the place right behind
	}
	for _, stage := range []byte{stageLive, stageOld, stageDead} {
		n := 0
		t.stageRows(stage, from, func(p place, e entry) bool {
			if !f.Until.IsZero() && !p.created.Before(f.Until) {
				return false
			}
			if f.open(p, e) {
				places = append(places, p)
				n++
			}
			return n < limit
		})
	}
	slices.SortFunc(places, func(p, q place) int {
		if p.before(q) {
			return -1
		}
		return 1
	})
	if len(places) < limit {
		return places, false
	}
	return places[:limit], true
}

// QueueRun takes the next events of a run's selection, oldest first, and has them sent now; done says that these were the
// last. Each of the ids is answered where the selection is one by ids.
//
// A crash before the commit leaves them as they were, and the run where it stood; after it they are queued, and the run goes
// on behind them.
func (s *Store) QueueRun(now time.Time, id uint64) (queued []Requeued, done bool, err error) {
	ids, err := s.RunIDs(id)
	if err != nil {
		return nil, false, fmt.Errorf("queue events of run %d: %w", id, err)
	}
	places, err := s.nextPlaces(id, ids)
	if err != nil {
		return nil, false, fmt.Errorf("queue events of run %d: %w", id, err)
	}
	_, err = s.changeRun(false, id, "queue events of", func(t *tx, r *Run) error {
		queued, done, err = t.queueRun(now, r, ids, places)
		return err
	})
	return queued, done, err
}

// nextPlaces finds where those of the next named ids lie that are finished.
func (s *Store) nextPlaces(id uint64, ids []string) (map[string]place, error) {
	r, err := s.Run(id)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	return s.locate(bite(ids, r.Taken))
}

// bite is the next of some ids.
func bite(ids []string, from int) []string {
	return ids[min(from, len(ids)):min(from+runBite, len(ids))]
}

func (t *tx) queueRun(now time.Time, r *Run, ids []string, places map[string]place) (queued []Requeued, done bool, err error) {
	if !r.Ready.IsZero() || !r.Cancelled.IsZero() {
		return nil, true, nil
	}
	next := bite(ids, r.Taken)
	done = r.Taken+len(next) == len(ids)
	if r.Chosen.IDs == 0 {
		next, done = t.nextChosen(r)
	}
	if r.Confirmed.IsZero() {
		r.Confirmed = now.UTC()
	}
	if err := t.putRun(*r); err != nil {
		return nil, false, err
	}
	for _, id := range next {
		a, err := t.handOne(id, places, t.requeue(now, requeue{who: r.Who, run: r.ID, act: r.Act}))
		if err != nil {
			return nil, false, fmt.Errorf("event %q: %w", id, err)
		}
		queued = append(queued, a)
	}
	counted, err := t.run(r.ID) // as those events have changed it
	if err != nil {
		return nil, false, err
	}
	counted.After, counted.Taken = r.After, r.Taken+len(next)
	if *r = counted; done {
		r.readied(now)
	}
	return queued, done, nil
}

// readied notes that all that was chosen is queued; what was seen meanwhile is not planned any more.
func (r *Run) readied(now time.Time) {
	r.Ready = now.UTC()
	r.Planned = r.Waiting + r.Seen + r.Dead + r.Ignored + r.Left
	if r.Waiting == 0 {
		r.Ended = now.UTC()
	}
}

// nextChosen gives the next ids of a selection by status and range; none where those that were looked at are of other types.
func (t *tx) nextChosen(r *Run) (ids []string, done bool) {
	limit := runBite
	f := r.Chosen.Filter()
	if f.Limit > 0 {
		limit = min(limit, f.Limit-r.Taken)
	}
	if limit <= 0 {
		return nil, true
	}
	places, more := t.chosen(f, r.After, runBite)
	for _, p := range places {
		if len(ids) == limit {
			break
		}
		r.After = p.key()
		if o, err := t.readOpen(p.id, false); err == nil && o != nil && f.wantsType(o.kind) {
			ids = append(ids, p.id)
		}
	}
	return ids, !more || f.Limit > 0 && r.Taken+len(ids) >= f.Limit
}

// Standing tells of some ids what QueueRun would find, and changes nothing.
func (s *Store) Standing(ids []string) (all []Requeued, err error) {
	for some := range slices.Chunk(unique(ids), runBite) {
		places, err := s.locate(some)
		if err != nil {
			return nil, fmt.Errorf("look up events: %w", err)
		}
		err = s.view(func(t *tx) error {
			for _, id := range some {
				a, err := t.standingOf(id, places)
				if err != nil {
					return fmt.Errorf("look up %q: %w", id, err)
				}
				all = append(all, a)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (t *tx) standingOf(id string, places map[string]place) (Requeued, error) {
	r, err := t.readOpen(id, false)
	if err != nil {
		return Requeued{}, err
	}
	if r == nil {
		return t.handFinished(id, places)
	}
	if r.status == Seen {
		return Requeued{ID: id, Was: Seen, Note: sameFact(r.twin) + ", which is not settled yet: not queued"}, nil
	}
	return Requeued{ID: id, Was: r.status, Queued: true}, nil
}
