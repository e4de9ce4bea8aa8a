package state

import (
	"slices"
	"time"

	"backstop/internal/heygen"
)

// Range is a stretch of created_at, From inclusive and To exclusive. A zero From is the very beginning.
type Range struct {
	From, To time.Time
}

// Coverage returns the ranges of created_at that complete walks of a query have read, ascending and apart.
func (s *Store) Coverage(q heygen.Query) ([]Range, error) {
	if err := s.closedError(); err != nil {
		return nil, err
	}
	return s.notes.covered(q), nil
}

// merge adds r to ranges that are ascending and apart, and keeps them so. Times count in whole seconds: From is rounded up and
// To down, so that nothing is called covered that was not. A range that holds nothing adds nothing.
func merge(ranges []Range, r Range) []Range {
	r = Range{From: roundUp(r.From), To: second(r.To)}
	if !r.From.Before(r.To) {
		return ranges
	}
	// Everything from first up to last touches r and becomes one with it.
	first := 0
	for first < len(ranges) && ranges[first].To.Before(r.From) {
		first++
	}
	last := first
	for last < len(ranges) && !ranges[last].From.After(r.To) {
		r.From = minTime(r.From, ranges[last].From)
		r.To = later(r.To, ranges[last].To)
		last++
	}
	return slices.Concat(ranges[:first], []Range{r}, ranges[last:])
}

func roundUp(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	down := second(t)
	if down.Equal(t) {
		return down
	}
	return down.Add(time.Second)
}

// minTime takes the zero time for the very beginning.
func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func encodeRanges(ranges []Range) []byte {
	var b []byte
	for _, r := range ranges {
		b = appendTime(appendTime(b, r.From), r.To)
	}
	return b
}

func decodeRanges(b []byte) []Range {
	var ranges []Range
	for ; len(b) >= 16; b = b[16:] {
		ranges = append(ranges, Range{From: timeAt(b), To: timeAt(b[8:])})
	}
	return ranges
}
