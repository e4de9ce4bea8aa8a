package poller

import (
	"time"

	"backstop/internal/heygen"
)

// The orders a listing may show, as [Result] names them.
const (
	NewestFirst = "newest first"
	OldestFirst = "oldest first"
	NoOrder     = "none"
)

// evidence is how many rows in a row must lie below the horizon before a walk
// may stop: a single one may just carry a wrong date.
const evidence = 10

// order measures how a segment's rows lie. The API promises no order, so it is
// believed only as far as it was seen. Undated rows say nothing.
type order struct {
	slack          time.Duration // the lookback: rows may be out of place by this much
	newest, lowest time.Time     // of the dated rows so far; zero before the first
	falling        bool          // newest first: no row more than slack above the lowest before it
	rising         bool          // oldest first: no row more than slack below the newest before it
	horizon        time.Time     // zero: none
	below, deep    int           // how many of the last rows lie below the horizon, and by more than the slack
}

// see takes the next row's created_at.
func (o *order) see(t time.Time) {
	if t.IsZero() {
		return
	}
	o.below = count(o.below, t.Before(o.horizon))
	o.deep = count(o.deep, t.Before(o.horizon.Add(-o.slack)))
	if o.lowest.IsZero() {
		o.newest, o.lowest = t, t
		return
	}
	o.falling = o.falling && t.Sub(o.lowest) <= o.slack
	o.rising = o.rising && o.newest.Sub(t) <= o.slack
	o.newest, o.lowest = later(o.newest, t), earlier(o.lowest, t)
}

// proved reports whether the rows have shown that the listing is newest first:
// nothing rose, and something fell by more than rows may be out of place. The
// first page of a listing that is oldest first rises too little to notice when
// its rows are close together; it never falls.
func (o *order) proved() bool {
	return o.falling && !o.lowest.IsZero() && o.newest.Sub(o.lowest) > o.slack
}

// passed reports whether the walk may stop behind this page: nothing at or
// above the horizon can follow. That is so when the page lies wholly below it.
// It is also so when the second half of the page lies below it by more than
// rows may be out of place, for what follows is at most that much higher; this
// saves an idle poll its second request, since its first page still holds the
// event at the mark. That an event is known already proves nothing.
func (o *order) passed(page []heygen.Event) bool {
	if o.horizon.IsZero() || !o.proved() {
		return false
	}
	if o.deep >= max(evidence, (len(page)+1)/2) {
		return true
	}
	return o.below >= evidence && whollyBelow(page, o.horizon)
}

// word names the order seen.
func (o *order) word() string {
	switch {
	case o.falling:
		return NewestFirst
	case o.rising:
		return OldestFirst
	}
	return NoOrder
}

// OrderOf names the order in which rows lie that were read one after the other
// from the first page on, or within slack of one. "": they are too few, or lie too
// close together, to show one.
func OrderOf(rows []heygen.Event, slack time.Duration) string {
	measure := func(slack time.Duration) order {
		o := order{slack: slack, falling: true, rising: true}
		for _, e := range rows {
			o.see(e.CreatedAt)
		}
		return o
	}
	o := measure(0)
	if !o.falling && !o.rising {
		o = measure(slack)
	}
	if o.falling && o.rising {
		return ""
	}
	return o.word()
}

// count goes on with a run of rows, or ends it.
func count(run int, goesOn bool) int {
	if !goesOn {
		return 0
	}
	return run + 1
}

// whollyBelow reports whether the page has dated rows, all below the horizon.
func whollyBelow(page []heygen.Event, horizon time.Time) bool {
	dated := false
	for _, e := range page {
		if e.CreatedAt.IsZero() {
			continue
		}
		if !e.CreatedAt.Before(horizon) {
			return false
		}
		dated = true
	}
	return dated
}

// earlier gives the smaller time; the zero time is smaller than all others.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// later gives the greater time.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
