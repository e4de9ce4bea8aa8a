package simulate

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// push is one push on its way, or to be tried again.
type push struct {
	at   uint64
	due  time.Time // by HeyGen's clock
	try  int       // tries made
	copy int       // 0: the push itself, 1: its double
}

// flights is how many pushes are on their way at once at most.
const flights = 32

// longestBackoff bounds the time between two tries.
const longestBackoff = time.Hour

func pushClient(o Options) *http.Client {
	rt := o.Transport
	if rt == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.Proxy = nil
		own.MaxIdleConnsPerHost = flights
		rt = own
	}
	return &http.Client{
		Transport:     rt,
		Timeout:       or(o.Timeout, 10*time.Second),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// queueLocked plans the push of a new event.
func (w *World) queueLocked(e event, now time.Time) {
	switch e.fate {
	case NoPush:
	case NeverSent:
		w.tally.lost[NeverSent]++
	case Late:
		w.tally.late++
		w.enqueueLocked(push{at: e.at, due: now.Add(or(w.o.LateBy, 10*time.Second))})
	case Doubled:
		w.tally.doubled++
		w.enqueueLocked(push{at: e.at, due: now})
		w.enqueueLocked(push{at: e.at, due: now, copy: 1})
	default:
		w.enqueueLocked(push{at: e.at, due: now})
	}
}

func (w *World) enqueueLocked(p push) {
	i, _ := slices.BinarySearchFunc(w.queue, p, func(a, b push) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.at, b.at), cmp.Compare(a.copy, b.copy))
	})
	w.queue = slices.Insert(w.queue, i, p)
}

func (w *World) nudge() {
	select {
	case w.wake <- struct{}{}:
	default: // somebody has been woken already
	}
}

// takeLocked removes the next due push from the queue; without one it tells when to look again.
func (w *World) takeLocked(now time.Time) (p push, ok bool, next time.Time) {
	if w.flying >= flights || len(w.queue) == 0 {
		return push{}, false, time.Time{}
	}
	if p = w.queue[0]; p.due.After(now) {
		return push{}, false, p.due
	}
	w.queue = slices.Delete(w.queue, 0, 1)
	w.flying++
	return p, true, time.Time{}
}

func (w *World) take(now time.Time) (push, bool, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.takeLocked(now)
}

// Deliver sends, one after another, the pushes that are due now, and returns: what Run does
// without its clock. Failed ones wait for their next try.
func (w *World) Deliver(ctx context.Context) error {
	defer w.client.CloseIdleConnections()
	now := w.now()
	for ctx.Err() == nil {
		p, ok, _ := w.take(now)
		if !ok {
			return nil
		}
		w.fly(ctx, p)
	}
	return ctx.Err()
}

// Run makes new events at the rate and pushes them, several at once, until ctx ends; it then
// waits for the pushes on their way. Only one Run runs at a time.
func (w *World) Run(ctx context.Context) error {
	var pushes sync.WaitGroup
	defer w.client.CloseIdleConnections()
	defer pushes.Wait()
	pace := newPace(w.o, w.now())
	for ctx.Err() == nil {
		now := w.now()
		w.makeDue(pace, now)
		p, ok, next := w.take(now)
		if !ok {
			w.rest(ctx, now, pace.next, next)
			continue
		}
		pushes.Go(func() { w.fly(ctx, p) })
	}
	return nil
}

// rest waits until there may be something to do: an event to make, a push to send, a nudge.
func (w *World) rest(ctx context.Context, now time.Time, wakeups ...time.Time) {
	wait := time.Hour
	for _, at := range wakeups {
		if !at.IsZero() {
			wait = min(wait, max(0, at.Sub(now)))
		}
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-w.wake:
	case <-t.C:
	}
}

// fly sends one push and notes what came of it.
func (w *World) fly(ctx context.Context, p push) {
	w.mu.Lock()
	e := w.eventLocked(p.at)
	w.mu.Unlock()
	status, err := 0, error(nil)
	switch e.fate {
	case Dropped:
		status = http.StatusOK
	case Refused:
		err = fmt.Errorf("push %s: the receiver is out of reach", w.idOf(p.at))
	default:
		status, err = w.post(ctx, e)
	}
	if ctx.Err() != nil && err != nil {
		w.putBack(p)
		return
	}
	w.land(p, status, err)
	w.nudge()
}

// putBack returns a push whose try was cut off by the end of the run.
func (w *World) putBack(p push) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flying--
	w.enqueueLocked(p)
}

// land notes the answer to a push and plans the next try where it needs one.
func (w *World) land(p push, status int, err error) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flying--
	r := &w.fresh[p.at-uint64(w.o.Events)]
	w.tally.tries++
	p.try++
	switch {
	case r.fate == Dropped:
		w.tally.lost[Dropped]++
	case status >= 200 && status < 300:
		w.deliveredLocked(r, now)
	case p.try < w.tries():
		w.tally.failed++
		p.due = now.Add(w.backoff(p.try))
		w.enqueueLocked(p)
	default:
		w.tally.failed++
		w.giveUpLocked(r, p)
	}
	w.log.Debug("pushed", "event_id", w.idOf(p.at), "try", p.try, "status", status, "unreachable", err != nil)
}

func (w *World) deliveredLocked(r *record, now time.Time) {
	w.tally.answered++
	if r.delivered.IsZero() {
		r.delivered = now
		w.tally.pushed++
	}
	if r.fate == GaveUp { // its double came through after all
		r.fate = Doubled
		w.tally.lost[GaveUp]--
	}
}

func (w *World) giveUpLocked(r *record, p push) {
	if r.fate == Refused {
		w.tally.lost[Refused]++
		return
	}
	if r.fate == GaveUp || !r.delivered.IsZero() {
		return
	}
	r.fate = GaveUp
	w.tally.lost[GaveUp]++
}

func (w *World) tries() int {
	if w.o.Tries == 0 {
		return 6
	}
	return w.o.Tries
}

func (w *World) backoff(try int) time.Duration {
	d := or(w.o.RetryMin, time.Second)
	for range try - 1 {
		if d *= 2; d >= longestBackoff {
			return longestBackoff
		}
	}
	return d
}
