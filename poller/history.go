package poller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// History is a walk over the past: it has an end that does not move, so it needs
// no fresh head, and goes on exactly where it stood.
type History struct {
	Walk  state.HistoryWalk // where a stopped walk stands; the zero walk begins at the first page
	Since time.Time         // how far down to read; zero: to the end

	// Commit makes pages and the position behind them durable, together or not
	// at all, and gives the tally of the whole walk.
	Commit func(HistoryPages) (state.HistoryTally, error)
}

// HistoryPages is what was read since the last commit.
type HistoryPages struct {
	Events []heygen.Event
	Bad    []heygen.BadRow
	Walk   state.HistoryWalk
}

// History reads the past, as [Walker.Walk] reads the newest part of the listing:
// down to Since, or to the end. A cursor
// that is refused is asked for once more, and then those from before it are
// tried; only when none is taken, the walk begins anew.
func (w *Walker) History(ctx context.Context, h History, between func(context.Context) error) (Result, error) {
	r := w.run(state.Poll)
	p := &past{run: r, walk: h.Walk, since: h.Since, save: h.Commit}
	if p.walk.Segment.Pages == 0 {
		p.walk = state.HistoryWalk{Waypoint: state.Waypoint{Segment: fresh(h.Since)}}
	}
	r.stack = []state.Segment{p.walk.Segment}
	r.between, r.commit, r.back = between, p.commit, p.back
	err := r.readAll(ctx)
	return r.ended(ctx, err)
}

// past is a walk over history under way.
type past struct {
	run     *run
	walk    state.HistoryWalk // as of the last commit
	since   time.Time
	save    func(HistoryPages) (state.HistoryTally, error)
	retreat retreat
}

// commit makes the held pages durable. After a crash before it they are read
// again, at most ten; after it, the walk goes on behind them.
func (p *past) commit() error {
	next := state.HistoryWalk{Trail: leave(p.walk)}
	next.Segment, next.Tally = p.run.stack[0], p.walk.Tally
	tally, err := p.save(HistoryPages{Events: p.run.held.events, Bad: p.run.held.bad, Walk: next})
	if err != nil {
		return fmt.Errorf("commit %d pages of %s: %w", p.run.held.pages, p.run.w.o.Query, err)
	}
	next.Tally = tally
	p.walk = next
	return nil
}

// back gives the walk a position to go on from after the listing refused its
// cursor; false when all were tried.
func (p *past) back() (state.Segment, bool) {
	way, ok := p.retreat.next(p.walk)
	if !ok {
		return state.Segment{}, false
	}
	if way.Segment.Pages == 0 {
		way = state.Waypoint{Segment: fresh(p.since)}
	}
	p.walk.Waypoint = way
	p.walk.Trail = slices.DeleteFunc(slices.Clone(p.walk.Trail), func(o state.Waypoint) bool { return o.Segment.Pages >= way.Segment.Pages })
	p.run.w.log.Info("the listing refused a cursor: the walk goes on from an earlier one", "page", way.Segment.Pages+1)
	return way.Segment, true
}

// retreat chooses where to go on after refused cursors: at the same one, for the
// listing may just have had a bad moment, then at ever earlier ones, at last at
// the first page. It starts over once the walk has got farther than ever.
type retreat struct {
	farthest int              // pages that had been read when a cursor was refused
	again    int              // pages that had been read when one was asked for again
	trail    []state.Waypoint // of the walk at its farthest
	back     int              // places of the trail that were gone back to
}

func (r *retreat) next(w state.HistoryWalk) (state.Waypoint, bool) {
	pages := w.Segment.Pages
	if pages > r.farthest {
		*r = retreat{farthest: pages, trail: w.Trail}
	}
	if r.again != pages {
		r.again = pages
		return w.Waypoint, true
	}
	r.back++
	switch {
	case r.back <= len(r.trail):
		return r.trail[r.back-1], true
	case r.back == len(r.trail)+1:
		return state.Waypoint{}, true
	}
	return state.Waypoint{}, false
}

// trailToken is the longest cursor that is worth keeping for the case that a
// later one is refused: a trail of long ones would make every commit large.
const trailToken = 4 << 10

// leave gives the trail that a walk leaves when it moves on: the place where it
// stood, and of the older ones fewer the farther back they lie.
func leave(w state.HistoryWalk) []state.Waypoint {
	s := w.Segment
	if s.Pages == 0 || s.Token == "" || len(s.Token) > trailToken {
		return w.Trail
	}
	trail := slices.Concat([]state.Waypoint{w.Waypoint}, w.Trail)
	back := func(i int) int { return s.Pages - trail[i].Segment.Pages + groupPages }
	for i := len(trail) - 2; i > 0; i-- {
		if back(i+1) <= 2*back(i-1) { // its neighbours lie close enough
			trail = slices.Delete(trail, i, i+1)
		}
	}
	return trail
}
