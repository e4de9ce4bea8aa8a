// Package notify tells people that something is wrong, and that it is over. It
// owns which conditions are worth an alarm, the edges and the cool-down of each,
// and the way of a notice to a URL or a program; and the ping of a dead man's
// switch. What was told is kept in the state, so that a restart neither repeats
// nor forgets it. It repairs nothing, and nothing ever waits for it: what can't
// be delivered now is delivered later.
package notify

import (
	"time"

	"backstop/state"
)

// The conditions that people are told of. Scripts rely on the words.
const (
	Replayed   = "replayed"   // events had to be replayed: pushes did not arrive
	Dead       = "dead"       // events died
	Paused     = "paused"     // replaying stands still
	Unreadable = "unreadable" // the listing can't be read, or not to its end
	Source     = "source"     // a source can't tell what the receiver has
	Full       = "full"       // the state takes nothing in
)

// Causes of Paused and Unreadable.
const (
	ByPerson      = "person"        // somebody paused
	ByIDs         = "ids"           // backstop did: what is reported is not what is listed
	Misconfigured = "misconfigured" // the receiver refuses everything
	Failing       = "failing"       // the receiver does not answer, or with errors
	Held          = "held"          // anything else, while events wait: watching only, unpaired, a secret that can't be read
	Credentials   = "credentials"   // HeyGen refused them
	Incomplete    = "incomplete"    // any other pass that did not get to its end
)

// Report is how things stand, as far as anybody is told of it.
type Report struct {
	Now      time.Time
	Receiver string // its URL without a query

	Passed     bool // a pass was made in this process: what follows of passes is known
	Unreadable string
	Cause      string    // of Unreadable: Credentials or Incomplete
	FailedAt   time.Time // when the pass began that was not complete

	Stands      string    // why replaying stands still; "": it does not
	StandsCause string    // of the causes above
	StandsSince time.Time // zero: nobody knows
	AcceptedAt  time.Time // when the receiver took a replay last

	Pending, Dead int
	OnlyDead      func() string // the id of a dead event where there is one alone; nil, or "": nobody knows
	Sources       []SourceReport
	Full          string
}

// SourceReport is how one source fares.
type SourceReport struct {
	Name, Failing string
	Since         time.Time // failing since
	Spoke         time.Time // when it answered last in this process; zero: not yet
	Recorder      bool      // it is not asked: nothing is known of it but its failures
}

// standing is what is known of a condition.
type standing int

const (
	unknown standing = iota // nothing that would change what was known before
	clear
	holds
)

// condition is one condition at one look.
type condition struct {
	name     string
	standing standing
	since    time.Time // of what holds; zero: now
	until    time.Time // of what is over; zero: now
	cause    string    // a change of it is news
	why      string    // for people
	count    int       // how many events it is about now
	news     state.News
}

// ripe is how long what happens to events is gathered when no pass ends meanwhile:
// one notice of a hundred says more than a hundred, or than one of the first.
const ripe = time.Minute

// conditions says how every condition stands. passed says that a pass has just
// ended. It is a pure function.
func conditions(r Report, told state.Notices, passed bool, cooldown time.Duration) []condition {
	return []condition{
		replayed(r, told.Replayed, passed, cooldown),
		dead(r, told.Dead, passed),
		paused(r, told.Alarms[Paused]),
		unreadable(r),
		source(r, told.Alarms[Source]),
		full(r),
	}
}

func gathering(n state.News, r Report, passed bool) bool {
	return n.Count > 0 && !passed && r.Now.Before(n.First.Add(ripe))
}

// replayed is over when nothing had to be replayed for as long as a cool-down, and
// nothing waits to be.
func replayed(r Report, n state.News, passed bool, cooldown time.Duration) condition {
	c := condition{name: Replayed, since: n.First, until: n.Last, count: r.Pending}
	switch {
	case gathering(n, r, passed):
	case n.Count > 0:
		c.standing, c.news = holds, n
	case r.Now.Before(n.Last.Add(cooldown)):
		c.standing = holds
	case r.Pending > 0:
	default:
		c.standing = clear
	}
	return c
}

func dead(r Report, n state.News, passed bool) condition {
	c := condition{name: Dead, since: n.First, count: r.Dead}
	switch {
	case gathering(n, r, passed):
	case n.Count > 0:
		c.standing, c.news = holds, n
	case r.Dead > 0:
		c.standing = holds
	default:
		c.standing = clear
	}
	return c
}

// paused knows of an outage only what this process has seen: after a restart one
// that was told is over when the receiver has taken something, or nothing waits.
func paused(r Report, before state.Alarm) condition {
	c := condition{name: Paused, since: r.StandsSince, cause: r.StandsCause, why: r.Stands, count: r.Pending}
	switch {
	case r.Stands != "" && (r.StandsCause != Held || r.Pending > 0):
		c.standing = holds
	case before.Cause == Failing && r.Pending > 0 && !r.AcceptedAt.After(before.Since):
	default:
		c.standing = clear
	}
	return c
}

func unreadable(r Report) condition {
	c := condition{name: Unreadable, since: r.FailedAt, cause: r.Cause, why: r.Unreadable}
	switch {
	case !r.Passed || r.Full != "": // a full state ends passes, too
	case r.Unreadable != "":
		c.standing = holds
	default:
		c.standing = clear
	}
	return c
}

// source is over when no source fails and each that is asked has answered since.
func source(r Report, before state.Alarm) condition {
	c := condition{name: Source, standing: clear}
	if !r.Passed {
		c.standing = unknown
	}
	for _, s := range r.Sources {
		switch {
		case s.Failing != "":
			if c.standing != holds || s.Since.Before(c.since) {
				c.since = s.Since
			}
			c.standing, c.count = holds, c.count+1
			c.why = join(c.why, s.Name+": "+s.Failing)
		case c.standing == clear && before.Holds && !s.Recorder && s.Spoke.Before(before.Since):
			c.standing = unknown
		}
	}
	return c
}

func full(r Report) condition {
	c := condition{name: Full, why: r.Full}
	switch {
	case r.Full != "":
		c.standing = holds
	case r.Passed && r.Unreadable == "":
		c.standing = clear
	}
	return c
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
