package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"backstop/internal/heygen"
	"backstop/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDrainSendsWhatIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{delay: time.Second}
		missed(t, s, eventsTo(20)...)
		start := time.Now()
		d := drain(t, replayerFor(s, rec))
		if d.Sent != 20 || d.Seen != 20 || d.Dead != 0 || d.Waiting != 0 || d.Paused != "" {
			t.Errorf("%+v", d)
		}
		posts := rec.all()
		for i, p := range posts {
			if want := fmt.Sprintf("evt_%03d", i); p.id != want {
				t.Errorf("%d: %s came, want %s: oldest first", i, p.id, want)
			}
			if want := fmt.Sprintf(`{"event_type":"avatar_video.success","event_data":{ "video_id":"vid_%03d","n":%d }}`, i, i); p.body != want {
				t.Errorf("body %s, want %s", p.body, want)
			}
			if i > 0 && p.at.Sub(posts[i-1].at) < 200*time.Millisecond {
				t.Errorf("%v between two attempts at 5 a second", p.at.Sub(posts[i-1].at))
			}
		}
		if rec.most > 4 {
			t.Errorf("%d in flight", rec.most)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		if r := row(t, s, "evt_003"); r.Status != state.Seen || r.Proof != state.Replay {
			t.Errorf("%+v", r)
		}
		if d := drain(t, replayerFor(s, rec)); d.Sent != 0 {
			t.Errorf("sent again: %+v", d)
		}
	})
}

func TestOutageOfADayKillsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{}
		start := time.Now()
		end := start.Add(24 * time.Hour)
		rec.answer = func(int, string) (int, error) {
			if time.Now().Before(end) {
				return 0, errRefused
			}
			return 200, nil
		}
		missed(t, s, eventsTo(30)...)
		stop := run(t, replayerFor(s, rec, func(o *ReplayOptions) { o.BackoffMin = 10 * time.Minute }))
		time.Sleep(time.Until(end))
		if m := statuses(t, s); count(m, state.Dead) != 0 || count(m, state.Seen) != 0 {
			t.Errorf("after a day: %v", m)
		}
		down := len(rec.all())
		if down > 24*6+30 {
			t.Errorf("%d POSTs in the outage", down)
		}
		time.Sleep(90 * time.Minute) // the longest backoff, and the time to send
		stop()
		if m := statuses(t, s); count(m, state.Seen) != 30 {
			t.Errorf("after the outage: %v", m)
		}
		if n := len(rec.all()) - down; n != 30 {
			t.Errorf("%d POSTs for 30 events after the outage", n)
		}
	})
}

// A backlog is not thrown at a receiver that is down, and all of it goes out in
// order as soon as the receiver is back.
func TestBacklogDrainsInOrderAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{}
		end := time.Now().Add(30 * time.Minute)
		rec.answer = func(int, string) (int, error) {
			if time.Now().Before(end) {
				return 503, nil
			}
			return 200, nil
		}
		missed(t, s, eventsTo(200)...)
		stop := run(t, replayerFor(s, rec))
		time.Sleep(time.Until(end))
		down := len(rec.all())
		if down > 45 {
			t.Errorf("%d POSTs in half an hour of outage", down)
		}
		time.Sleep(2 * time.Minute)
		stop()
		last := ""
		for _, p := range rec.all()[down+1:] { // the first one back is the probe
			if p.id < last && p.id > "evt_050" {
				t.Errorf("%s came after %s", p.id, last)
			}
			last = p.id
		}
		if n := len(rec.accepted()); n < 190 {
			t.Errorf("%d of 200 sent within two minutes of the end", n)
		}
	})
}

func TestPoisonEventDiesAfterThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{answer: func(_ int, id string) (int, error) {
			if id == "evt_000" {
				return 422, nil
			}
			return 200, nil
		}}
		missed(t, s, eventsTo(10)...)
		stop := run(t, replayerFor(s, rec))
		time.Sleep(time.Minute)
		stop()
		r := row(t, s, "evt_000")
		if r.Status != state.Dead || len(r.Attempts) != 3 || !strings.Contains(r.Why, "422") {
			t.Errorf("%+v", r)
		}
		if m := statuses(t, s); count(m, state.Seen) != 9 {
			t.Errorf("%v", m)
		}
		if n := len(rec.all()); n != 12 {
			t.Errorf("%d POSTs", n)
		}
	})
}

func TestFailingEventDiesOnlyWhileOthersAreAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{answer: func(_ int, id string) (int, error) {
			if id == "evt_000" {
				return 500, nil
			}
			return 200, nil
		}}
		missed(t, s, event(0), event(1))
		r := replayerFor(s, rec, func(o *ReplayOptions) { o.MaxAttempts = 4; o.BackoffMax = time.Minute })
		stop := run(t, r)
		defer stop()
		time.Sleep(2 * time.Hour)
		if e := row(t, s, "evt_000"); e.Status != state.Replaying {
			t.Errorf("alone for two hours: %s, %s", e.Status, e.Why)
		}
		for n := 2; n < 9; n++ {
			missed(t, s, event(n))
			r.Wake()
			time.Sleep(5 * time.Minute)
		}
		if e := row(t, s, "evt_000"); e.Status != state.Dead {
			t.Errorf("while others were accepted: %s, %s", e.Status, e.Why)
		}
	})
}

func TestMisconfiguredReceiverPausesAndProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{delay: 100 * time.Millisecond}
		end := time.Now().Add(10 * time.Minute)
		rec.answer = func(int, string) (int, error) {
			if time.Now().Before(end) {
				return 401, nil
			}
			return 200, nil
		}
		missed(t, s, eventsTo(30)...)
		stop := run(t, replayerFor(s, rec, func(o *ReplayOptions) { o.Concurrency = 1 }))
		time.Sleep(time.Until(end))
		posts := rec.all()
		if n := len(posts); n < 5 || n > 9 {
			t.Errorf("%d POSTs in ten minutes, want the first and probes after 5, 10, 20 … s", n)
		}
		ids := map[string]bool{}
		for i, p := range posts {
			ids[p.id] = true
			if i > 0 && p.at.Sub(posts[i-1].at) < 5*time.Second<<(i-1) {
				t.Errorf("probe %d after %v", i, p.at.Sub(posts[i-1].at))
			}
		}
		if len(ids) != len(posts) {
			t.Errorf("%d events in %d probes: each is another", len(ids), len(posts))
		}
		if why := s.Receiver().Misconfigured; !strings.Contains(why, "401") {
			t.Errorf("misconfigured: %q", why)
		}
		if d := drain(t, replayerFor(s, rec)); d.Sent != 0 || !strings.Contains(d.Paused, "misconfigured") {
			t.Errorf("%+v", d)
		}
		time.Sleep(30 * time.Minute)
		stop()
		if m := statuses(t, s); count(m, state.Seen) != 30 {
			t.Errorf("after it was set right: %v", m)
		}
		for id, n := range rec.accepted() {
			if n != 1 {
				t.Errorf("%s was accepted %d times", id, n)
			}
		}
	})
}

func TestThreeEventsRefusedInARowPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{answer: func(int, string) (int, error) { return 404, nil }}
		missed(t, s, eventsTo(10)...)
		d := drain(t, replayerFor(s, rec, func(o *ReplayOptions) { o.Concurrency = 1 }))
		if d.Sent != 3 || d.Dead != 0 || !strings.Contains(d.Paused, "3 different events") {
			t.Errorf("%+v", d)
		}
		if e := row(t, s, "evt_002"); e.Status != state.Replaying || e.Attempts[0].Counted {
			t.Errorf("the attempt that showed it counts: %+v", e)
		}
	})
}

func TestFlappingReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{delay: 10 * time.Millisecond}
		start := time.Now()
		failures := 0
		rec.answer = func(int, string) (int, error) {
			if int(time.Since(start)/(5*time.Second))%2 == 1 {
				failures++
				return 0, errRefused
			}
			return 200, nil
		}
		const backlog = 60
		missed(t, s, eventsTo(backlog)...)
		stop := run(t, replayerFor(s, rec, func(o *ReplayOptions) { o.Concurrency = 1 }))
		time.Sleep(30 * time.Minute)
		stop()
		accepted := rec.accepted()
		for id, n := range accepted {
			if n != 1 {
				t.Errorf("%s was accepted %d times", id, n)
			}
		}
		if posts := len(rec.all()); len(accepted) != backlog || posts > backlog+failures {
			t.Errorf("%d accepted of %d, %d POSTs, %d failures", len(accepted), backlog, posts, failures)
		}
	})
}

func TestOrderOfAnEntity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const seed = 20260325
		random := rand.New(rand.NewPCG(seed, seed))
		s, rec := openStore(t), &target{delay: 300 * time.Millisecond}
		rec.answer = func(int, string) (int, error) {
			if random.IntN(3) == 0 {
				return 500, nil
			}
			return 200, nil
		}
		var events []heygen.Event
		for n := range 24 {
			events = append(events, eventOf(fmt.Sprintf("evt_%d_%03d", n%3, n), fmt.Sprintf("vid_%d", n%3), n*700))
		}
		for i := range events {
			events[i].CreatedAt = events[i].CreatedAt.Add(-6 * time.Hour)
		}
		missed(t, s, events...)
		stop := run(t, replayerFor(s, rec, func(o *ReplayOptions) { o.Rate = 0 }))
		time.Sleep(12 * time.Hour)
		stop()
		if why := inOrder(rec.all(), func(id string) string { return id[:5] }); why != "" {
			t.Errorf("seed %d: %s", seed, why)
		}
		if n := len(rec.accepted()); n != len(events) {
			t.Errorf("seed %d: %d of %d accepted", seed, n, len(events))
		}
	})
}

func TestReportCancelsAReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{}
		missed(t, s, eventsTo(3)...)
		if _, err := s.Record(time.Now(), []state.Sighting{{ID: "evt_001", At: time.Now(), Proof: state.Report}}); err != nil {
			t.Fatal(err)
		}
		if d := drain(t, replayerFor(s, rec)); d.Sent != 2 {
			t.Errorf("%+v", d)
		}
		if rec.accepted()["evt_001"] != 0 {
			t.Error("what was reported was sent")
		}
	})
}

func TestNothingIsSent(t *testing.T) {
	pause := func(t *testing.T, s *state.Store) {
		if err := s.Pause(time.Now(), "upgrade", "ann"); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		unpaired bool
		prepare  func(t *testing.T, s *state.Store)
		change   func(o *ReplayOptions)
		want     string
	}{
		"paused":       {prepare: pause, want: "paused by ann: upgrade"},
		"no URL":       {change: func(o *ReplayOptions) { o.URL = "" }, want: "watching only"},
		"a bad URL":    {change: func(o *ReplayOptions) { o.URL = "receiver?token=secret" }, want: "receiver.url is no http"},
		"no secret":    {change: func(o *ReplayOptions) { o.Secrets = func() ([]string, error) { return nil, errUnreadable } }, want: "permission denied"},
		"unpaired":     {unpaired: true, want: "unpaired"},
		"two of these": {prepare: pause, change: func(o *ReplayOptions) { o.URL = "" }, want: "watching only"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, rec := openStore(t), &target{}
				if tc.unpaired {
					s = openAt(t, filepath.Join(t.TempDir(), "unpaired.db"))
				}
				missed(t, s, eventsTo(3)...)
				if tc.prepare != nil {
					tc.prepare(t, s)
				}
				asked := 0
				r := replayerFor(s, rec, func(o *ReplayOptions) {
					if tc.change != nil {
						tc.change(o)
					}
					secrets := o.Secrets
					o.Secrets = func() ([]string, error) { asked++; return secrets() }
				})
				d := drain(t, r)
				if d.Sent != 0 || d.Waiting != 3 || !strings.Contains(d.Paused, tc.want) || strings.Contains(d.Paused, "token") {
					t.Errorf("%+v", d)
				}
				stop := run(t, r)
				time.Sleep(time.Hour)
				stop()
				if len(rec.all()) != 0 {
					t.Errorf("%d were sent", len(rec.all()))
				}
				if asked > 500 {
					t.Errorf("looked %d times in an hour", asked)
				}
				for id, st := range statuses(t, s) {
					if st != state.Missed {
						t.Errorf("%s is %s", id, st)
					}
				}
			})
		})
	}
}

func TestResumeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{}
		missed(t, s, eventsTo(3)...)
		if err := s.Pause(time.Now(), "upgrade", "ann"); err != nil {
			t.Fatal(err)
		}
		r := replayerFor(s, rec)
		stop := run(t, r)
		time.Sleep(time.Minute)
		if err := s.Resume(time.Now(), "ann"); err != nil {
			t.Fatal(err)
		}
		r.Wake()
		time.Sleep(time.Second)
		stop()
		if n := len(rec.accepted()); n != 3 {
			t.Errorf("%d sent after resume", n)
		}
	})
}

func TestUnpairedSendsWhatAPersonAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openAt(t, filepath.Join(t.TempDir(), "unpaired.db")), &target{}
		missed(t, s, eventsTo(3)...)
		if _, err := s.Requeue(time.Now(), []string{"evt_001"}, state.ReasonForced, "ann"); err != nil {
			t.Fatal(err)
		}
		d := drain(t, replayerFor(s, rec))
		posts := rec.all()
		if d.Sent != 1 || len(posts) != 1 || posts[0].id != "evt_001" || posts[0].headers.Get("X-Backstop-Reason") != "forced" {
			t.Errorf("%+v, %+v", d, posts)
		}
	})
}

// run starts Run and returns what ends it and waits.
func run(t *testing.T, r *Replayer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	ended := false
	return func() {
		t.Helper()
		if ended {
			return
		}
		ended = true
		start := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("shutdown took %v", took)
		}
	}
}

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

// The process dies between the answer and the outcome: the one event that was
// in flight is sent once more, the others are not.
func TestCrashBetweenPostAndSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := openAt(t, filepath.Join(dir, "backstop.db"))
		if err := s.SetPaired(); err != nil {
			t.Fatal(err)
		}
		missed(t, s, eventsTo(5)...)
		crashed := t.TempDir()
		rec := &target{}
		rec.answer = func(_ int, id string) (int, error) {
			if id == "evt_002" && len(rec.posts) == 2 {
				copyFiles(t, dir, crashed)
			}
			return 200, nil
		}
		drain(t, replayerFor(s, rec, func(o *ReplayOptions) { o.Concurrency = 1 }))

		again := &target{}
		stop := run(t, replayerFor(openAt(t, filepath.Join(crashed, "backstop.db")), again))
		time.Sleep(time.Minute)
		stop()
		accepted := again.accepted()
		if len(accepted) != 3 || accepted["evt_002"] != 1 || accepted["evt_003"] != 1 || accepted["evt_004"] != 1 {
			t.Errorf("after the crash: %v", accepted)
		}
	})
}

// copyFiles keeps what a crash now would leave.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	files, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		in, err := os.Open(filepath.Join(from, f.Name()))
		if err != nil {
			continue // not a file
		}
		out, err := os.OpenFile(filepath.Join(to, f.Name()), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(out, in); err != nil {
			t.Fatal(err)
		}
		_, _ = in.Close(), out.Close()
	}
}

// Every commit of a drain is failed, before it was made and after: the state
// latches, nothing more is sent, and the next start redoes at most what was in
// flight.
func TestEveryCommitFails(t *testing.T) {
	for _, point := range []string{"before", "after"} {
		for k := 1; ; k++ {
			if done := failCommit(t, point, k); done {
				break
			}
		}
	}
}

// failCommit fails the kth commit of a drain of three events, and reports
// whether there was none.
func failCommit(t *testing.T, point string, k int) (none bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "backstop.db")
		commits, armed := 0, false
		s, err := state.Open(state.Options{Path: path, Fault: func(at string) error {
			if armed && at == point {
				if commits++; commits == k {
					return errors.New("input/output error")
				}
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetPaired(); err != nil {
			t.Fatal(err)
		}
		missed(t, s, eventsTo(3)...)
		armed = true
		rec := &target{}
		_, err = replayerFor(s, rec, func(o *ReplayOptions) { o.Concurrency = 1 }).Drain(t.Context())
		none = commits < k
		if (err == nil) != none {
			t.Errorf("%s commit %d: %v", point, k, err)
		}
		sent := len(rec.all())
		_ = s.Close()

		stop := run(t, replayerFor(openAt(t, path), rec))
		time.Sleep(time.Minute)
		stop()
		twice := 0
		for id, n := range rec.accepted() {
			if n > 1 {
				twice += n - 1
			}
			if n > 2 {
				t.Errorf("%s commit %d: %s was accepted %d times", point, k, id, n)
			}
		}
		if len(rec.accepted()) != 3 || twice > 1 {
			t.Errorf("%s commit %d: %v accepted, %d sent before", point, k, rec.accepted(), sent)
		}
	})
	return none
}
