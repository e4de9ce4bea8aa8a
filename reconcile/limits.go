package reconcile

import "time"

// Limits bound how often and how long an event is tried.
type Limits struct {
	BackoffMin  time.Duration  // after the first attempt; 0: 5 s
	BackoffMax  time.Duration  // at most; 0: 1 h
	MaxAttempts int            // counted attempts until dead; 0: 12
	Jitter      func() float64 // in [0,1); nil: no jitter
}

// refusals is how many times a receiver may refuse an event before it is dead,
// and how many events it may refuse in a row before it is misconfigured.
const refusals = 3

func (l Limits) withDefaults() Limits {
	if l.BackoffMin <= 0 {
		l.BackoffMin = 5 * time.Second
	}
	if l.BackoffMax <= 0 {
		l.BackoffMax = time.Hour
	}
	l.BackoffMax = max(l.BackoffMax, l.BackoffMin)
	if l.MaxAttempts <= 0 {
		l.MaxAttempts = 12
	}
	return l
}

// backoff is the time to wait after the nth failure, n from 1: BackoffMin,
// doubled each time, up to BackoffMax. Jitter adds up to a quarter, and takes
// it off where it would pass BackoffMax; it never goes below BackoffMin.
func (l Limits) backoff(n int) time.Duration {
	d := l.BackoffMin
	for i := 1; i < n && d < l.BackoffMax; i++ {
		d += min(d, l.BackoffMax-d)
	}
	spread := time.Duration(l.jitter() * float64(d) / 4)
	if spread > l.BackoffMax-d {
		return max(l.BackoffMax-spread, l.BackoffMin)
	}
	return d + spread
}

// wait is the backoff after the nth failure, or longer where the receiver asked
// for it, but never above BackoffMax.
func (l Limits) wait(n int, retryAfter time.Duration) time.Duration {
	return max(l.backoff(n), min(retryAfter, l.BackoffMax))
}

func (l Limits) jitter() float64 {
	if l.Jitter == nil {
		return 0
	}
	return l.Jitter()
}
