package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/state"
)

// resend sends events from the listing: a forced run, or a shadow run to another
// receiver. Both are found first, and kept with their data until they are sent.
func (e *Engine) resend(ctx context.Context, r ReplayRequest, yield func(ReplayRow) error) (Replayed, error) {
	warning, err := e.mayResend(r)
	if err != nil {
		return Replayed{}, err
	}
	if err := e.askFirst(ctx, r.selection()); err != nil {
		return Replayed{}, cmp.Or(narrowed(r.selection(), err), explain(err))
	}
	if r.DryRun {
		return e.rehearseResend(ctx, r, warning, yield)
	}
	run, err := e.store.BeginRun(e.Now(), state.Run{
		Kind: r.kind(), Who: r.Who, What: r.words(), URL: heygen.CutURLs(r.To), Chosen: r.selection(),
	}, r.IDs)
	if err != nil {
		return Replayed{}, explain(err)
	}
	return e.findAndSend(ctx, run, r, warning, yield)
}

// mayResend refuses what could not come to a good end before anything is read.
func (e *Engine) mayResend(r ReplayRequest) (warning string, err error) {
	cfg := e.current().cfg
	if r.To == "" {
		if r.DryRun {
			return "", nil
		}
		return "", e.mayReplay()
	}
	plain, err := cfg.OtherReceiver(r.To)
	if err != nil {
		return "", exit.Errorf(exit.Usage, "correct the URL", "--to %w", err)
	}
	if plain {
		warning = "--to is plain http to another host: anyone between can read it"
	}
	return warning, nil
}

// resumeResend takes up a forced or shadow run. The secret and the query of a
// shadow run's URL were never stored: both are given again.
func (e *Engine) resumeResend(ctx context.Context, run state.Run, r ReplayRequest, yield func(ReplayRow) error) (Replayed, error) {
	if err := sameReceiver(run, r); err != nil {
		return resultOf(run), err
	}
	if run.Kind == state.RunForced {
		r.To, r.Secret = "", ""
	}
	warning, err := e.mayResend(r)
	if err != nil {
		return resultOf(run), err
	}
	if e.runs.has(run.ID) {
		return resultOf(run), underWayAlready(run.ID)
	}
	if run.Walked.IsZero() {
		if err := e.askFirst(ctx, run.Chosen); err != nil {
			return resultOf(run), e.notFound(run, err)
		}
	}
	run, resumed, err := e.store.ResumeRun(e.Now(), run.ID, r.Who)
	if err != nil {
		return resultOf(run), explain(err)
	}
	if !resumed {
		return resultOf(run), nothingLeft(run.ID)
	}
	return e.findAndSend(ctx, run, r, warning, yield)
}

func underWayAlready(id uint64) error {
	return exit.Errorf(exit.Failed, fmt.Sprintf("`backstop replay --watch %d` follows it", id), "run %d is under way already", id)
}

// findAndSend brings a run from where it stands to its end.
func (e *Engine) findAndSend(ctx context.Context, run state.Run, r ReplayRequest, warning string, yield func(ReplayRow) error) (Replayed, error) {
	leave, ok := e.runs.takeAlone(run.ID)
	if !ok {
		return resultOf(run), underWayAlready(run.ID)
	}
	defer leave()
	plan := ReplayPlan{Run: run.ID, Kind: string(run.Kind), To: run.URL, Warning: warning}
	if err := e.findResends(ctx, run, &plan, yield); err != nil {
		return e.resendResult(run.ID, 0), e.notFound(run, err)
	}
	rows, err := e.planResends(ctx, run, &plan)
	if err != nil {
		return e.resendResult(run.ID, 0), explain(err)
	}
	gone, err := e.tellGone(run, &plan, yield)
	if err == nil {
		err = tellPlan(plan, rows, yield)
	}
	if err != nil || r.PlanOnly && plan.Events > 0 {
		return e.resendResult(run.ID, gone), explain(err)
	}
	if run, err = e.store.ConfirmRun(e.Now(), run.ID); err != nil {
		return e.resendResult(run.ID, gone), explain(err)
	}
	result, err := e.newResending(run, r, rows, yield).toEnd(ctx)
	result.Gone = gone
	if gone > 0 && (err == nil || exit.CodeOf(err) == exit.Differences) { // of several at once the graver one decides
		err = errors.Join(err, exit.Errorf(exit.Failed, "what HeyGen does not list any more can't be sent", "%d of the named events are gone from the listing", gone))
	}
	return e.reported(run, result), explain(err)
}

// findResends fills a run with the events that it is to send, unless it has them.
func (e *Engine) findResends(ctx context.Context, run state.Run, plan *ReplayPlan, yield func(ReplayRow) error) error {
	if !run.Walked.IsZero() {
		return nil
	}
	if run.Chosen.Dead || run.Chosen.Missed {
		if err := e.copyChosen(ctx, run); err != nil {
			return err
		}
		_, err := e.store.WalkedRun(e.Now(), run.ID)
		return err
	}
	f, err := e.newFinder(run, yield)
	if err != nil {
		return err
	}
	if err := f.find(ctx); err != nil {
		return err
	}
	plan.Skipped = f.skip
	_, err = e.store.WalkedRun(e.Now(), run.ID)
	return err
}

// copyChosen takes over what the state has itself.
func (e *Engine) copyChosen(ctx context.Context, run state.Run) error {
	var ids []string
	err := e.eachUnfinished(ctx, run.Chosen, func(row state.Row) error {
		if ids = append(ids, row.Event.ID); len(ids) < queueBite {
			return nil
		}
		err := e.store.CopyResends(e.Now(), run.ID, ids)
		ids = nil
		return err
	})
	if err != nil || len(ids) == 0 {
		return err
	}
	return e.store.CopyResends(e.Now(), run.ID, ids)
}

func (e *Engine) newFinder(run state.Run, yield func(ReplayRow) error) (*finder, error) {
	f := &finder{e: e, kind: run.Kind, chosen: run.Chosen, since: run.Chosen.Since, show: progressMeter(yield)}
	f.at = func(q heygen.Query) (state.HistoryWalk, error) { return e.store.RunWalk(run.ID, q) }
	f.take = func(q heygen.Query, events []heygen.Event, walk state.HistoryWalk) (int, error) {
		return e.store.PlanResends(state.ResendPages{Run: run.ID, Query: q, Events: events, Walk: walk, Now: e.Now()})
	}
	if run.Chosen.IDs == 0 {
		return f, nil
	}
	ids, err := e.store.RunIDs(run.ID)
	if err != nil {
		return nil, err
	}
	open, wanted, since, err := e.named(ids)
	if err != nil {
		return nil, err
	}
	f.wanted, f.since = wanted, since
	if len(open) > 0 {
		if err := e.store.CopyResends(e.Now(), run.ID, idsOf(open)); err != nil {
			return nil, err
		}
	}
	return f, e.eachResend(run.ID, func(row state.Row) { delete(f.wanted, row.Event.ID) })
}

// progressMeter tells how far a replay is. What its walk looks for may be seen.
func progressMeter(yield func(ReplayRow) error) *meter {
	return newMeter(func(p BackfillProgress) error {
		if p.Phase == "walk" {
			p.Phase = "find"
		}
		return yield(ReplayRow{Progress: &p})
	})
}

func idsOf(rows []state.Row) []string {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.Event.ID
	}
	return ids
}

// eachResend calls fn with all that a run has found, sent or not.
func (e *Engine) eachResend(id uint64, fn func(state.Row)) error {
	all := func(row state.Row) error { fn(row); return nil }
	if err := eachOf(e.store.Resending, id, all); err != nil {
		return err
	}
	return eachOf(e.store.Resent, id, all)
}

// planResends counts what waits in a run, and gives the rows of the first events.
func (e *Engine) planResends(ctx context.Context, run state.Run, plan *ReplayPlan) (rows []ReplayRow, err error) {
	now := e.Now()
	err = eachOf(e.store.Resending, run.ID, func(row state.Row) error {
		plan.count(row.Event, row.Status, now)
		if len(rows) <= RowsMost {
			rows = append(rows, ReplayRow{ID: row.Event.ID, Status: standsAs(row.Status), Queued: true})
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	e.foresee(plan)
	return rows, nil
}

func standsAs(s state.Status) string {
	if s == 0 {
		return "unknown"
	}
	return s.String()
}

// tellGone tells of each named event that is in the listing no more.
func (e *Engine) tellGone(run state.Run, plan *ReplayPlan, yield func(ReplayRow) error) (gone int, err error) {
	ids, err := e.store.RunIDs(run.ID)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	found := make(map[string]bool, len(ids))
	if err := e.eachResend(run.ID, func(row state.Row) { found[row.Event.ID] = true }); err != nil {
		return 0, err
	}
	for _, id := range ids {
		if found[id] {
			continue
		}
		gone++
		if err := yield(goneRow(id)); err != nil {
			return gone, err
		}
	}
	plan.Gone = gone
	return gone, nil
}

func goneRow(id string) ReplayRow {
	return ReplayRow{ID: printable(id), Status: "gone", Note: "it is gone from the listing: HeyGen does not have it any more"}
}

// resendResult is what a run has come to before its end.
func (e *Engine) resendResult(id uint64, gone int) Replayed {
	run, err := e.store.Run(id)
	if err != nil {
		return Replayed{Run: id, Gone: gone}
	}
	result := resultOf(run)
	result.Gone = gone
	return result
}
