package notify

import (
	"cmp"
	"time"

	"backstop/state"
)

// The states of a notice. Scripts rely on the words.
const (
	Alarm     = "alarm"     // it has begun
	Again     = "again"     // it goes on and there is news, or it came back within the cool-down
	Recovered = "recovered" // it is over
)

// observe takes a look at a condition into what is known of it. It is a pure
// function: the same look twice changes nothing.
func observe(a state.Alarm, c condition, now time.Time) state.Alarm {
	switch {
	case c.standing == holds && !a.Holds:
		a.Holds, a.Cause = true, c.cause
		if a.Times++; a.Times == 1 && !a.Open {
			a.Since = earlier(cmp.Or(c.since, now), now)
		}
	case c.standing == holds && a.Cause != c.cause:
		a.Cause = c.cause
		a.Times++
	case c.standing == clear && a.Holds:
		a.Holds, a.Ended = false, earlier(cmp.Or(c.until, now), now)
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// due says what has to be told of a condition now; "": nothing. The end of an
// alarm that was told is told at once, everything else when the cool-down since
// the last alarm is over. So a condition that comes and goes is told of twice in
// a cool-down at most, and what happens meanwhile is summed up.
func due(a state.Alarm, c condition, now time.Time, cooldown time.Duration) string {
	cool := a.Told.IsZero() || !now.Before(a.Told.Add(cooldown)) || a.Told.After(now) // a clock that was set back does not silence it
	switch {
	case a.Open && !a.Holds:
		return Recovered
	case !cool:
		return ""
	case a.Open && (a.Times > 0 || c.news.Count > 0):
		return Again
	case a.Open || a.Times == 0:
		return ""
	case !a.Holds:
		return Recovered
	case a.Times > 1:
		return Again
	}
	return Alarm
}

// tell is what is known of a condition once people were told.
func tell(a state.Alarm, c condition, what string, now time.Time) state.Alarm {
	if what == Recovered {
		if a.Open {
			return state.Alarm{Told: a.Told, Ended: a.Ended}
		}
		return state.Alarm{Told: now, Ended: a.Ended}
	}
	a.Open, a.Told, a.Times = true, now, 0
	a.Total += c.news.Count
	return a
}
