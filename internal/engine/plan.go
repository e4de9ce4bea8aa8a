package engine

import (
	"context"
	"errors"
	"time"

	"backstop/internal/heygen"
	"backstop/reconcile"
	"backstop/state"
)

// planBite is how many planned events are judged at once.
const planBite = 500

// judgePlanned counts what the plan would send. It writes nothing.
func (e *Engine) judgePlanned(ctx context.Context, b state.Backfill, r BackfillRequest, plan *BackfillPlan) error {
	j, err := e.newHistoryJudge(ctx)
	if err != nil {
		return err
	}
	for after := ""; ; {
		rows, next, err := e.store.Planned(b.ID, after, planBite)
		if err != nil {
			return err
		}
		verdicts, err := j.verdicts(ctx, rows, b.History.MarkOnly)
		if err != nil {
			return err
		}
		for i, v := range verdicts {
			if b.History.MarkOnly {
				v.Status = state.Missed // for all that anybody knows
			}
			plan.count(rows[i].Event, v.Status, j.now)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if after = next; next == "" {
			break
		}
	}
	plan.Stale = plan.Links > 0 && !e.current().cfg.Replay.RefreshURLs
	plan.Seconds = e.seconds(plan.Missed, plan.Expired, e.historyRate(r))
	return nil
}

// count takes one planned event in.
func (p *BackfillPlan) count(event heygen.Event, status state.Status, now time.Time) {
	switch status {
	case state.Settling:
		p.Settling++
	case state.Seen:
		p.Seen++
	default:
		p.Missed++
		if p.Types == nil {
			p.Types = map[string]int{}
		}
		p.Types[event.Type]++
		if n := heygen.ExpiredLinks(event.Data, now); n > 0 {
			p.Links += n
			p.Expired++
		}
	}
}

// historyRate is how many replays a second a backfill may make; 0: no limit.
func (e *Engine) historyRate(r BackfillRequest) float64 {
	most := e.current().cfg.Replay.Rate
	if r.Rate > 0 && (most <= 0 || r.Rate < most) {
		return r.Rate
	}
	return most
}

// seconds is how long it takes to send events at a rate, some of them after their
// links were looked up, which has a rate of its own; 0: nothing limits it.
func (e *Engine) seconds(events, renewed int, rate float64) float64 {
	took := 0.0
	if rate > 0 {
		took = float64(events) / rate
	}
	if cfg := e.current().cfg; cfg.Replay.RefreshURLs && lookUpRate(cfg) > 0 {
		took = max(took, float64(renewed)/lookUpRate(cfg))
	}
	return took
}

// historyJudge judges events of history by the same predicate as a pass, oldest
// first, without a baseline.
type historyJudge struct {
	look    *state.Look
	sources *reconcile.Sources
	failed  func(names []string) error // makes an error of sources that failed
	rules   reconcile.Policy
	now     time.Time
}

// newHistoryJudge has the sources write down first what they know. One that fails
// ends the backfill: what it may know must not be sent.
func (e *Engine) newHistoryJudge(ctx context.Context) (*historyJudge, error) {
	p, now := e.current(), e.Now()
	failed, err := p.sources.Sync(ctx)
	if err = errors.Join(err, e.sourceFailed(failed)); err != nil {
		return nil, err
	}
	return e.judgeHistory(p, now, nil), nil
}

// hear puts what the sources know into memory, for a dry run. One that fails ends
// it, as it would the backfill.
func (e *Engine) hear(ctx context.Context) (*state.Heard, error) {
	heard := state.NewHeardOfAny()
	failed, err := e.current().sources.Peek(ctx, e.Now(), heard)
	if err = errors.Join(err, e.sourceFailed(failed), heard.Err()); err != nil {
		return nil, err
	}
	return heard, nil
}

// judgeHistory judges by the state as it is, and by what was heard beside it.
func (e *Engine) judgeHistory(p *parts, now time.Time, heard *state.Heard) *historyJudge {
	rules := policy(p.cfg, time.Time{}, time.Time{})
	look := e.store.Look(state.Policy{Settle: rules.Settle, CollapseWindow: rules.CollapseWindow, History: true, Heard: heard})
	return &historyJudge{look: look, sources: p.sources, failed: e.sourceFailed, rules: rules, now: now}
}

// verdicts gives one for each row. What a person only has marked is seen on that
// person's word.
func (j *historyJudge) verdicts(ctx context.Context, rows []state.Row, mark bool) ([]state.Verdict, error) {
	verdicts := make([]state.Verdict, len(rows))
	if mark {
		for i, row := range rows {
			verdicts[i] = state.Verdict{ID: row.Event.ID, Status: state.Seen, Proof: state.Import}
		}
		return verdicts, nil
	}
	events := make([]heygen.Event, len(rows))
	for i, row := range rows {
		events[i] = row.Event
	}
	known, err := j.known(events)
	if err != nil {
		return nil, err
	}
	for i, row := range rows {
		if known[i].Listed.IsZero() {
			known[i].Listed = row.Listed
		}
	}
	judged, err := j.judge(ctx, events, known)
	for i, v := range judged {
		verdicts[i] = state.Verdict{ID: events[i].ID, Status: v.Status, Proof: v.Proof, Why: v.Why, Credit: v.Credit, Twin: v.Twin}
	}
	return verdicts, err
}

func (j *historyJudge) known(events []heygen.Event) ([]state.Known, error) {
	return j.look.Events(j.now, events)
}

// judge gives the verdicts on events of which this is known.
func (j *historyJudge) judge(ctx context.Context, events []heygen.Event, known []state.Known) ([]reconcile.Verdict, error) {
	verdicts, answers, err := j.sources.Verdicts(ctx, j.now, events, known, j.rules)
	return verdicts, errors.Join(err, j.failed(answers.Failed))
}
