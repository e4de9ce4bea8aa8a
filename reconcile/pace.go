package reconcile

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// paceSteps is how many accepted attempts bring any pace back to the
	// configured one. It is also what a receiver pays for a configured rate
	// that is more than it bears: with 32 about one attempt of ten, and less
	// than a minute from the lowest pace to 5 a second.
	paceSteps = 32

	// paceFloor is the part of the configured rate that is the lowest pace:
	// six halvings. What is further down is no slower receiver but an outage.
	paceFloor = 64

	// paceStill is the lowest pace where paceFloor would be less: as seldom as
	// an outage is probed, so that the end of the trouble is noticed as soon.
	paceStill = rate.Limit(1.0 / 60)

	// paceStart is the part of the configured rate with which replaying begins
	// after a long outage: whatever was down has cold caches and a queue of its
	// own. Each probe that fails halves the pace, down to this: a short outage
	// must not cost a long one's time.
	paceStart = 16

	// paceUnknown is the least that a receiver is taken to bear where no rate is
	// configured: somebody has said that it bears anything, and that little was
	// sent lately may only mean that little was due.
	paceUnknown = rate.Limit(64)

	// paceLook is the longest wait in seconds, after which there is another look.
	paceLook = 3600.0

	// paceHeld is the longest time for which a receiver is let alone because it
	// asked for it. The event it was said of waits longer, if it must.
	paceHeld = time.Minute
)

// pace is how fast attempts are made. The receiver decides, by its answers: it
// is slowed down by half at each trouble and led back step by step to what is
// configured, which it never passes; one attempt at a time, no bursts.
//
// Trouble is an answer that says "too much", or may: 408, 425, 429, 5xx, and a
// time limit that passed. A connection that was refused or reset, a name that
// nobody knows, a certificate that is wrong are none: nothing of the receiver
// was met that a slower pace could spare. Three of them in a row are an outage,
// and when that ends the pace is low, too.
//
// The way back is that of TCP: up to half of the pace at which the trouble came
// each accepted attempt doubles it, and above that adds a step. So a receiver that
// flaps gets its backlog while it is up, and one that has a limit is led to it
// carefully.
//
// It is kept in memory only: after a restart the first trouble shows it again.
// Its methods may be called side by side.
type pace struct {
	log *slog.Logger

	mu         sync.Mutex
	limiter    *rate.Limiter // of present, where that is finite. Never Inf: its tokens would be lost
	configured rate.Limit    // Inf: no limit
	top        rate.Limit    // what recovery leads to: the configured rate, or what was sent lately
	present    rate.Limit    // at most top, or Inf
	since      time.Time     // below the configured rate since; zero: it is not
	lowered    time.Time     // when present was lowered last
	near       rate.Limit    // below it an accepted attempt doubles present
	well       bool          // an attempt was accepted since present was lowered
	why        string        // the last trouble, for people
	held       time.Time     // no attempt before; zero: the receiver did not ask for it, or one went through since
	lately     lately
	bore       rate.Limit    // where no rate is configured: the top that recovery led to last
	changed    chan struct{} // closed when present is another
}

// Pace is how fast attempts are made, for people.
type Pace struct {
	Rate       float64   // attempts a second, at most, now; 0: no limit
	Configured float64   // likewise
	Since      time.Time // Rate is below Configured since; zero: it is not
	Why        string    // the last trouble; "": Rate is the configured one
	Held       time.Time // the receiver asked to be let alone until then; zero: it did not
}

// newPace begins with what is configured; 0: no limit.
func newPace(perSecond float64, log *slog.Logger) *pace {
	p := &pace{log: log, configured: limitOf(perSecond), changed: make(chan struct{})}
	p.top, p.present = p.configured, p.configured
	p.limiter = rate.NewLimiter(min(p.present, math.MaxFloat32), 1)
	return p
}

func limitOf(perSecond float64) rate.Limit {
	if perSecond <= 0 {
		return rate.Inf
	}
	return rate.Limit(perSecond)
}

// configure goes on with another configured rate: the receiver is the same, and
// what it bore a moment ago it bears now.
func (p *pace) configure(perSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.configured = limitOf(perSecond)
	switch {
	case p.since.IsZero():
		p.top = p.configured
		p.set(p.configured)
	case p.configured != rate.Inf:
		p.top = p.configured
		p.reach(p.present, time.Now())
	}
}

// wait waits until the next attempt may be made, and reports whether it may
// before ctx ended. It takes nothing: others may be faster.
func (p *pace) wait(ctx context.Context) bool {
	for {
		wait, changed := p.until(time.Now())
		if wait <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return false
		}
	}
}

// until is how long the next attempt has to wait, unless changed is closed
// before.
func (p *pace) until(now time.Time) (wait time.Duration, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait = max(0, p.held.Sub(now))
	if p.present == rate.Inf {
		return wait, p.changed
	}
	missing := (1 - p.limiter.TokensAt(now)) / float64(p.present)
	return max(wait, time.Duration(math.Ceil(min(missing, paceLook)*float64(time.Second)))), p.changed
}

// take notes an attempt that is made now.
func (p *pace) take(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lately.add(now)
	if p.present != rate.Inf {
		p.limiter.AllowN(now, 1)
	}
}

// resting reports whether the receiver asked to be let alone and no attempt went
// through since: one at a time, then.
func (p *pace) resting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.held.IsZero()
}

// note takes in an answer, and whether the receiver is down as far as is known
// with it.
func (p *pace) note(a Answer, down bool, now time.Time) {
	began := a.began(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold(a, began, now)
	half := min(p.present, p.base(now)) / 2
	switch {
	case !began.After(p.lowered): // it tells about the pace from before
	case down: // one at a time is tried already: the pace is that of the time after
		p.lower(max(half, p.base(now)/paceStart), a, now)
	case a.strained():
		if p.well {
			p.near = half
		}
		p.lower(half, a, now)
	case a.Class == OK && !p.since.IsZero():
		p.well = true
		p.reach(max(p.present+p.top/paceSteps, min(2*p.present, p.near)), now)
	}
}

// hold lets the receiver alone for as long as it asked. A rate limit is the
// receiver's and not the event's; and before it is put to the test by all that
// waits, one attempt goes first.
func (p *pace) hold(a Answer, began, now time.Time) {
	asks := a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable
	switch till := now.Add(min(a.RetryAfter, paceHeld)); {
	case asks && a.RetryAfter > 0:
		if till.After(p.held) {
			p.held = till
		}
	case !began.Before(p.held): // the one that went first
		p.held = time.Time{}
	}
}

// base is the rate from which is counted down: the configured one, or where
// there is none what was sent lately, or was borne before. Without the latter each
// failure by chance would be counted down from what the one before had left.
func (p *pace) base(now time.Time) rate.Limit {
	if p.top != rate.Inf {
		return p.top
	}
	return max(p.lately.rate(now), p.bore, paceUnknown)
}

func (p *pace) lower(to rate.Limit, a Answer, now time.Time) {
	top := p.base(now)
	to = min(max(to, top/paceFloor, paceStill), top)
	p.lowered, p.well = now, false
	first := p.since.IsZero()
	if to >= p.present && first {
		return // the configured rate is below every floor
	}
	p.why = a.trouble()
	if to < p.present {
		p.top = top
		p.set(to)
	}
	if first {
		p.since, p.near = now, top/2
		p.log.Info("sending more slowly", "rate", float64(to), "configured", p.told().Configured, "reason", p.why)
	}
}

// reach goes up to a rate, or to no limit where the top of what was known to be
// sent is reached and none is configured.
func (p *pace) reach(to rate.Limit, now time.Time) {
	if to < p.top {
		p.set(to)
		return
	}
	p.log.Info("sending at the configured rate again", "after", now.Sub(p.since).Round(time.Second), "configured", p.told().Configured)
	p.bore = max(p.bore, p.top)
	p.top, p.since, p.why = p.configured, time.Time{}, ""
	p.set(p.configured)
}

func (p *pace) set(to rate.Limit) {
	if to == p.present {
		return
	}
	p.present = to
	if to != rate.Inf {
		p.limiter.SetLimit(to)
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// told tells how fast attempts are made. It needs p.mu.
func (p *pace) told() Pace {
	return Pace{Rate: number(p.present), Configured: number(p.configured), Since: p.since, Why: p.why, Held: p.held}
}

func number(l rate.Limit) float64 {
	if l == rate.Inf {
		return 0
	}
	return float64(l)
}

// Pace tells how fast attempts are made now, and why not faster.
func (r *Replayer) Pace() Pace {
	r.pace.mu.Lock()
	defer r.pace.mu.Unlock()
	told := r.pace.told()
	if !time.Now().Before(told.Held) {
		told.Held = time.Time{}
	}
	return told
}

// Resting reports whether the receiver asked to be let alone and no attempt has
// gone through since.
func (r *Replayer) Resting() bool { return r.pace.resting() }

// strained reports whether the answer may mean that the receiver has too much
// to do.
func (a Answer) strained() bool {
	return a.Class == Retry && (a.Status != 0 || a.Err == wordTimeout)
}

// trouble says in a few words what the receiver did.
func (a Answer) trouble() string {
	switch {
	case a.Status != 0:
		return "it answered " + a.String()
	case a.Err == wordTimeout:
		return "it did not answer in time"
	}
	return "it was down: " + a.Err
}
