package engine

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/receiver"
	"backstop/state"
)

// backlog is a world in which nothing was delivered, and a receiver that does as
// it is told; backstop is about to begin.
func backlog(t *testing.T, events int, change func(p *plan), answer func(d receiver.Delivery, n int) int) *scene {
	t.Helper()
	atWork(t)
	p := calmPlan(events, 100)
	p.beginning = true
	if change != nil {
		change(&p)
	}
	s := newScene(t, p)
	if answer != nil {
		s.must(s.receiver.Close())
		s.receiver = receiver.New(receiver.Options{Secrets: []string{sceneSecret}, MaxAge: 100 * time.Hour, Answer: answer})
	}
	return s
}

// pairedLife starts backstop and says that a source has spoken.
func (s *scene) pairedLife() *life {
	l := s.live("", 0)
	s.must(l.engine.store.SetPaired(state.Report))
	return l
}

// A receiver that takes half a minute for each event, with a thousand waiting,
// delays no poll.
func TestSlowReceiverDelaysNoPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := backlog(t, 1000, func(p *plan) { p.work = 29 * time.Second }, nil)
		s.cfg.Receiver.Timeout = 30 * time.Second
		l := s.pairedLife()
		begun := time.Now()
		time.Sleep(time.Second)
		for minute := range 20 {
			time.Sleep(time.Until(begun.Add(time.Duration(minute+1)*time.Minute + time.Second)))
			synctest.Wait()
			pass := l.engine.lastPass().pass
			if late := pass.Start.Sub(begun.Add(time.Duration(minute+1) * time.Minute)); late < -time.Millisecond || late > time.Millisecond || pass.End.Sub(pass.Start) > time.Millisecond {
				t.Errorf("the poll of minute %d begins %v late and takes %v", minute+1, late, pass.End.Sub(pass.Start))
			}
		}
		counts := l.engine.store.Counts().Status
		if left := counts[state.Missed] + counts[state.Replaying]; left < 800 || l.engine.current().replayer.InFlight() == 0 {
			t.Errorf("%d are left and %d in flight: the receiver is not slow", left, l.engine.current().replayer.InFlight())
		}
		s.end()
		time.Sleep(s.plan.work) // it goes on with what we have left
	})
}

// A reconcile without a daemon walks first, whatever waits to be sent, and goes
// on walking while it is.
func TestReconcileDoesNotWalkLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := backlog(t, 60, func(p *plan) { p.work = 29 * time.Second }, nil)
		s.cfg.Receiver.Timeout = 30 * time.Second
		l := s.pairedLife()
		time.Sleep(time.Minute / 2)
		l.cancel()
		<-l.done
		before, posts, requests := time.Now(), len(s.posts), s.world.Stats().Requests
		result, err := l.engine.Reconcile(t.Context(), ReconcileRequest{})
		took := time.Since(before)
		if late := result.Pass.End.Sub(before); late > time.Millisecond {
			t.Errorf("its pass ends %v after the start: %v", late, err)
		}
		if len(s.posts) == posts || took < 5*time.Minute {
			t.Errorf("%d were sent before and %d in all, within %v: the receiver is not slow", posts, len(s.posts), took)
		}
		if polls := s.world.Stats().Requests - requests; polls != 1+int(took/time.Minute) {
			t.Errorf("%d polls within %v", polls, took)
		}
		s.end()
	})
}

// What slows replaying down is told, while it does.
func TestStatusTellsThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		s := backlog(t, 300, func(p *plan) { p.rate = 4 }, func(receiver.Delivery, int) int {
			if n := calls.Add(1); n < 40 && n%4 == 0 {
				return http.StatusServiceUnavailable
			}
			return 0
		})
		l := s.pairedLife()
		slow, fast := false, false
		for range 120 {
			time.Sleep(time.Second)
			status, err := l.engine.Status()
			s.must(err)
			r, now := status.Receiver, l.samples()
			if now["backstop_replay_rate"] != r.Rate || now["backstop_replay_rate_configured"] != 4 || r.Configured != 4 {
				t.Errorf("metrics: %v of %v, want %v", now["backstop_replay_rate"], now["backstop_replay_rate_configured"], r.Rate)
			}
			switch {
			case r.Rate > 4 || r.Rate <= 0 || (r.Rate < 4) != (r.Slower != "") || r.SlowSince.IsZero() != (r.Slower == ""):
				t.Errorf("%+v", r)
			case r.Rate < 4:
				slow = slow || r.Slower == "it answered 503"
			case slow:
				fast = true
			}
		}
		if !slow || !fast {
			t.Errorf("slower because of 503: %v; and back: %v", slow, fast)
		}
		s.end()
	})
}

// A receiver that answers 500 to everything is told from one that is away.
func TestStatusTellsWhatToLookAt(t *testing.T) {
	const hint = "it answers 500 to everything: look at its log; a wrong receiver.secret looks like this at some receivers"
	for name, down := range map[string]bool{"500": false, "away": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := backlog(t, 30, func(p *plan) { p.rate = 4 }, func(receiver.Delivery, int) int { return 500 })
				s.set(func() { s.down = down })
				l := s.pairedLife()
				time.Sleep(10 * time.Minute)
				status, err := l.engine.Status()
				s.must(err)
				event, err := l.engine.Event(s.world.Listed()[0])
				s.must(err)
				for what, text := range map[string]string{"status": status.Receiver.Failing, "verdict": status.Verdict, "explain": event.Held} {
					if strings.Contains(text, hint) == down || text == "" {
						t.Errorf("%s says %q", what, text)
					}
				}
				s.end()
			})
		})
	}
}

// What a backfill could have queued while the receiver asked to be let alone does
// not come in a rush after it.
func TestBackfillKeepsItsRateAfterARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := pastScene(t, calmPlan(300, 100))
		s.must(s.receiver.Close())
		var calls atomic.Int64
		s.receiver = receiver.New(receiver.Options{Secrets: []string{sceneSecret}, MaxAge: 100 * time.Hour, Answer: func(receiver.Delivery, int) int {
			if n := calls.Add(1); n%20 == 0 && n < 150 { // never an outage
				return http.StatusTooManyRequests
			}
			return 0
		}})
		s.set(func() { s.rest = "50" })
		if result := l.backfill(t, BackfillRequest{Rate: 2}); result.Left != 0 || result.Dead != 0 || result.Seen < 250 {
			t.Fatalf("%+v", result)
		}
		if most := s.rushes(10 * time.Second); most > 30 {
			t.Errorf("%d replays within ten seconds, want hardly more than 20", most)
		}
		s.end()
	})
}

// A reload in the middle of trouble goes on as slowly as before.
func TestReloadKeepsThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := backlog(t, 30, func(p *plan) { p.rate = 4 }, func(receiver.Delivery, int) int { return 500 })
		l := s.pairedLife()
		time.Sleep(time.Minute)
		before := l.engine.current().replayer.Pace()
		s.reload()
		if now := l.engine.current().replayer.Pace(); now != before || now.Rate >= 4 {
			t.Errorf("from %+v to %+v", before, now)
		}
		moved := *s.cfg
		moved.Receiver.URL = "https://elsewhere.test/hook"
		s.must(l.engine.Reload(&moved))
		if now := l.engine.current().replayer.Pace(); now.Rate != 4 {
			t.Errorf("another receiver begins at %+v", now)
		}
		s.end()
	})
}
