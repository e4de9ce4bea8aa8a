package state

import (
	"slices"
	"time"

	"backstop/internal/heygen"
)

// Gap is the total of the gaps of some queries: the created_at from the baseline up to the start of the last complete walk
// that no complete walk has read for each of them. What was never walked is no gap.
func (s *Store) Gap(queries []heygen.Query) time.Duration {
	baseline, _ := s.Baseline()
	var gaps []Range
	for _, q := range queries {
		until := later(s.notes.position(walkKey{q, Poll}).Completed, s.notes.position(walkKey{q, Sweep}).Completed)
		for _, gap := range uncovered(s.notes.covered(q), Range{From: baseline, To: until}) {
			gaps = merge(gaps, gap)
		}
	}
	var sum time.Duration
	for _, gap := range gaps {
		sum += gap.To.Sub(gap.From)
	}
	return sum
}

// uncovered are the parts of r that lie in none of some ranges, which are ascending and apart. Times count in whole seconds, as
// in merge.
func uncovered(ranges []Range, r Range) []Range {
	from, to := roundUp(r.From), second(r.To)
	var gaps []Range
	for _, covered := range slices.Concat(ranges, []Range{{From: to, To: to}}) {
		if end := minTime(covered.From, to); from.Before(end) {
			gaps = append(gaps, Range{From: from, To: end})
		}
		from = later(from, covered.To)
	}
	return gaps
}
