package poller

import (
	"slices"
	"time"

	"backstop/state"
)

// maxSegments bounds the stack: a walk that is stopped again and again before
// its head is read must not leave ever more of them.
const maxSegments = 8

// A stack's segments are newest first. All but the last end where the one
// below begins, less the lookback: what was listed late since then lies there.
// Of a segment that was not begun, Pages is 0; of one that is done, Token is
// empty. A done segment that read to the end of the listing has no horizon.

// done reports whether a segment was read down to its horizon or to the end.
func done(s state.Segment) bool { return s.Pages > 0 && s.Token == "" }

// fresh gives a segment that begins at the first page.
func fresh(horizon time.Time) state.Segment {
	return state.Segment{Horizon: horizon, Ordered: true}
}

// resume puts a fresh head on the stack that a stopped walk left. Without one
// the head reads to the horizon. What the stack has already read stands, but
// for three cases:
//
//   - A listing that is not newest first may have put new events anywhere, also
//     above a cursor: that segment, and what was built on it, is read anew.
//   - A mark that has overtaken what is left (by a walk of the other kind) makes
//     all of it needless.
//   - Of a stack that would grow too deep the newest segments go.
func resume(stack []state.Segment, horizon time.Time, lookback time.Duration) []state.Segment {
	if i := lastUnsound(stack); i >= 0 {
		if i == len(stack)-1 {
			horizon = earlier(horizon, stack[i].Horizon)
		}
		stack = stack[i+1:]
	}
	if len(stack) > 0 && !horizon.IsZero() && !meets(stack[0], lookback).After(horizon) {
		stack = nil
	}
	stack = stack[max(0, len(stack)-maxSegments+1):]
	if len(stack) == 0 {
		return []state.Segment{fresh(horizon)}
	}
	return slices.Concat([]state.Segment{fresh(meets(stack[0], lookback))}, stack)
}

// meets is the horizon of what is read above a segment.
func meets(s state.Segment, lookback time.Duration) time.Time { return s.Start.Add(-lookback) }

// lastUnsound finds the lowest segment that can't be resumed; -1: none.
func lastUnsound(stack []state.Segment) int {
	for i, s := range slices.Backward(stack) {
		if s.Pages == 0 || (!s.Ordered && !done(s)) {
			return i
		}
	}
	return -1
}

// fold joins what has met. A segment that read to the end proves everything
// below it. Of the done segments at the top, those above the last of the stack
// become one: the last one's start is kept, for it says since when the walk has
// been under way.
func fold(stack []state.Segment) []state.Segment {
	for i := 0; i < len(stack) && done(stack[i]); i++ {
		if stack[i].Horizon.IsZero() {
			stack = stack[:i+1]
		}
	}
	for len(stack) > 2 && done(stack[0]) && done(stack[1]) {
		stack = slices.Concat([]state.Segment{join(stack[0], stack[1])}, stack[2:])
	}
	return stack
}

func join(upper, lower state.Segment) state.Segment {
	lower.Start = upper.Start
	lower.Newest = later(upper.Newest, lower.Newest)
	lower.Lowest = lowest(upper.Lowest, lower.Lowest)
	lower.Pages += upper.Pages
	lower.Events += upper.Events
	return lower
}

// lowest gives the smaller of two times, of which zero is none.
func lowest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// open finds the uppermost segment that is not done; false when all are.
func open(stack []state.Segment) (int, bool) {
	i := slices.IndexFunc(stack, func(s state.Segment) bool { return !done(s) })
	return i, i >= 0
}

// restart begins the walk anew, down to the same horizon, after a cursor was
// refused. The cursors further down go with it: they are older.
func restart(stack []state.Segment) []state.Segment {
	return []state.Segment{fresh(stack[len(stack)-1].Horizon)}
}

// proof is what a stack of done segments proves.
type proof struct {
	start  time.Time // everything listed by then was read
	since  time.Time // the start of its oldest segment
	from   time.Time // its horizon; zero: to the very beginning
	newest time.Time // newest created_at read; zero: no dated event
	lowest time.Time
}

// proves sums up a stack of done segments. Where a resumed segment turned out
// not to be newest first, a fresh head says nothing about what was put in
// elsewhere meanwhile: everything is proved only as of that segment's start.
func proves(stack []state.Segment) proof {
	last := stack[len(stack)-1]
	p := proof{start: stack[0].Start, since: last.Start, from: last.Horizon}
	for _, s := range stack {
		if !s.Ordered {
			p.start = earlier(p.start, s.Start)
		}
		p.newest = later(p.newest, s.Newest)
		p.lowest = lowest(p.lowest, s.Lowest)
	}
	return p
}

// mark is the candidate for the mark: never above what was read, and never
// above what is old enough that its push is no longer in flight. Zero where no
// dated event was read: an empty listing moves no mark (the age of the last
// complete walk keeps the lag honest), for the first event may be listed late.
func (p proof) mark(settle time.Duration) time.Time {
	if p.newest.IsZero() {
		return time.Time{}
	}
	return earlier(p.newest, p.start.Add(-settle))
}
