package engine

import (
	"cmp"
	"context"
	"math"
	"time"

	"golang.org/x/time/rate"

	"backstop/internal/exit"
	"backstop/state"
)

const (
	queueBite   = 100 // planned events that are queued at once
	oldLaneMost = 500 // events that are queued and not finished: what waits beyond is kept out of the replayer's way

	trickleEvery = time.Minute // how often an event is queued although the receiver is down
)

// sendHistory queues what was planned, a little at a time, and waits until all
// of it is seen or dead, or replaying stands still.
func (e *Engine) sendHistory(ctx context.Context, b state.Backfill, r BackfillRequest, result *Backfilled, show *meter) error {
	s, err := e.newHistorySender(b, r, result)
	if err != nil {
		return err
	}
	for probe := true; ; probe = false {
		moved, err := s.queue(ctx)
		if err != nil {
			return err
		}
		if err := s.drain(ctx, probe); err != nil {
			return err
		}
		if err := s.count(); err != nil {
			return err
		}
		if err := show.sent(s.phase(), s.total-result.Left, s.total, e.current().replayer.Down()); err != nil {
			return err
		}
		if done, err := s.over(ctx); done || err != nil {
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
	after    string    // how far the plan was looked through; "": from its beginning
	planned  int       // left in the plan
	total    int       // planned and unfinished at the start
	queued   time.Time // when something was queued last
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

// pace begins with a single event, as replay.rate does. What a slow receiver
// has held up may be made good, up to a second's worth.
func pace(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return rate.NewLimiter(rate.Inf, queueBite)
	}
	most := max(1, min(queueBite, int(math.Ceil(perSecond))))
	limiter := rate.NewLimiter(rate.Limit(perSecond), most)
	limiter.AllowN(time.Now(), most-1)
	return limiter
}

// queue moves planned events to the old lane, as many as it may hold and the
// rate allows now, oldest first. It tells how many left the plan.
func (s *historySender) queue(ctx context.Context) (moved int, err error) {
	old, err := s.e.store.OldLane(oldLaneMost)
	if err != nil {
		return 0, err
	}
	bite := min(queueBite, oldLaneMost-old, s.allowed())
	if r := s.e.current().replayer; r.Down() || r.Resting() {
		bite = min(bite, s.trickle(old))
	}
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
	return s.decide(ctx, rows)
}

// trickle is how many events may be queued while the receiver is down or asked
// to be let alone: all that
// is queued by then is sent when it answers again, and no rate holds that back.
// A new one now and then gives it something to be tried with.
func (s *historySender) trickle(old int) int {
	if old > 0 && time.Since(s.queued) < trickleEvery {
		return 0
	}
	return 1
}

// decide judges planned events and queues what is missed. The Look is a new one
// each time: what was queued before is in the state by now.
func (s *historySender) decide(ctx context.Context, rows []state.Row) (moved int, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	j, err := s.e.newHistoryJudge(ctx)
	if err != nil {
		return 0, err
	}
	verdicts, err := j.verdicts(ctx, rows, s.backfill.History.MarkOnly)
	if err != nil {
		return 0, err
	}
	applied, moved, err := s.e.store.QueuePlanned(j.now, s.backfill.ID, rows, verdicts)
	if err != nil {
		return 0, err
	}
	s.planned -= moved
	if moved > 0 {
		s.queued = time.Now()
	}
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
func (s *historySender) over(ctx context.Context) (done bool, err error) {
	if s.result.Left == 0 {
		if more, err := s.released(ctx); more || err != nil {
			return false, err
		}
		spoiled, err := s.e.store.EndBackfill(s.e.Now(), s.backfill.ID)
		return true, cmp.Or(err, damaged(spoiled), s.result.differences(""))
	}
	if s.backfill.History.MarkOnly {
		return false, nil
	}
	held := s.e.standsStill()
	if held == "" {
		return false, nil
	}
	return true, s.result.differences(held)
}

// phase is the word for what the second half does.
func (s *historySender) phase() string {
	if s.backfill.History.MarkOnly {
		return "mark"
	}
	return "send"
}

// released judges the second ids of facts whose kept event has died: each of
// them is now sent by itself. It reports whether there are any.
func (s *historySender) released(ctx context.Context) (bool, error) {
	if s.result.Dead == 0 {
		return false, nil
	}
	s.e.turn.take(true) // one judging at a time
	defer s.e.turn.give()
	p := s.e.current()
	if err := s.e.prepare(ctx, p); err != nil {
		return false, err
	}
	if _, err := p.judging.Pass(ctx, s.e.Now(), p.walking()); err != nil {
		return false, err
	}
	err := s.count()
	return s.result.Left > 0, err
}

// damaged is the error of a backfill that lost planned events to a damaged
// state: it has ended, and only a new one finds them.
func damaged(events int) error {
	if events == 0 {
		return nil
	}
	return exit.Errorf(exit.Failed, "run it again: it reads history anew and finds them", "%d planned events were damaged in the state file and are left out", events)
}

// rest waits for the rate, for a backoff or for a settle time, unless there is
// more to do at once.
func (s *historySender) rest(ctx context.Context, moved int) error {
	if s.allowed() < 1 {
		return pause(ctx, min(s.e.untilDue(), s.untilAllowed()))
	}
	if moved > 0 {
		return ctx.Err()
	}
	return pause(ctx, s.e.untilDue())
}

// untilAllowed is how long the rate lets no event go. A few go together where
// they follow each other fast.
func (s *historySender) untilAllowed() time.Duration {
	missing := (1 - s.pace.Tokens()) / float64(s.pace.Limit())
	return max(50*time.Millisecond, time.Duration(missing*float64(time.Second))+time.Millisecond)
}
