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

// order measures how a segment's rows lie. The API promises no order, so it is
// believed only as far as it was seen. Undated rows say nothing.
type order struct {
	slack          time.Duration // the lookback: rows may be out of place by this much
	newest, lowest time.Time     // of the dated rows so far; zero before the first
	falling        bool          // newest first: no row more than slack above the lowest before it
	rising         bool          // oldest first: no row more than slack below the newest before it
}

// see takes the next row's created_at.
func (o *order) see(t time.Time) {
	if t.IsZero() {
		return
	}
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
// above the horizon can follow. That is so when the page lies wholly below it,
// or, by the very measure of order, when a row lies more than the slack below
// it: what follows is at most the slack above that row. (The second saves an
// idle poll its second request: the first page still holds the mark itself.)
// An event that is known already proves nothing, and a zero horizon has no
// bottom.
func (o *order) passed(page []heygen.Event, horizon time.Time) bool {
	if horizon.IsZero() || !o.proved() {
		return false
	}
	return o.lowest.Before(horizon.Add(-o.slack)) || whollyBelow(page, horizon)
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
