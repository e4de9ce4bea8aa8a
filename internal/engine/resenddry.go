package engine

import (
	"cmp"
	"context"
	"slices"

	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/state"
)

// rehearseResend tells what a forced or shadow replay would send, and writes
// nothing.
func (e *Engine) rehearseResend(ctx context.Context, r ReplayRequest, warning string, yield func(ReplayRow) error) (Replayed, error) {
	plan := ReplayPlan{Kind: string(r.kind()), To: heygen.CutURLs(r.To), Warning: warning}
	found, err := e.rehearsed(ctx, r, &plan, yield)
	if err != nil {
		return Replayed{}, cmp.Or(narrowed(r.selection(), err), explain(err))
	}
	rows := make([]ReplayRow, 0, min(len(found), RowsMost))
	now := e.Now()
	for i, row := range found {
		plan.count(row.Event, row.Status, now)
		if i < RowsMost {
			rows = append(rows, ReplayRow{ID: row.Event.ID, Status: standsAs(row.Status), Queued: true})
		}
		if row.Why != "" { // the data is gone: it told whether it had links that expired
			plan.Expired++
		}
	}
	e.foresee(&plan)
	result := Replayed{Planned: plan.Events, Gone: plan.Gone}
	if err := tellPlan(plan, rows, yield); err != nil {
		return result, explain(err)
	}
	if plan.Gone > 0 {
		return result, exit.Errorf(exit.Failed, "what HeyGen does not list any more can't be sent", "%d of the named events are gone from the listing", plan.Gone)
	}
	return result, nil
}

// rehearsed finds what a dry run would send. Of each event only what is counted
// is held.
func (e *Engine) rehearsed(ctx context.Context, r ReplayRequest, plan *ReplayPlan, yield func(ReplayRow) error) ([]state.Row, error) {
	h := &held{e: e, met: map[string]bool{}}
	f := &finder{e: e, kind: r.kind(), chosen: r.selection(), since: r.Since, show: progressMeter(yield)}
	f.at = func(heygen.Query) (state.HistoryWalk, error) { return state.HistoryWalk{}, nil }
	f.take = func(_ heygen.Query, events []heygen.Event, _ state.HistoryWalk) (int, error) { return h.take(events) }
	switch {
	case r.Dead || r.Missed:
		err := e.eachUnfinished(ctx, r.selection(), func(row state.Row) error { h.add(row.Event, row.Status); return nil })
		return h.oldest(r.Limit), err
	case len(r.IDs) > 0:
		open, wanted, since, err := e.named(r.IDs)
		if err != nil {
			return nil, err
		}
		for _, row := range open {
			h.add(row.Event, row.Status)
		}
		f.wanted, f.since = wanted, since
	}
	if err := f.find(ctx); err != nil {
		return nil, err
	}
	plan.Skipped = f.skip
	for _, id := range r.IDs {
		if f.wanted[id] {
			plan.Gone++
			if err := yield(goneRow(id)); err != nil {
				return nil, err
			}
		}
	}
	return h.oldest(r.Limit), nil
}

// held is what a dry run has found.
type held struct {
	e    *Engine
	met  map[string]bool
	rows []state.Row
}

func (h *held) take(events []heygen.Event) (int, error) {
	statuses, err := h.e.store.StandsAt(events)
	for i, event := range events {
		if err == nil {
			h.add(event, statuses[i])
		}
	}
	return len(h.rows), err
}

func (h *held) add(event heygen.Event, status state.Status) {
	if h.met[event.ID] {
		return
	}
	h.met[event.ID] = true
	row := state.Row{Event: heygen.Event{ID: event.ID, Type: event.Type, CreatedAt: event.CreatedAt}, Status: status}
	if heygen.ExpiredLinks(event.Data, h.e.Now()) > 0 {
		row.Why = "expired"
	}
	h.rows = append(h.rows, row)
}

// oldest gives the oldest events, up to a limit; 0: all.
func (h *held) oldest(limit int) []state.Row {
	slices.SortFunc(h.rows, func(a, b state.Row) int {
		return cmp.Or(a.Event.CreatedAt.Compare(b.Event.CreatedAt), cmp.Compare(a.Event.ID, b.Event.ID))
	})
	if limit > 0 && len(h.rows) > limit {
		return h.rows[:limit]
	}
	return h.rows
}
