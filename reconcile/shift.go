package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"backstop/state"
)

// grace is how long answers in flight are awaited at the end. The process has
// five seconds to stop.
const grace = 3500 * time.Millisecond

// shift is one Drain or one Run at work: it claims, starts a goroutine for each
// attempt, and waits for all of them.
type shift struct {
	r    *Replayer
	once map[string]bool // the events sent already, not to be sent again; nil: Run
	wake <-chan struct{} // nil: Drain
	by   byHand

	sending context.Context // of the attempts; outlives the caller's by grace
	cut     context.CancelCauseFunc
	workers sync.WaitGroup
	landed  chan struct{} // holds one: an attempt has ended

	mu      sync.Mutex
	flying  int
	drained Drained
	logged  Drained   // what has been logged of it
	next    time.Time // when the next is due; zero: unknown
	err     error     // the first
}

func (r *Replayer) newShift(ctx context.Context, once map[string]bool, wake <-chan struct{}) *shift {
	s := &shift{r: r, once: once, wake: wake, landed: make(chan struct{}, 1)}
	s.sending, s.cut = context.WithCancelCause(context.WithoutCancel(ctx))
	return s
}

// work claims and starts attempts until ctx ends, the state fails or, for a
// Drain, nothing is left to do. No attempt is in flight when it returns.
func (s *shift) work(ctx context.Context) error {
	defer s.cut(nil)
	for ctx.Err() == nil && s.failed() == nil && !s.superseded() {
		idle := s.inFlight() == 0 // before the look, so that what lands meanwhile is looked at
		goesOn, wait := s.step(ctx)
		if goesOn {
			continue
		}
		if idle {
			s.log()
			if s.once != nil {
				break
			}
		}
		s.sleep(ctx, wait)
	}
	s.finish(ctx)
	return s.failed()
}

// superseded reports whether a Drain is to end because what it sends with is out
// of date: a secret, a URL. A Run is ended by its context.
func (s *shift) superseded() bool { return s.once != nil && s.r.superseded.Load() }

// step starts one attempt or waits for the pace to allow it, and is to be called
// again at once; or it says how long there will be none.
func (s *shift) step(ctx context.Context) (goesOn bool, wait time.Duration) {
	if !s.takeSlot(ctx) {
		return false, 0
	}
	c, secrets, wait, err := s.r.claim(ctx, s.once, s.by)
	if errors.Is(err, errPaced) {
		<-s.r.slots
		return s.r.pace.wait(ctx), 0
	}
	if err != nil {
		s.fail(err)
	}
	if c == nil {
		<-s.r.slots
		s.due(wait)
		return false, wait
	}
	if ctx.Err() != nil { // it ended meanwhile: the attempt was never begun
		s.release(c)
		return false, 0
	}
	s.start(ctx, c, secrets)
	return true, 0
}

// takeSlot waits for a free worker.
func (s *shift) takeSlot(ctx context.Context) bool {
	select {
	case s.r.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// start sends one claimed event in a goroutine that finish waits for.
func (s *shift) start(ctx context.Context, c *state.Claim, secrets []string) {
	s.by.probe = false // it was for the first attempt alone
	queue := s.r.queue(s.by)
	if s.once != nil {
		s.once[c.Event.ID] = true
	}
	s.mu.Lock()
	s.flying++
	s.drained.Sent++
	s.mu.Unlock()
	s.workers.Go(func() {
		status, err := s.r.deliver(ctx, s.sending, queue, c, secrets)
		s.r.fly(-1)
		<-s.r.slots
		s.land(status, err)
	})
}

// land takes in what became of an attempt.
func (s *shift) land(status state.Status, err error) {
	s.mu.Lock()
	s.flying--
	unsent := errors.Is(err, errUnsent)
	if unsent {
		s.drained.Sent--
	}
	switch {
	case err != nil && !unsent:
		s.failLocked(err)
	case status == state.Seen:
		s.drained.Seen++
	case status == state.Dead:
		s.drained.Dead++
	}
	s.mu.Unlock()
	select {
	case s.landed <- struct{}{}:
	default:
	}
	if s.wake == nil { // a Drain beside a Run, which may wait for this entity or probe
		s.r.Wake()
	}
}

// release takes back the intent of an attempt that was not begun.
func (s *shift) release(c *state.Claim) {
	if err := s.r.queue(s.by).Release(c.Event.ID, time.Now()); err != nil {
		s.fail(err)
	}
	s.r.fly(-1)
	<-s.r.slots
}

// sleep waits until something may be due: an attempt landed, somebody woke the
// Replayer, or the time has come. It never returns at once without a cause.
func (s *shift) sleep(ctx context.Context, wait time.Duration) {
	if wait <= 0 {
		wait = lookAgain // nothing waits; look anyway, should a Wake be missing
	}
	timer := time.NewTimer(max(wait, 10*time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.wake:
	case <-s.landed:
	case <-timer.C:
	}
}

// finish waits for the answers in flight, and cuts off what takes too long: its
// outcome is then recorded as unknown, and the event is sent again later.
func (s *shift) finish(ctx context.Context) {
	if cause := context.Cause(ctx); errors.Is(cause, ErrHandOver) || errors.Is(cause, context.DeadlineExceeded) {
		s.workers.Wait() // the process lives on: the receiver's own time limit is enough
		return
	}
	timer := time.AfterFunc(grace, func() { s.cut(errStopped) })
	defer timer.Stop()
	s.workers.Wait()
}

func (s *shift) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(err)
}

func (s *shift) failLocked(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *shift) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *shift) inFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flying
}

// due notes when the next attempt may be made.
func (s *shift) due(wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Time{}
	if wait > 0 {
		s.next = time.Now().Add(wait)
	}
}

// log writes one line for what was sent since the last one.
func (s *shift) log() {
	s.mu.Lock()
	now, was := s.drained, s.logged
	s.logged = now
	s.mu.Unlock()
	if now.Sent == was.Sent {
		return
	}
	level := slog.LevelInfo
	if now.Seen == was.Seen && now.Dead == was.Dead {
		level = slog.LevelDebug // an outage tells of its beginning and its end, not of each attempt
	}
	s.r.log.Log(context.Background(), level, "replayed", "sent", now.Sent-was.Sent, "seen", now.Seen-was.Seen, "dead", now.Dead-was.Dead, "waiting", s.r.waiting(s.r.queue(s.by)))
}

// report sums the shift up.
func (s *shift) report() Drained {
	s.log()
	s.mu.Lock()
	sum := s.drained
	sum.Next = s.next
	s.mu.Unlock()
	if sum.Waiting = s.r.waiting(s.r.queue(s.by)); sum.Waiting == 0 {
		sum.Next = time.Time{}
	}
	sum.Paused = s.r.Paused()
	return sum
}
