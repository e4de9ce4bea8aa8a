package poller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"backstop/state"
)

// watch is how often the clocks are looked at. A timer sleeps through a suspend
// and knows nothing of a wall clock that was set; a look finds out.
const watch = 5 * time.Second

// kinds is how many kinds of walks are scheduled.
const kinds = 2

var errRunning = errors.New("the schedule is running already")

// Schedule says when to poll and when to sweep. One job runs at a time. A tick
// that comes while its job runs is skipped and counted; ticks that come while
// the other job runs wait as one.
//
// The times are robfig/cron's: its parser and its Next. Its runner is not used,
// for it sleeps until a wall time, so a clock that is set back stalls it until
// the old time comes round again. See timetable for what is done instead.
type Schedule struct {
	plans [kinds]plan
	log   *slog.Logger
	wake  chan struct{} // has one place; filled when a job waits

	mu      sync.Mutex
	started bool        // guarded by mu
	waiting [kinds]bool // guarded by mu; due, and not begun
	running [kinds]bool // guarded by mu; at most one
	skipped [kinds]int  // guarded by mu; ticks skipped since the start
}

// NewSchedule reads the two cron expressions, in the time zone tz (nil: UTC).
// It refuses what can't be read, what would never run, and what asks for
// seconds.
func NewSchedule(poll, sweep string, tz *time.Location, log *slog.Logger) (*Schedule, error) {
	if tz == nil {
		tz = time.UTC
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Schedule{log: log, wake: make(chan struct{}, 1)}
	var errs [kinds]error
	for k, spec := range [kinds]string{state.Poll: poll, state.Sweep: sweep} {
		p, err := parse(spec, tz)
		if err != nil {
			errs[k] = fmt.Errorf("%s: %w", state.Kind(k), err)
		}
		s.plans[k] = p
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return s, nil
}

// Next gives the times of the next poll and sweep after now.
func (s *Schedule) Next(now time.Time) (poll, sweep time.Time) {
	return s.plans[state.Poll].next(now), s.plans[state.Sweep].next(now)
}

// Due reports whether a poll is due and waits, and hands it over: who gets true
// polls. A long sweep asks between two pages.
func (s *Schedule) Due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := s.waiting[state.Poll]
	s.waiting[state.Poll] = false
	return due
}

// Skipped counts the ticks that came while their own job was running.
func (s *Schedule) Skipped() (poll, sweep int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.skipped[state.Poll], s.skipped[state.Sweep]
}

// Run polls at once and then runs do whenever the schedule says so, until ctx
// ends and the job under way has returned; do gets ctx. Its error is nil unless
// the schedule is running already. A panic of do is logged; the job runs again
// at its next tick.
func (s *Schedule) Run(ctx context.Context, do func(ctx context.Context, k state.Kind)) error {
	s.mu.Lock()
	if s.started {
		s.mu.Unlock()
		return errRunning
	}
	s.started = true
	s.mu.Unlock()
	s.tick(state.Poll)
	worker := make(chan struct{})
	go func() { // ends with ctx, after the job under way
		defer close(worker)
		s.work(ctx, do)
	}()
	s.keepTime(ctx)
	<-worker
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started, s.waiting = false, [kinds]bool{}
	return nil
}

// keepTime ticks until ctx ends.
func (s *Schedule) keepTime(ctx context.Context) {
	begin := time.Now()
	var tables [kinds]timetable
	for k := range tables {
		tables[k].plan = s.plans[k]
		tables[k].arm(begin, 0)
	}
	for {
		wait := watch
		for k := range tables {
			wait = min(wait, tables[k].left(time.Since(begin)))
		}
		timer := time.NewTimer(max(wait, 0))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		for k := range tables {
			if tables[k].due(time.Now(), time.Since(begin)) {
				s.tick(state.Kind(k))
			}
		}
	}
}

// tick notes that a job is due.
func (s *Schedule) tick(k state.Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[k] {
		s.skipped[k]++
		return
	}
	s.waiting[k] = true
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// work runs what is due, polls first, until ctx ends.
func (s *Schedule) work(ctx context.Context, do func(context.Context, state.Kind)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for ctx.Err() == nil {
			k, ok := s.start()
			if !ok {
				break
			}
			s.guarded(ctx, k, do)
			s.stop(k)
		}
	}
}

// start takes the next job that waits.
func (s *Schedule) start() (state.Kind, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.waiting {
		if s.waiting[k] {
			s.waiting[k], s.running[k] = false, true
			return state.Kind(k), true
		}
	}
	return 0, false
}

func (s *Schedule) stop(k state.Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[k] = false
}

// guarded runs a job, tells of ticks that it made late, and outlives its panic.
func (s *Schedule) guarded(ctx context.Context, k state.Kind, do func(context.Context, state.Kind)) {
	begin, before := time.Now(), s.skips(k)
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("job panicked: it runs again at its next tick; please report this",
				"job", k.String(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
		if n := s.skips(k) - before; n > 0 {
			s.log.Info("job took longer than its schedule: ticks were skipped",
				"job", k.String(), "skipped", n, "took", time.Since(begin).Round(time.Millisecond))
		}
	}()
	do(ctx, k)
}

func (s *Schedule) skips(k state.Kind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.skipped[k]
}
