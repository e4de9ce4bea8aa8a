package engine

import (
	"cmp"
	"context"
	"math"
	"time"

	"golang.org/x/time/rate"

	"backstop/internal/heygen"
	"backstop/reconcile"
	"backstop/state"
)

const (
	planBite    = 500 // planned events that are judged at once
	queueBite   = 100 // that are queued at once
	oldLaneMost = 500 // that are queued and not finished: what waits beyond is kept out of the replayer's way
)

// judgePlanned counts what the plan would send. It writes nothing.
func (e *Engine) judgePlanned(ctx context.Context, b state.Backfill, r BackfillRequest, plan *BackfillPlan) error {
	j := e.newHistoryJudge(e.Now())
	for after := ""; ; {
		rows, next, err := e.store.Planned(b.ID, after, planBite)
		if err != nil {
			return err
		}
		verdicts, err := j.verdicts(rows, b.History.MarkOnly)
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
	plan.Seconds = seconds(plan.Missed, e.historyRate(r))
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
		p.Links += heygen.ExpiredLinks(event.Data, now)
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

func seconds(events int, rate float64) float64 {
	if rate <= 0 {
		return 0
	}
	return float64(events) / rate
}

// historyJudge judges events of history by the same predicate as a pass, oldest
// first, without a baseline.
type historyJudge struct {
	look  *state.Look
	rules reconcile.Policy
	now   time.Time
}

func (e *Engine) newHistoryJudge(now time.Time) *historyJudge {
	rules := policy(e.current().cfg, time.Time{}, time.Time{})
	look := e.store.Look(state.Policy{Settle: rules.Settle, CollapseWindow: rules.CollapseWindow, History: true})
	return &historyJudge{look: look, rules: rules, now: now}
}

// verdicts gives one for each row. What a person only has marked is seen on that
// person's word.
func (j *historyJudge) verdicts(rows []state.Row, mark bool) ([]state.Verdict, error) {
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
		verdicts[i] = j.verdict(row.Event, known[i])
	}
	return verdicts, nil
}

func (j *historyJudge) known(events []heygen.Event) ([]state.Known, error) {
	return j.look.Events(j.now, events)
}

func (j *historyJudge) verdict(event heygen.Event, k state.Known) state.Verdict {
	v := reconcile.Judge(event, k, j.now, j.rules)
	return state.Verdict{ID: event.ID, Status: v.Status, Proof: v.Proof, Why: v.Why, Credit: v.Credit, Twin: v.Twin}
}

// sendHistory queues what was planned, a little at a time, and waits until all
// of it is seen or dead, or replaying stands still.
func (e *Engine) sendHistory(ctx context.Context, b state.Backfill, r BackfillRequest, result *Backfilled, show *meter) error {
	s, err := e.newHistorySender(b, r, result)
	if err != nil {
		return err
	}
	for probe := true; ; probe = false {
		moved, err := s.queue()
		if err != nil {
			return err
		}
		if err := s.drain(ctx, probe); err != nil {
			return err
		}
		if err := s.count(); err != nil {
			return err
		}
		if err := show.sent(s.total-result.Left, s.total); err != nil {
			return err
		}
		if done, err := s.over(); done || err != nil {
			return err
		}
		if err := s.rest(ctx, moved); err != nil {
			return err
		}
	}
}

// historySender is the second half of one backfill.
type historySender struct {
	e        *Engine
	backfill state.Backfill
	result   *Backfilled
	pace     *rate.Limiter
	after    string // how far the plan was looked through; "": from its beginning
	planned  int    // left in the plan
	total    int    // planned and unfinished at the start
}

func (e *Engine) newHistorySender(b state.Backfill, r BackfillRequest, result *Backfilled) (*historySender, error) {
	s := &historySender{e: e, backfill: b, result: result, pace: pace(e.historyRate(r))}
	var err error
	if s.planned, err = e.store.PlannedCount(b.ID); err != nil {
		return nil, err
	}
	err = s.count()
	s.total = result.Left
	return s, err
}

// pace lets a second's worth of events go at once, so that few transactions
// queue them.
func pace(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return rate.NewLimiter(rate.Inf, queueBite)
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, min(queueBite, int(math.Ceil(perSecond)))))
}

// queue moves planned events to the old lane, as many as it may hold and the
// rate allows now, oldest first. It tells how many left the plan.
func (s *historySender) queue() (moved int, err error) {
	old, err := s.e.store.OldLane(oldLaneMost)
	if err != nil {
		return 0, err
	}
	bite := min(queueBite, oldLaneMost-old, s.allowed())
	if bite < 1 || s.planned == 0 {
		return 0, nil
	}
	rows, next, err := s.e.store.Planned(s.backfill.ID, s.after, bite)
	if err != nil {
		return 0, err
	}
	if s.after == "" && next == "" && len(rows) == 0 {
		s.planned = 0 // what is left is damaged, and goes with the end of the backfill
	}
	s.after = next
	return s.decide(rows)
}

// decide judges planned events and queues what is missed. The Look is a new one
// each time: what was queued before is in the state by now.
func (s *historySender) decide(rows []state.Row) (moved int, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	now := s.e.Now()
	verdicts, err := s.e.newHistoryJudge(now).verdicts(rows, s.backfill.History.MarkOnly)
	if err != nil {
		return 0, err
	}
	applied, moved, err := s.e.store.QueuePlanned(now, s.backfill.ID, rows, verdicts)
	if err != nil {
		return 0, err
	}
	s.planned -= moved
	for _, v := range applied {
		if v.Status == state.Missed {
			s.pace.Allow() // there is room: allowed has looked
		} else {
			s.result.Proven++
		}
	}
	return moved, nil
}

// allowed is how many events the rate lets go now.
func (s *historySender) allowed() int {
	if s.backfill.History.MarkOnly || s.pace.Limit() == rate.Inf {
		return queueBite
	}
	return int(s.pace.Tokens())
}

// drain sends what is due, beside whoever else does. A probe need not wait for
// its time: a person may just have mended the receiver.
func (s *historySender) drain(ctx context.Context, probe bool) error {
	if s.backfill.History.MarkOnly {
		return ctx.Err()
	}
	if _, err := s.e.current().replayer.DrainManual(ctx, probe); err != nil {
		return err
	}
	return cmp.Or(ctx.Err(), s.e.store.Err())
}

// count looks how far the events are.
func (s *historySender) count() error {
	old, err := s.e.store.OldLane(oldLaneMost)
	if err != nil {
		return err
	}
	b, err := s.e.store.Backfill(s.backfill.ID)
	if err != nil {
		return err
	}
	if s.result.Dead, err = s.e.store.DeadOf(s.backfill.ID); err != nil {
		return err
	}
	s.result.Left = s.planned + old
	s.result.Seen = max(0, int(b.Queued)-old-s.result.Dead)
	return nil
}

// over ends the backfill when nothing is left, or says why it stands still.
func (s *historySender) over() (done bool, err error) {
	if s.result.Left == 0 {
		return true, cmp.Or(s.e.store.EndBackfill(s.e.Now(), s.backfill.ID), s.result.differences(""))
	}
	if s.backfill.History.MarkOnly {
		return false, nil
	}
	held := cmp.Or(s.e.manualHeld(), s.e.misconfigured())
	if held == "" {
		return false, nil
	}
	return true, s.result.differences(held)
}

// rest waits for the rate, for a backoff or for a settle time, unless there is
// more to do at once.
func (s *historySender) rest(ctx context.Context, moved int) error {
	if moved > 0 && s.allowed() > 0 {
		return ctx.Err()
	}
	return pause(ctx, s.e.untilDue())
}
