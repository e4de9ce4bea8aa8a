package state

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// hours makes ranges from pairs of hours after a day began; -1 is the very beginning.
func hours(pairs ...float64) []Range {
	var ranges []Range
	at := func(h float64) time.Time {
		if h < 0 {
			return time.Time{}
		}
		return noon().Truncate(24 * time.Hour).Add(time.Duration(h * float64(time.Hour)))
	}
	for i := 0; i < len(pairs); i += 2 {
		ranges = append(ranges, Range{at(pairs[i]), at(pairs[i+1])})
	}
	return ranges
}

func TestMerge(t *testing.T) {
	cases := map[string]struct{ have, add, want []Range }{
		"first":                      {nil, hours(1, 2), hours(1, 2)},
		"before":                     {hours(3, 4), hours(1, 2), hours(1, 2, 3, 4)},
		"behind":                     {hours(1, 2), hours(3, 4), hours(1, 2, 3, 4)},
		"between":                    {hours(1, 2, 5, 6), hours(3, 4), hours(1, 2, 3, 4, 5, 6)},
		"touching below":             {hours(1, 2), hours(2, 3), hours(1, 3)},
		"touching above":             {hours(2, 3), hours(1, 2), hours(1, 3)},
		"bridging":                   {hours(1, 2, 3, 4, 8, 9), hours(2, 3), hours(1, 4, 8, 9)},
		"inside":                     {hours(1, 9), hours(3, 4), hours(1, 9)},
		"around all":                 {hours(2, 3, 4, 5), hours(1, 9), hours(1, 9)},
		"the same":                   {hours(1, 2), hours(1, 2), hours(1, 2)},
		"creeping":                   {hours(1, 2), hours(1.5, 2.5), hours(1, 2.5)},
		"empty":                      {hours(1, 2), hours(3, 3), hours(1, 2)},
		"backwards":                  {hours(1, 2), hours(4, 3), hours(1, 2)},
		"from the very beginning":    {hours(1, 2, 5, 6), hours(-1, 3), hours(-1, 3, 5, 6)},
		"into the very beginning":    {hours(-1, 3), hours(2, 4), hours(-1, 4)},
		"beginning, behind nothing":  {nil, hours(-1, 1), hours(-1, 1)},
		"beginning meets beginning":  {hours(-1, 3), hours(-1, 2), hours(-1, 3)},
		"overlapping several":        {hours(1, 3, 4, 6, 7, 9), hours(2, 8), hours(1, 9)},
		"overlapping all but a last": {hours(1, 3, 4, 6, 8, 9), hours(2, 7), hours(1, 7, 8, 9)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := merge(c.have, c.add[0])
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.want, decodeRanges(encodeRanges(got))); diff != "" {
				t.Errorf("stored and read: %s", diff)
			}
		})
	}
}

func TestMergeClaimsNoPartOfASecond(t *testing.T) {
	at := noon().Add(300 * time.Millisecond)
	got := merge(nil, Range{at, at.Add(3 * time.Second)})
	if diff := cmp.Diff([]Range{{noon().Add(time.Second), noon().Add(3 * time.Second)}}, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever is merged in whatever order: exactly the seconds that some range held are covered, and ranges stay apart.
func TestMergeIsTheUnion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ranges []Range
		var held [64]bool
		for range rapid.IntRange(0, 12).Draw(t, "ranges") {
			from, to := rapid.IntRange(0, 63).Draw(t, "from"), rapid.IntRange(0, 63).Draw(t, "to")
			ranges = merge(ranges, Range{time.Unix(1e9+int64(from), 0), time.Unix(1e9+int64(to), 0)})
			for i := from; i < to; i++ {
				held[i] = true
			}
		}
		var covered [64]bool
		for i, r := range ranges {
			if !r.From.Before(r.To) || i > 0 && !ranges[i-1].To.Before(r.From) {
				t.Fatalf("%v are not ascending and apart", ranges)
			}
			for s := r.From.Unix(); s < r.To.Unix(); s++ {
				covered[s-1e9] = true
			}
		}
		if covered != held {
			t.Fatalf("%v do not cover what was merged", ranges)
		}
	})
}
