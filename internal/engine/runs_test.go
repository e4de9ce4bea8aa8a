package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/exit"
	"backstop/state"
)

// heardOf collects what a replay tells.
type heardOf struct {
	plan     *ReplayPlan
	rows     []ReplayRow
	progress []BackfillProgress
}

func (h *heardOf) yield(row ReplayRow) error {
	switch {
	case row.Plan != nil:
		h.plan = row.Plan
	case row.Progress != nil:
		h.progress = append(h.progress, *row.Progress)
	default:
		h.rows = append(h.rows, row)
	}
	return nil
}

// missedScene is a world whose whole past is missed, and nobody has said what the
// receiver has: nothing is sent by itself.
func missedScene(t *testing.T, events int) (*scene, *life) {
	p := calmPlan(events, 100)
	p.beginning = true
	s, l := pastScene(t, p)
	if n := l.engine.store.Counts().Status[state.Missed]; n < int64(events)*9/10 {
		t.Fatalf("%d of %d are missed", n, events)
	}
	return s, l
}

// A large run tells how far it is and not of each event, and sends the oldest
// first.
func TestALargeReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := missedScene(t, 1500)
		missed := int(l.engine.store.Counts().Status[state.Missed])
		var told heardOf
		result, err := l.engine.Replay(t.Context(), ReplayRequest{Missed: true, Who: "ann"}, told.yield)
		s.must(err)
		if result.Planned != missed || result.Seen != missed || result.Waiting != 0 || result.Run != 1 {
			t.Errorf("%+v, want %d seen", result, missed)
		}
		if told.plan == nil || told.plan.Events != missed || told.plan.Statuses["missed"] != missed || len(told.rows) > 0 || len(told.progress) == 0 {
			t.Errorf("told: plan %+v, %d rows, %d times how far", told.plan, len(told.rows), len(told.progress))
		}
		var ids []string
		s.set(func() {
			for _, p := range s.posts {
				ids = append(ids, p.id)
			}
		})
		for i := 1; i < len(ids); i++ {
			if older, newer := s.event(ids[i]).CreatedAt, s.event(ids[i-1]).CreatedAt; newer.Sub(older) > 30*time.Minute {
				t.Fatalf("POST %d is older than the one before it by %s", i, newer.Sub(older))
			}
		}
		if len(ids) != missed {
			t.Errorf("%d POSTs of %d events", len(ids), missed)
		}
		s.inspect()
		s.end()
	})
}

// Cancelled while it is followed: the follower is told, and what was not sent is
// as it was.
func TestACancelReachesTheFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := missedScene(t, 150)
		missed := int64(l.engine.store.Counts().Status[state.Missed])
		s.set(func() { s.down = true })
		ended := make(chan error, 1)
		go func() {
			_, err := l.engine.Replay(t.Context(), ReplayRequest{Missed: true}, func(ReplayRow) error { return nil })
			ended <- err
		}()
		time.Sleep(3 * time.Second)
		run, err := l.engine.CancelRun(1, "ann")
		s.must(err)
		err = <-ended
		if exit.CodeOf(err) != exit.Differences || !strings.Contains(err.Error(), "run 1 was cancelled") {
			t.Errorf("the follower is told %v", err)
		}
		if run.Left < missed-5 {
			t.Errorf("%+v, want %d left", run, missed)
		}
		s.set(func() { s.down = false })
		tried := len(s.posts)
		time.Sleep(10 * time.Minute)
		if len(s.posts) != tried {
			t.Errorf("%d more POSTs after the cancel", len(s.posts)-tried)
		}
		result, err := l.engine.ResumeRun(t.Context(), 1, ReplayRequest{Who: "ann"}, func(ReplayRow) error { return nil })
		s.must(err)
		if result.Seen != int(missed) || result.Left != 0 {
			t.Errorf("resumed: %+v, want %d seen", result, missed)
		}
		s.inspect()
		s.end()
	})
}

// Whoever asks goes away: what is queued is sent all the same.
func TestAReplayOutlivesItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := missedScene(t, 150)
		s.set(func() { s.down = true })
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := l.engine.Replay(ctx, ReplayRequest{Missed: true}, func(ReplayRow) error { return nil })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
		s.set(func() { s.down = false })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		runs, err := l.engine.store.Runs()
		s.must(err)
		if len(runs) != 1 || runs[0].Waiting != 0 || runs[0].Seen != runs[0].Planned || runs[0].Ended.IsZero() {
			t.Errorf("%+v", runs)
		}
		s.end()
	})
}

// Whoever asks goes away at once: the run is queued as a whole.
func TestAReplayOutlivesAClientThatHearsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := missedScene(t, 700)
		_, err := l.engine.Replay(t.Context(), ReplayRequest{Missed: true}, func(ReplayRow) error { return errGone })
		if !errors.Is(err, errGone) {
			t.Errorf("it ended with %v", err)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		run, err := l.engine.store.Run(1)
		s.must(err)
		if run.Planned < 600 || run.Seen != run.Planned || run.Ended.IsZero() {
			t.Errorf("%+v", run)
		}
		s.end()
	})
}

// By hand an event is sent at once, and its scheduled attempt with it: once.
func TestAReplayByHandSupersedesTheScheduledOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := missedScene(t, 3)
		id := s.world.Listed()[0]
		s.set(func() { s.down = true })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		_, _ = l.engine.Replay(ctx, ReplayRequest{IDs: []string{id}}, func(ReplayRow) error { return nil })
		s.set(func() { s.down = false; s.posts = nil })
		begun := time.Now()
		result, err := l.engine.Replay(t.Context(), ReplayRequest{IDs: []string{id}}, func(ReplayRow) error { return nil })
		s.must(err)
		if result.Seen != 1 || time.Since(begun) > time.Minute { // the scheduled one is due later; the pace after an outage may hold it up
			t.Errorf("%+v after %s", result, time.Since(begun))
		}
		time.Sleep(2 * time.Hour)
		if len(s.posts) != 1 {
			t.Errorf("%d POSTs, want one", len(s.posts))
		}
		s.end()
	})
}

// forcedStory sends all of a small past by force. Backstop may die meanwhile; the
// next life resumes the run.
func forcedStory(t *testing.T, point string, at int) (commits int, failed bool) {
	atWork(t)
	p := calmPlan(7, 3)
	p.concurrency, p.work = 2, 100*time.Millisecond
	s := newScene(t, p)
	if l := s.live(point, at); l.engine == nil {
		failed = true
		s.mourn(l)
		s.live("", 0)
	}
	for range 5 {
		l := s.current()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		err := errGone
		if !l.isDead() {
			err = sendByForce(t, l)
			synctest.Wait()
		}
		if l.isDead() {
			failed = true
			s.mourn(l)
			s.live("", 0)
			continue
		}
		s.must(err)
		if l.number == 1 {
			commits = l.made()
		}
		break
	}
	s.inspect()
	s.wantForced(7, 2)
	s.end()
	return commits, failed
}

func sendByForce(t *testing.T, l *life) error {
	none := func(ReplayRow) error { return nil }
	runs, err := l.engine.store.Runs()
	if err != nil {
		return err
	}
	switch {
	case len(runs) == 0:
		_, err = l.engine.Replay(t.Context(), ReplayRequest{Force: true, Since: time.Now().Add(-72 * time.Hour), Who: "ann"}, none)
	case runs[0].Ended.IsZero():
		_, err = l.engine.ResumeRun(t.Context(), 1, ReplayRequest{Who: "ann"}, none)
	}
	return err
}

// wantForced checks that every event was sent, and that only what was in flight
// at a death was sent twice.
func (s *scene) wantForced(events, concurrency int) {
	s.t.Helper()
	accepted := map[string]int{}
	s.mu.Lock()
	for _, p := range s.posts {
		if p.reason == string(state.ReasonForced) && p.status == 200 {
			accepted[p.id]++
		}
	}
	deaths, errs := len(s.deaths), slices.Clone(s.errors)
	s.mu.Unlock()
	again := 0
	for _, n := range accepted {
		again += n - 1
	}
	if len(accepted) != events || again > concurrency*deaths {
		s.t.Errorf("%d of %d were sent, %d of them again after %d deaths", len(accepted), events, again, deaths)
	}
	runs, err := s.current().engine.store.Runs()
	s.must(err)
	if len(runs) != 1 || runs[0].Seen != int64(events) || runs[0].Ended.IsZero() {
		s.t.Errorf("the run is %+v", runs)
	}
	for _, e := range errs {
		s.t.Error(e)
	}
}

// Every commit of a forced run fails, not made or made and reported failed.
func TestEveryCommitOfAForcedRunFails(t *testing.T) {
	n := 0
	t.Run("none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { n, _ = forcedStory(t, "", 0) })
	})
	if t.Failed() {
		return
	}
	if n < 15 {
		t.Fatalf("the story made %d commits", n)
	}
	missed := 0
	for at := 1; at <= n; at++ {
		for _, point := range []string{"before", "after"} {
			if slow && (at%2 == 0) == (point == "before") {
				continue
			}
			t.Run(fmt.Sprintf("%s %d", point, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					if _, met := forcedStory(t, point, at); !met {
						missed++
					}
				})
			})
		}
	}
	if missed > n/3 {
		t.Errorf("%d failures of %d commits were not reached", missed, n)
	}
}

// A shadow run waits as the other receiver asks, and tells how it answered.
func TestAShadowRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := missedScene(t, 130)
		before := l.engine.store.Counts()
		s.set(func() { s.unauthorized = true })
		request := ReplayRequest{Since: time.Now().Add(-72 * time.Hour), To: "https://other.test/hook", Secret: sceneSecret, Who: "ann"}
		result, err := l.engine.Replay(t.Context(), request, func(ReplayRow) error { return nil })
		if exit.CodeOf(err) != exit.Differences || !strings.Contains(err.Error(), "the other receiver refuses everything: it answered 401") {
			t.Errorf("refused: %+v, %v", result, err)
		}
		if l.engine.store.Receiver().Misconfigured != "" {
			t.Error("our receiver is thought ill of")
		}
		s.set(func() { s.unauthorized = false })
		var told heardOf
		result, err = l.engine.ResumeRun(t.Context(), result.Run, request, told.yield)
		s.must(err)
		if result.Seen != result.Planned || result.Shadow == nil || result.Shadow.Answers["200"] != result.Planned || len(told.rows) != result.Planned {
			t.Errorf("%+v with %+v, and %d rows", result, result.Shadow, len(told.rows))
		}
		if after := l.engine.store.Counts(); after.Status[state.Missed] != before.Status[state.Missed] {
			t.Errorf("%v, and before %v", after.Status, before.Status)
		}
		s.inspect()
		s.end()
	})
}

// Where HeyGen does not answer, nothing is begun: a later try leaves no run behind
// that would count as stopped.
func TestNoRunWithoutTheListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := missedScene(t, 20)
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // no request gets out
		for _, r := range []ReplayRequest{{Force: true, Since: time.Now().Add(-72 * time.Hour)}, {To: "https://other.test/hook", Limit: 3}} {
			if _, err := l.engine.Replay(ctx, r, new(heardOf).yield); exit.CodeOf(err) != exit.Interrupted {
				t.Errorf("%+v: %v", r, err)
			}
		}
		s.must(l.engine.Runs(func(r RunStatus) error { t.Errorf("left behind: %+v", r); return nil }))
		s.end()
	})
}

// Cancelled before all was found, a forced run can be taken up; of one whose last events were in flight nothing is left.
func TestACancelOfAForcedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := missedScene(t, 20)
		s.must(func() error {
			_, err := l.engine.Replay(t.Context(), ReplayRequest{Missed: true, Who: "ann"}, func(ReplayRow) error { return nil })
			return err
		}())
		none := func(ReplayRow) error { return nil }
		force := ReplayRequest{Force: true, Since: time.Now().Add(-72 * time.Hour), Who: "ann"}

		run, err := l.engine.store.BeginRun(time.Now(), state.Run{Kind: state.RunForced, Who: "ann", Chosen: force.selection()}, nil)
		s.must(err)
		_, err = l.engine.CancelRun(run.ID, "bob")
		s.must(err)
		wantCancelled := func(err error) {
			t.Helper()
			want := fmt.Sprintf("run %d was cancelled: `backstop replay --resume %d` goes on with it", run.ID, run.ID)
			if exit.CodeOf(err) != exit.Differences || err.Error() != want {
				t.Errorf("told %v, want %s", err, want)
			}
		}
		_, err = l.engine.findAndSend(t.Context(), run, force, "", none)
		wantCancelled(err)

		run.ID++
		_, err = l.engine.Replay(t.Context(), force, func(row ReplayRow) error {
			if row.Plan == nil {
				return nil
			}
			_, err := l.engine.CancelRun(run.ID, "bob")
			return err
		})
		wantCancelled(err)
		result, err := l.engine.ResumeRun(t.Context(), run.ID, ReplayRequest{Who: "ann"}, none)
		s.must(err)
		if result.Seen != result.Planned || result.Seen == 0 || result.Left != 0 {
			t.Errorf("resumed: %+v", result)
		}
		run, err = l.engine.store.Run(run.ID)
		s.must(err)
		run.Cancelled = run.Ready // while the last events were in flight
		if _, err := l.engine.newFollowing(run, none).ended(t.Context(), run); err != nil {
			t.Errorf("nothing is left, and it says %v", err)
		}
		s.inspect()
		s.end()
	})
}
