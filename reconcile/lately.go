package reconcile

import (
	"time"

	"golang.org/x/time/rate"
)

// lately remembers when the last attempts were begun. The zero lately knows of
// none.
type lately struct {
	begun [16]time.Time
	next  int // place of the next one
	count int // known, at most all
}

func (l *lately) add(at time.Time) {
	l.begun[l.next] = at
	l.next = (l.next + 1) % len(l.begun)
	l.count = min(l.count+1, len(l.begun))
}

// rate is how fast the last attempts followed each other. So few of them tell of
// a short rush, too; but the very first ones, which all begin at once, are those
// of a second.
func (l *lately) rate(now time.Time) rate.Limit {
	if l.count == 0 {
		return 0
	}
	oldest, span := l.begun[0], time.Second
	if l.count == len(l.begun) {
		oldest, span = l.begun[l.next], time.Millisecond
	}
	return rate.Limit(float64(l.count) / max(now.Sub(oldest), span).Seconds())
}
