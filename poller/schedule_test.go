package poller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backstop/state"
)

func newSchedule(t *testing.T, poll, sweep string, log *slog.Logger) *Schedule {
	t.Helper()
	s, err := NewSchedule(poll, sweep, time.UTC, log)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// runFor runs a schedule for a time and gives when which job began.
func runFor(t *testing.T, s *Schedule, d time.Duration, job func(ctx context.Context, k state.Kind)) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	begin := time.Now()
	var began []string
	err := s.Run(ctx, func(ctx context.Context, k state.Kind) {
		began = append(began, fmt.Sprintf("%s %s", k, time.Since(begin)))
		job(ctx, k)
	})
	if err != nil {
		t.Fatal(err)
	}
	return began
}

func TestRunPollsAtOnceAndOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(t, "@every 1m", "@every 2m", nil)
		got := runFor(t, s, 4*time.Minute+time.Second, func(context.Context, state.Kind) {})
		want := []string{"poll 0s", "poll 1m0s", "poll 2m0s", "sweep 2m0s", "poll 3m0s", "poll 4m0s", "sweep 4m0s"}
		if !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
	})
}

func TestTicksOfARunningJobAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newSchedule(t, "@every 1m", "0 0 1 1 *", slog.New(slog.NewTextHandler(&log, nil)))
		first := true
		got := runFor(t, s, 6*time.Minute+time.Second, func(context.Context, state.Kind) {
			if first {
				time.Sleep(3*time.Minute + 30*time.Second)
			}
			first = false
		})
		want := []string{"poll 0s", "poll 4m0s", "poll 5m0s", "poll 6m0s"}
		if poll, _ := s.Skipped(); !slices.Equal(got, want) || poll != 3 {
			t.Errorf("ran %q, %d skipped; want %q and 3", got, poll, want)
		}
		if strings.Count(log.String(), "ticks were skipped") != 1 {
			t.Errorf("logged %q; want the skipped ticks told once", log.String())
		}
	})
}

// Polls that come while a sweep runs wait as one; the sweep may let it go.
func TestPollWaitsForTheSweep(t *testing.T) {
	for _, gives := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSchedule(t, "@every 1m", "@every 90s", nil)
			given := 0
			got := runFor(t, s, 4*time.Minute+31*time.Second, func(_ context.Context, k state.Kind) {
				if k != state.Sweep || given > 0 {
					return
				}
				for range 17 { // 170 s, pages of 10 s
					time.Sleep(10*time.Second + time.Millisecond)
					if gives && s.Due() {
						given++
					}
				}
			})
			polls := 0
			for _, what := range got {
				if strings.HasPrefix(what, "poll") {
					polls++
				}
			}
			if want := 3; !gives && (polls != want || s.Due()) {
				t.Errorf("%d polls %q, want %d", polls, got, want)
			}
			if gives && (given != 3 || polls != 2) {
				t.Errorf("%d polls handed over, want 3; %q", given, got)
			}
		})
	}
}

func TestPanicOfAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newSchedule(t, "@every 1m", "0 0 1 1 *", slog.New(slog.NewTextHandler(&log, nil)))
		got := runFor(t, s, 2*time.Minute+time.Second, func(context.Context, state.Kind) { panic("poisoned") })
		if len(got) != 3 {
			t.Errorf("ran %q, want three polls", got)
		}
		if strings.Count(log.String(), "poisoned") != 3 || !strings.Contains(log.String(), "TestPanicOfAJob") {
			t.Errorf("logged %q; want each panic with its stack", log.String())
		}
	})
}

// Run ends with ctx, after the job under way, and may be started again.
func TestRunEndsAfterTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(t, "@every 1m", "@hourly", nil)
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			ended := false
			err := s.Run(ctx, func(ctx context.Context, _ state.Kind) {
				if err := s.Run(ctx, nil); !errors.Is(err, errRunning) {
					t.Errorf("a second Run: %v", err)
				}
				cancel()
				time.Sleep(2 * time.Second)
				ended = true
			})
			if err != nil || !ended {
				t.Errorf("Run: %v, job ended %v", err, ended)
			}
		}
	})
}
