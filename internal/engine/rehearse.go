package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"backstop/internal/heygen"
	"backstop/poller"
	"backstop/state"
)

// rehearse tells what a backfill would find, and writes nothing.
func (e *Engine) rehearse(ctx context.Context, r BackfillRequest, show *meter) (BackfillPlan, error) {
	p := e.current()
	queries := queriesOf(r.Types, r.Entity)
	if err := askTime(ctx, p, queries[0]); err != nil {
		return BackfillPlan{}, err
	}
	upper := upperEnd(r, p.client.Now().Add(-p.cfg.Reconcile.Settle)).Truncate(time.Second)
	re := &rehearsal{
		e: e, show: show, history: state.Backfill{History: r.History, Upper: upper},
		plan: BackfillPlan{Since: r.Since, Until: upper, MarkOnly: r.MarkOnly, Unpaired: e.store == nil || !e.store.Paired(), Lost: e.lostTime()},
	}
	var err error
	if re.heard, err = e.hear(ctx); err != nil {
		return re.plan, err
	}
	for _, q := range queries {
		if err := re.walk(ctx, q); err != nil {
			return re.plan, err
		}
	}
	re.plan.Stale = re.plan.Links > 0 && !e.current().cfg.Replay.RefreshURLs
	re.plan.Seconds = e.seconds(re.plan.Missed, re.plan.Expired, e.historyRate(r))
	return re.plan, nil
}

// rehearsal is one dry run. It holds only so much of the listing as it takes to
// judge the oldest events that it holds.
type rehearsal struct {
	e       *Engine
	show    *meter
	history state.Backfill
	plan    BackfillPlan
	heard   *state.Heard   // of the sources, which are read once
	held    []heygen.Event // of the query under way, not judged yet
	counted time.Time      // from here on all of it was judged and let go of; zero: nothing was
	before  int            // missed in the queries before it
}

func (r *rehearsal) walk(ctx context.Context, q heygen.Query) error {
	r.held, r.counted, r.before = nil, time.Time{}, r.plan.Missed
	var walk state.HistoryWalk
	result, err := r.e.historyWalker(q).History(ctx, poller.History{
		Since: r.history.History.Since,
		Commit: func(p poller.HistoryPages) (state.HistoryTally, error) {
			walk = p.Walk
			return state.HistoryTally{}, r.take(ctx, q, p)
		},
	}, func(context.Context) error { r.e.turn.letPass(); return nil })
	r.plan.Pages += result.Pages
	if err == nil && !walk.Done() {
		err = incomplete(result)
	}
	if err != nil {
		return fmt.Errorf("walk of %s: %w", q, err)
	}
	return r.judge(ctx, time.Time{})
}

// take holds what is in the range and judges what nothing older can change.
func (r *rehearsal) take(ctx context.Context, q heygen.Query, p poller.HistoryPages) error {
	r.plan.Bad += len(p.Bad)
	s := p.Walk.Segment
	for _, event := range p.Events {
		// While the listing keeps its order, nothing new lies as high as what
		// was counted: the walk has gone back to an earlier cursor.
		again := s.Ordered && !r.counted.IsZero() && !event.CreatedAt.Before(r.counted)
		if r.history.Covers(event) && !again {
			r.held = append(r.held, event)
		}
	}
	if s.Ordered && !s.Lowest.IsZero() {
		// Two ids are one fact within the window only, and rows may be out of
		// place by the lookback.
		cfg := r.e.current().cfg.Reconcile
		if err := r.judge(ctx, s.Lowest.Add(2*cfg.CollapseWindow+cfg.Lookback)); err != nil {
			return err
		}
	}
	return r.show.walked(q, r.history.History.Since, r.history.Upper, s, r.plan.Missed-r.before)
}

// judge counts the held events from a time on and lets go of them. The older
// ones are shown to the judge as well: one of them may be the same fact.
func (r *rehearsal) judge(ctx context.Context, from time.Time) error {
	slices.SortFunc(r.held, func(a, b heygen.Event) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	r.held = slices.CompactFunc(r.held, func(a, b heygen.Event) bool { return a.ID == b.ID && a.CreatedAt.Equal(b.CreatedAt) })
	keep, _ := slices.BinarySearchFunc(r.held, from, func(event heygen.Event, from time.Time) int { return event.CreatedAt.Compare(from) })
	if from.IsZero() {
		keep = 0
	}
	if keep == len(r.held) {
		return nil
	}
	r.heard.Listed(r.held)
	j := r.e.judgeHistory(r.e.current(), r.e.Now(), r.heard)
	for first := 0; first < len(r.held); first += planBite {
		bite := r.held[first:min(len(r.held), first+planBite)]
		if err := r.count(ctx, j, bite, keep-first); err != nil {
			return err
		}
	}
	r.held, r.counted = slices.Clone(r.held[:keep]), from
	return nil
}

// count judges a bite and counts its events from an index on.
func (r *rehearsal) count(ctx context.Context, j *historyJudge, bite []heygen.Event, from int) error {
	known, err := j.known(bite)
	if err != nil {
		return err
	}
	before := slices.Clone(known) // as far as the state knows
	verdicts, err := j.judge(ctx, bite, known)
	if err != nil {
		return err
	}
	for i := max(0, from); i < len(bite); i++ {
		r.plan.Events++
		switch k := before[i]; {
		case k.Status == state.Ignored:
			r.plan.Ignored++
		case r.plan.MarkOnly && k.Status != state.Seen && k.Reported == state.None:
			r.plan.count(bite[i], state.Missed, j.now)
		case k.Status != 0 && k.Status != state.Seen:
			r.plan.InHand++
		default:
			r.plan.count(bite[i], verdicts[i].Status, j.now)
		}
	}
	return nil
}
