package engine

import (
	"context"
	"strings"
	"sync"
	"time"

	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/state"
)

// underWay is the set of runs that requests of this process take on. The zero
// underWay is empty.
type underWay struct {
	mu   sync.Mutex
	runs map[uint64]int // guarded by mu: how many requests each
}

// take puts a run in until the returned function is called.
func (u *underWay) take(id uint64) (leave func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.takeLocked(id)
	return func() { u.leave(id) }
}

// takeAlone is take of a run that nobody has; false where somebody does.
func (u *underWay) takeAlone(id uint64) (leave func(), ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.runs[id] > 0 {
		return nil, false
	}
	u.takeLocked(id)
	return func() { u.leave(id) }, true
}

func (u *underWay) takeLocked(id uint64) {
	if u.runs == nil {
		u.runs = map[uint64]int{}
	}
	u.runs[id]++
}

func (u *underWay) leave(id uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.runs[id]--; u.runs[id] == 0 {
		delete(u.runs, id)
	}
}

func (u *underWay) has(id uint64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.runs[id] > 0
}

// following is a request that sends a run, or looks how it is sent.
type following struct {
	e     *Engine
	id    uint64
	yield func(ReplayRow) error
	show  *meter
	each  bool     // each event is told of
	open  []string // the events that are to be told of when they end

	work  func(ctx context.Context, probe bool) error // sends what is due
	held  func() string                               // why nothing goes out until somebody acts
	shut  func() string                               // the same, before anything is tried
	down  func() bool                                 // the receiver does not work now
	tell  func() error                                // tells of events that have ended
	stays string                                      // what becomes of what is held
	then  string                                      // the same, after `backstop resume`
}

func (e *Engine) newFollowing(run state.Run, yield func(ReplayRow) error) *following {
	f := &following{
		e: e, id: run.ID, yield: yield, each: run.Planned <= RowsMost, held: e.standsStill, shut: e.manualHeld,
		down: e.current().replayer.Down, show: progressMeter(yield), stays: "they stay queued",
		then: "; they stay queued",
	}
	f.tell = f.finished
	f.work = func(ctx context.Context, probe bool) error {
		_, err := e.current().replayer.DrainManual(ctx, probe)
		return err
	}
	return f
}

// queued tells of events that were queued, or not.
func (f *following) queued(events []state.Requeued) error {
	if !f.each {
		return nil
	}
	for _, one := range events {
		if one.Queued {
			f.open = append(f.open, one.ID)
		}
		if err := f.yield(ReplayRow{ID: one.ID, Status: one.Was.String(), Queued: one.Queued, Note: one.Note}); err != nil {
			return err
		}
	}
	return nil
}

// toEnd sends and waits until the run has ended, or stands still.
func (f *following) toEnd(ctx context.Context) (Replayed, error) {
	if result, over, err := f.over(ctx, f.shut); over {
		return result, err
	}
	for probe := true; ; probe = false {
		if err := f.drain(ctx, probe); err != nil {
			return f.result(), err
		}
		if result, over, err := f.over(ctx, f.held); over {
			return result, err
		}
		if err := f.e.store.Err(); err != nil { // the daemon's replayer may have met it: nothing more will be sent
			return f.result(), err
		}
		if err := pause(ctx, f.e.untilDue()); err != nil {
			return f.result(), err
		}
	}
}

// over looks whether the run has ended, or stands still.
func (f *following) over(ctx context.Context, held func() string) (result Replayed, over bool, err error) {
	run, err := f.look()
	switch {
	case err != nil:
		return f.result(), true, err
	case !run.Ended.IsZero():
		result, err = f.ended(ctx, run)
		return result, true, err
	}
	if held := held(); held != "" {
		result, err = f.stands(held)
		return result, true, err
	}
	return result, false, nil
}

// drain sends what is due, and meanwhile tells how far the run is.
func (f *following) drain(ctx context.Context, probe bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- f.work(ctx, probe) }() // ends with ctx, and is waited for
	ticker := time.NewTicker(meterEvery)
	defer ticker.Stop()
	for {
		select {
		case err := <-drained:
			return err
		case <-ticker.C:
			if _, err := f.look(); err != nil {
				cancel()
				<-drained
				return err
			}
		}
	}
}

// look tells how far the run is, and which events have ended since the last look.
func (f *following) look() (state.Run, error) {
	run, err := f.e.store.Run(f.id)
	if err != nil {
		return run, err
	}
	if err := f.tell(); err != nil {
		return run, err
	}
	done := int(run.Seen + run.Dead + run.Ignored + run.Left)
	return run, f.show.sent("send", done, max(int(run.Planned), done), f.down())
}

func (f *following) finished() error {
	var rest []string
	for _, id := range f.open {
		row, err := f.e.store.Event(id)
		if err != nil {
			return err
		}
		if row == nil { // forgotten
			continue
		}
		ended := row.Status == state.Seen || row.Status == state.Dead || row.Status == state.Ignored
		if !ended {
			rest = append(rest, id)
			continue
		}
		if row.Status == state.Ignored {
			continue // a person did, who knows
		}
		if err := f.yield(ReplayRow{ID: id, Status: row.Status.String(), Note: heygen.CutURLs(row.Why)}); err != nil {
			return err
		}
	}
	f.open = rest
	return nil
}

// ended gives what a run has come to.
func (f *following) ended(ctx context.Context, run state.Run) (Replayed, error) {
	result := resultOf(run)
	switch {
	case run.Cancelled.IsZero():
	case run.Ready.IsZero():
		return result, wasCancelled(run)
	case run.Left > 0:
		return result, exit.Errorf(exit.Differences, resumeHint(run), "run %d was cancelled: %d events are left", run.ID, run.Left)
	}
	if err := f.closing(ctx, run); err != nil {
		return result, err
	}
	return result, result.differences()
}

// dead tells of the events of the run that are dead.
func (f *following) dead(ctx context.Context) error {
	return f.e.eachUnfinished(ctx, state.Selection{Dead: true}, func(row state.Row) error {
		if row.Run != f.id || !row.Manual {
			return nil
		}
		return f.yield(ReplayRow{ID: row.Event.ID, Status: row.Status.String(), Note: heygen.CutURLs(row.Why)})
	})
}

// stands ends the following of a run that stands still.
func (f *following) stands(held string) (Replayed, error) {
	result := f.result()
	result.Held = held
	hint := f.stays
	if why, paused := strings.CutSuffix(held, ": run "+resumeVerb); paused { // said once, with what comes after
		held, hint = why, "run "+resumeVerb+f.then
	}
	return result, exit.Errorf(exit.Differences, hint, "%s", held)
}

func (f *following) result() Replayed {
	run, err := f.e.store.Run(f.id)
	if err != nil {
		return Replayed{Run: f.id}
	}
	return resultOf(run)
}

func resultOf(run state.Run) Replayed {
	return Replayed{
		Run: run.ID, Planned: int(run.Planned), Seen: int(run.Seen), Dead: int(run.Dead), Ignored: int(run.Ignored),
		Waiting: int(run.Waiting), Left: int(run.Left),
	}
}
