package reconcile

import (
	"testing"
	"time"

	"backstop/state"
)

func TestBackoff(t *testing.T) {
	l := Limits{BackoffMin: 5 * time.Second, BackoffMax: time.Minute}.withDefaults()
	for _, tc := range []struct {
		n      int
		jitter float64
		want   time.Duration
	}{
		{1, 0, 5 * time.Second},
		{2, 0, 10 * time.Second},
		{3, 0, 20 * time.Second},
		{4, 0, 40 * time.Second},
		{5, 0, time.Minute},
		{1000000, 0, time.Minute},
		{0, 0, 5 * time.Second},
		{1, 0.8, 6 * time.Second},
		{4, 0.8, 48 * time.Second},
		{5, 0.8, 48 * time.Second},
	} {
		l.Jitter = func() float64 { return tc.jitter }
		if got := l.backoff(tc.n); got != tc.want {
			t.Errorf("backoff(%d) with jitter %v: %v, want %v", tc.n, tc.jitter, got, tc.want)
		}
	}
}

func TestBackoffStaysBetweenItsBounds(t *testing.T) {
	for _, l := range []Limits{
		{},
		{BackoffMin: time.Second, BackoffMax: time.Second},
		{BackoffMin: time.Hour, BackoffMax: time.Second},
		{BackoffMin: time.Second, BackoffMax: 1100 * time.Millisecond},
		{BackoffMin: 1, BackoffMax: 1<<63 - 1},
	} {
		l = l.withDefaults()
		for n := range 100 {
			for _, j := range []float64{0, 0.5, 0.999} {
				l.Jitter = func() float64 { return j }
				if got := l.backoff(n); got < l.BackoffMin || got > l.BackoffMax {
					t.Fatalf("%+v: backoff(%d) = %v", l, n, got)
				}
			}
		}
	}
}

func TestWaitHonoursRetryAfter(t *testing.T) {
	l := Limits{BackoffMin: 5 * time.Second, BackoffMax: time.Minute}.withDefaults()
	for _, tc := range []struct{ asked, want time.Duration }{
		{0, 5 * time.Second},
		{time.Second, 5 * time.Second},
		{30 * time.Second, 30 * time.Second},
		{24 * time.Hour, time.Minute},
		{-time.Hour, 5 * time.Second},
	} {
		if got := l.wait(1, tc.asked); got != tc.want {
			t.Errorf("asked for %v: %v, want %v", tc.asked, got, tc.want)
		}
	}
}

func TestLanesFourLiveToOneOld(t *testing.T) {
	var l lanes
	var got []state.Lane
	for range 11 {
		got = append(got, l.next())
		l.took()
	}
	for i, lane := range got {
		if want := i%5 == 4; (lane == state.Old) != want {
			t.Errorf("turn %d went to %s", i, lane)
		}
	}
	l.next()
	if l.next() != state.Live {
		t.Error("looking at the next lane must not move it")
	}
}
