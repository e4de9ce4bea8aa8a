package reconcile

import (
	"fmt"
	"math/rand/v2"
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
		time.Sleep(6 * time.Hour) // some meet the bad times again and again
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

// Old events do not wait for all live ones, nor live ones for old: one of five.
func TestLanesShareTheAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{}
		events := eventsTo(50)
		list(t, s, 1, events...)
		var verdicts []state.Verdict
		for i, e := range events {
			v := state.Verdict{ID: e.ID, Status: state.Missed, Why: "test", Reason: state.ReasonMissed}
			if i < 20 {
				v.Lane, v.Reason = state.Old, state.ReasonBackfill
			}
			verdicts = append(verdicts, v)
		}
		if _, err := s.Decide(time.Now(), verdicts); err != nil {
			t.Fatal(err)
		}
		drain(t, replayerFor(s, rec, func(o *ReplayOptions) { o.Concurrency = 1 }))
		posts := rec.all()
		if len(posts) != 50 {
			t.Fatalf("%d POSTs", len(posts))
		}
		for i, p := range posts[:35] {
			if old := p.headers.Get("X-Backstop-Reason") == "backfill"; old != (i%5 == 4) {
				t.Errorf("attempt %d is %s of %s", i, p.headers.Get("X-Backstop-Reason"), p.id)
			}
		}
	})
}

// A drain may last for hours. What it has not sent when the configuration changes
// goes to where the new one says, and is signed with its secret.
func TestADrainEndsWithItsConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events = 20
		s, old, moved := openStore(t), &target{delay: time.Second}, &target{}
		missed(t, s, eventsTo(events)...)
		before := replayerFor(s, old)
		ended := make(chan Drained, 1)
		go func() {
			d, err := before.Drain(t.Context())
			if err != nil {
				t.Error(err)
			}
			ended <- d
		}()
		time.Sleep(1500 * time.Millisecond)
		after := replayerFor(s, moved, func(o *ReplayOptions) { o.Before, o.URL = before, "https://moved.example/hook" })
		first := <-ended
		second := drain(t, after)
		if first.Sent == 0 || first.Sent > 10 || first.Seen != first.Sent || first.Seen+second.Seen != events {
			t.Errorf("%+v, then %+v", first, second)
		}
		if n, m := len(old.all()), len(moved.all()); n != first.Sent || m != second.Sent {
			t.Errorf("%d and %d came", n, m)
		}
	})
}
