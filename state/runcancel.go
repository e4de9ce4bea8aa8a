package state

import (
	"errors"
	"fmt"
	"time"
)

// CancelRun takes back what a run has not sent: missed events go back to being sent by themselves, and what was dead is dead
// again, with its reason. Of a forced or shadow run all that waits is dropped. What is in flight is left to land, and waits
// until then. Cancelling again finishes what a crash has left of it.
//
// It takes several transactions. After a crash between them the run is cancelled, and some of its events are queued still: the
// next pass takes them back.
func (s *Store) CancelRun(now time.Time, id uint64, who string) (Run, error) {
	r, err := s.changeRun(false, id, "cancel", func(t *tx, r *Run) error {
		if !r.Ended.IsZero() || !r.Cancelled.IsZero() {
			return nil
		}
		r.Cancelled, r.CancelAct = now.UTC(), t.nextAct()
		ids := t.resendIDs(id)
		n, err := t.dropUnsent(id)
		if err := errors.Join(err, t.dropWalks(id)); err != nil {
			return err
		}
		r.dropped(n)
		r.Walked = time.Time{}
		if r.Waiting == 0 {
			r.Ended = now.UTC()
		}
		return t.noteAct(now, ManualAct{Who: who, What: fmt.Sprintf("cancel run %d", id), N: int(r.Left + r.Waiting), IDs: ids})
	})
	if err != nil {
		return r, err
	}
	if err := s.takeBack(now, id); err != nil {
		return r, err
	}
	return s.Run(id)
}

// takeBack takes back, a bite at a time, what a cancelled run has queued, and what was in flight in it when a crash came.
func (s *Store) takeBack(now time.Time, id uint64) error {
	err := s.update(false, func(t *tx) error { return t.dropLost(now, id) })
	if err != nil {
		return fmt.Errorf("take back events of run %d: %w", id, err)
	}
	for _, stage := range []byte{stageLive, stageOld} {
		for from, more := (place{}), true; more; {
			err := s.update(false, func(t *tx) (err error) {
				from, more, err = t.takeBackFrom(now, id, stage, from)
				return err
			})
			if err != nil {
				return fmt.Errorf("take back events of run %d: %w", id, err)
			}
		}
	}
	return nil
}

func (t *tx) takeBackFrom(now time.Time, id uint64, stage byte, from place) (next place, more bool, err error) {
	var queued []string
	n := 0
	t.stageRows(stage, from, func(p place, e entry) bool {
		n++
		next = place{p.created, p.id + "\x00"} // the place right behind
		if e.manual && !t.flies(p.id) {
			queued = append(queued, p.id)
		}
		return n < 10*runBite && len(queued) < runBite
	})
	for _, one := range queued {
		old, r, err := t.reopen(one)
		if err != nil {
			return from, false, err
		}
		if old == nil || old.run != id {
			continue
		}
		if err := t.takeBack(now, old, r); err != nil {
			return from, false, err
		}
	}
	return next, n > 0, nil
}

// takeBack makes of a queued event what it was before. Where it is dead again its twins wait for nothing any more: each is
// judged by itself.
func (t *tx) takeBack(now time.Time, old, r *record) error {
	if run, err := t.run(old.run); err == nil {
		r.acts = addAct(r.acts, run.CancelAct)
	}
	r.takeBack(now)
	if err := t.saveOpen(old, r); err != nil || r.status != Dead {
		return err
	}
	return t.resolve(now, r.id, ending{status: Dead, at: now})
}

// takeBack makes of a queued event what it was before. One that was tried meanwhile is only dead again, or goes on being
// tried by itself. What a backfill had queued is the backfill's again.
func (r *record) takeBack(now time.Time) {
	r.manual = r.backfill != 0 && !r.wasWithheld && (r.was == Missed || r.was == Replaying)
	if r.manual {
		r.run = 0
	}
	untried := r.status == Missed
	switch {
	case r.was == Dead:
		r.status, r.why, r.due, r.at = Dead, r.wasWhy, time.Time{}, now
	case untried && r.wasWithheld:
		r.withheld, r.why, r.due = true, r.wasWhy, time.Time{}
	case untried && (r.was == Settling || r.was == Listed):
		r.status, r.why, r.due, r.at = r.was, r.wasWhy, time.Time{}, now
	case untried && r.was != 0:
		r.why = r.wasWhy
	}
	r.was, r.wasWhy, r.wasWithheld = 0, "", false
}

// agreeWithin is how long what a run has found waits for somebody to agree to it: it holds the customers' data.
const agreeWithin = 24 * time.Hour

// tidyRuns takes back what a cancelled run has queued still, for a crash ended the cancel, and cancels a run that nobody has
// agreed to, and one that nobody has sent to its end within retention.
func (s *Store) tidyRuns(now time.Time) error {
	runs, err := s.Runs()
	for _, r := range runs {
		switch {
		case !r.Ended.IsZero():
		case !r.Cancelled.IsZero():
			err = errors.Join(err, s.takeBack(now, r.ID))
		case r.Kind != RunReplay && !r.Walked.IsZero() && r.Confirmed.IsZero() && now.After(r.Walked.Add(agreeWithin)):
			_, failed := s.CancelRun(now, r.ID, PausedByBackstop)
			err = errors.Join(err, failed)
		case now.After(r.Begun.Add(s.retention())) && s.abandoned(r.ID):
			_, failed := s.CancelRun(now, r.ID, PausedByBackstop)
			err = errors.Join(err, failed)
		}
	}
	return err
}

// cancelled reports whether an event is queued by a run that was cancelled, as while it was in flight.
func (t *tx) cancelled(r *record) bool {
	if !r.manual || r.run == 0 {
		return false
	}
	run, err := t.run(r.run)
	return err == nil && !run.Cancelled.IsZero()
}

// ResumeRun takes up a run that was cancelled or interrupted: what it has left is queued again, and what it has not come to
// is open to QueueRun. It returns the run as it is then, and whether there was anything to take up.
//
// It takes several transactions. After a crash between them it is resumed again.
func (s *Store) ResumeRun(now time.Time, id uint64, who string) (run Run, resumed bool, err error) {
	run, err = s.changeRun(false, id, "resume", func(t *tx, r *Run) error {
		resumed = r.resumable()
		if !resumed {
			return nil
		}
		if !r.Cancelled.IsZero() && r.Kind != RunReplay { // what was dropped is read from the listing anew
			r.dropped(int64(t.resendCount(id))) // in flight: what lands is counted all the same
			r.Left, r.Planned, r.Dropped = r.Left-r.Dropped, r.Planned-r.Dropped, 0
			r.Ready = time.Time{}
			if err := t.dropResends(id); err != nil {
				return err
			}
		}
		r.Cancelled, r.Ended = time.Time{}, time.Time{}
		if r.Kind != RunReplay && r.Confirmed.IsZero() {
			return nil // it was begun just now, and a person agrees to it
		}
		r.Act = t.nextAct()
		return t.act(now, who, fmt.Sprintf("resume run %d", id), int(r.Left+r.Waiting))
	})
	if err == nil && resumed && run.Kind != RunShadow {
		err = s.queueLeft(now, run)
	}
	if err != nil || !resumed {
		return run, resumed, err
	}
	run, err = s.changeRun(false, id, "resume", func(_ *tx, r *Run) error {
		if !r.Ready.IsZero() && r.Waiting == 0 {
			r.Ended = now.UTC()
		}
		return nil
	})
	return run, resumed, err
}

// resumable reports whether anything is left of a run.
func (r *Run) resumable() bool {
	return r.Ended.IsZero() || !r.Cancelled.IsZero() || r.Left > 0
}

// queueLeft queues again, a bite at a time, the events that a run has left and that no other run has taken over.
func (s *Store) queueLeft(now time.Time, run Run) error {
	for _, stage := range []byte{stageLive, stageOld, stageDead, stageSettling, stageListed} {
		for from, more := (place{}), true; more; {
			err := s.update(false, func(t *tx) (err error) {
				from, more, err = t.queueLeftFrom(now, run, stage, from)
				return err
			})
			if err != nil {
				return fmt.Errorf("queue what run %d has left: %w", run.ID, err)
			}
		}
	}
	return nil
}

func (t *tx) queueLeftFrom(now time.Time, run Run, stage byte, from place) (next place, more bool, err error) {
	var left []string
	t.stageRows(stage, from, func(p place, e entry) bool {
		next, more = place{p.created, p.id + "\x00"}, true
		if !e.manual {
			left = append(left, p.id)
		}
		return len(left) < runBite
	})
	for _, id := range left {
		r, err := t.readOpen(id, false)
		if err != nil {
			return from, false, err
		}
		if r == nil || r.run != run.ID {
			continue
		}
		if _, err := t.handOne(id, nil, t.requeue(now, requeue{who: run.Who, run: run.ID, act: run.Act})); err != nil {
			return from, false, fmt.Errorf("event %q: %w", id, err)
		}
	}
	return next, more, nil
}
