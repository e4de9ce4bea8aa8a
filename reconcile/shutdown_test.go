package reconcile

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"backstop/state"
)

func TestShutdownInEveryState(t *testing.T) {
	for name, tc := range map[string]struct {
		delay, at time.Duration
		answer    func(int, string) (int, error)
		backlog   int
	}{
		"idle":                     {at: time.Minute},
		"waiting for the rate":     {at: 100 * time.Millisecond, backlog: 10},
		"answers in flight":        {delay: 2 * time.Second, at: time.Second, backlog: 10},
		"answers that never come":  {delay: time.Hour, at: time.Second, backlog: 10},
		"all workers busy":         {delay: 9 * time.Second, at: 5 * time.Second, backlog: 10},
		"waiting for a backoff":    {at: time.Second, backlog: 1, answer: closed},
		"outage":                   {at: time.Minute, backlog: 10, answer: closed},
		"misconfigured":            {at: time.Minute, backlog: 10, answer: func(int, string) (int, error) { return 403, nil }},
		"probe in flight, slow":    {delay: 8 * time.Second, at: 30 * time.Second, backlog: 10, answer: func(int, string) (int, error) { return 403, nil }},
		"at the very first moment": {backlog: 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, rec := openStore(t), &target{delay: tc.delay, answer: tc.answer}
				missed(t, s, eventsTo(tc.backlog)...)
				stop := run(t, replayerFor(s, rec))
				time.Sleep(tc.at)
				stop()
				accepted := rec.accepted()
				for id, status := range statuses(t, s) {
					if seen := accepted[id] > 0; seen != (status == state.Seen) {
						t.Errorf("%s is %s, accepted %d times", id, status, accepted[id])
					}
					for _, a := range row(t, s, id).Attempts {
						if a.Open {
							t.Errorf("%s: attempt left open", id)
						}
					}
				}
			})
		})
	}
}

// The process ends between the intent and the POST: the intent is taken back.
func TestAttemptThatWasNotBegunIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{}
		missed(t, s, event(0))
		ctx, cancel := context.WithCancel(t.Context())
		r := replayerFor(s, rec, func(o *ReplayOptions) {
			o.Secrets = func() ([]string, error) { cancel(); return nil, nil }
		})
		if d, err := r.Drain(ctx); err != nil || d.Sent != 0 {
			t.Errorf("%+v, %v", d, err)
		}
		if e := row(t, s, "evt_000"); e.Status != state.Missed || len(e.Attempts) != 0 || len(rec.all()) != 0 {
			t.Errorf("%+v", e)
		}
		if d := drain(t, replayerFor(s, rec)); d.Seen != 1 || rec.all()[0].headers.Get("X-Backstop-Attempt") != "1" {
			t.Errorf("%+v", d)
		}
	})
}

// A cut off attempt may have arrived: it is sent again, after its backoff.
func TestCutOffAttemptBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{delay: time.Hour}
		missed(t, s, event(0))
		stop := run(t, replayerFor(s, rec, func(o *ReplayOptions) { o.Timeout = time.Minute }))
		time.Sleep(time.Second)
		stop()
		e := row(t, s, "evt_000")
		if e.Status != state.Replaying || len(e.Attempts) != 1 || e.Attempts[0].Counted || e.Attempts[0].Error != wordStopped {
			t.Errorf("%+v", e)
		}
		if wait := time.Until(e.Due); wait < 4*time.Second {
			t.Errorf("due in %v", wait)
		}
	})
}
