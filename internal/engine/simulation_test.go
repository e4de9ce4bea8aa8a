package engine

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/simulate"
	"backstop/state"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run only this seed of the whole-engine simulation")
	seedsFlag = flag.Uint64("seeds", 0, "how many seeds the whole-engine simulation runs; 0: 150, or 40 with the race detector")
)

// TestWorlds lets hundreds of worlds go wrong in every way that a plan can draw,
// with the real engine on its real schedule and a real file between them; then
// everything works again, and once nothing is left to do every invariant is
// checked.
func TestWorlds(t *testing.T) {
	first, last := uint64(1), cmp.Or(*seedsFlag, usualSeeds)
	if testing.Short() {
		last = min(last, usualSeeds/6)
	}
	if *seedFlag != 0 {
		first, last = *seedFlag, *seedFlag
	}
	var mu sync.Mutex
	met := map[string]int{}
	var fake time.Duration
	next := make(chan uint64)
	var workers sync.WaitGroup
	for range 6 { // more than processors: a bubble waits for the disk most of the time
		workers.Go(func() {
			for seed := range next {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := suffer(t, draw(seed))
						mu.Lock()
						defer mu.Unlock()
						for what, n := range s.met {
							met[what] += n
						}
						fake += time.Since(s.began)
					})
				})
			}
		})
	}
	for seed := first; seed <= last && !t.Failed(); seed++ {
		next <- seed
	}
	close(next)
	workers.Wait()
	t.Logf("%d seeds, %v of their time; met: %v", last-first+1, fake.Round(time.Minute), met)
	if last-first+1 < usualSeeds || t.Failed() {
		return
	}
	for _, what := range situations() {
		if met[what] == 0 {
			t.Errorf("never met: %s; the plans are too tame", what)
		}
	}
}

// situations are what a full set of seeds must have met.
func situations() []string {
	return []string{
		"kill", "kill before", "kill after", "kill at a post", "kill at a page", "graceful stop", "reload",
		"kill with a POST in flight", "duplicate after a kill", "duplicate after a lost answer",
		"answer lost", "401", "404", "push met an outage", "replay met an outage", "misconfigured", "paused",
		"replay by hand", "ignored by hand", "forgotten", "dead", "dead and sent again", "push raced a replay",
		"proof report", "proof replay", "proof baseline", "credit", "twin", "undated", "listed late", "replay retried",
		"expired_cursors", "empty_pages", "too_many", "server_error", "html", "truncated", "order oldest", "order shuffled", "skew",
		"stopped walk", "head of an entity held the rest", "first run was killed",
	}
}

// suffer lives a plan through and validates what is left.
func suffer(t *testing.T, p plan) *scene {
	atWork(t)
	s := newScene(t, p)
	defer func() {
		if t.Failed() {
			t.Logf("again with: go test ./internal/engine -run TestWorlds -seed %d\n%s", p.seed, p)
		}
	}()
	s.live("", 0)
	s.badTimes()
	s.goodTimes()
	s.walkAgain()
	s.end()
	s.live("", 0)
	synctest.Wait()
	s.sample()
	s.validate()
	s.tell()
	return s
}

// badTimes goes through the steps of the plan.
func (s *scene) badTimes() {
	for _, step := range s.plan.steps {
		s.advance(step.at)
		s.do(step)
	}
	s.advance(s.plan.span)
}

// advance lets time pass until so long after the beginning, and looks every now
// and then.
func (s *scene) advance(to time.Duration) {
	for left := to - time.Since(s.began); left > 0; left = to - time.Since(s.began) {
		time.Sleep(min(left, time.Minute))
		s.sample()
	}
}

func (s *scene) do(step step) {
	on := step.n == 1
	switch step.what {
	case "kill", "kill before", "kill after", "kill in flight", "kill in walk":
		s.doom(step.what)
		s.reborn(step.n)
	case "stop":
		s.end()
		s.reborn(step.n)
	case "reload":
		s.reload()
	case "replay", "ignore", "forget":
		s.byHand(step)
	case "outage":
		s.set(func() { s.down = on })
	case "unauthorized":
		s.set(func() { s.unauthorized = on })
	case "pause":
		s.pause(on)
	case "api outage":
		faults := s.plan.world.Faults
		if on {
			faults = simulate.Faults{ServerError: 1, Order: faults.Order}
		}
		s.must(s.world.SetFaults(faults))
	}
}

func (s *scene) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// doom kills backstop: now, or at the next commit, or at the next POST or page.
func (s *scene) doom(how string) {
	l := s.current()
	if _, ok := l.engine.store.Baseline(); !ok {
		s.meet("first run was killed")
	}
	s.meet(how)
	switch how {
	case "kill before":
		l.arm("before", 0)
	case "kill after":
		l.arm("after", 0)
	case "kill in flight":
		s.set(func() { s.lethal = "post" })
	case "kill in walk":
		s.set(func() { s.lethal = "page" })
	default:
		s.kill()
		return
	}
	select {
	case <-l.done:
		s.mourn(l)
	case <-time.After(3 * time.Minute):
		s.kill() // nothing was to be committed, or sent, or read
	}
}

// reborn starts backstop again after some time.
func (s *scene) reborn(n int) {
	time.Sleep(time.Duration(n%200) * time.Second * time.Duration(n%3))
	s.live("", 0)
	s.inspect()
}

// reload serves the configuration anew, as a SIGHUP does.
func (s *scene) reload() {
	l := s.current()
	l.cancel()
	<-l.done
	s.must(l.err)
	s.must(l.engine.Reload(s.cfg))
	s.run(l)
	s.meet("reload")
}

func (s *scene) pause(on bool) {
	l := s.current()
	if !on {
		_, err := l.engine.Resume("", "scene")
		s.must(err)
		return
	}
	_, err := l.engine.Pause("to see what happens", "scene")
	s.must(err)
	s.meet("paused")
}

// byHand has a person do something to one event.
func (s *scene) byHand(step step) {
	l := s.current()
	synctest.Wait()
	ids := slices.Sorted(maps.Keys(s.statuses(l)))
	if len(ids) == 0 {
		return
	}
	id := ids[step.n%len(ids)]
	if status := s.statuses(l)[id]; step.what == "ignore" && status == state.Seen {
		return // nothing comes of it
	}
	s.set(func() { s.touched[id] = true; s.again[id]++ })
	switch step.what {
	case "replay":
		ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
		defer cancel()
		_, _ = l.engine.Replay(ctx, ReplayRequest{IDs: []string{id}, Who: "scene"}, func(ReplayRow) error { return nil }) // it may be held, or time out
		s.meet("replay by hand")
	case "ignore":
		_, err := l.engine.Ignore(IgnoreRequest{IDs: []string{id}, Who: "scene"})
		s.must(err)
		s.meet("ignored by hand")
	case "forget":
		s.forget(id)
	}
}

func (s *scene) forget(id string) {
	s.set(func() { delete(s.acked, id); delete(s.known, id) })
	_, err := s.current().engine.Forget([]string{id}, "", "scene")
	s.must(err)
	s.set(func() { delete(s.known, id) })
	s.meet("forgotten")
}

// goodTimes ends all faults and waits until nothing is left to do.
func (s *scene) goodTimes() {
	s.set(func() { s.calm = true })
	s.must(s.world.SetFaults(simulate.Faults{Order: s.plan.world.Faults.Order}))
	s.pause(false)
	// A receiver that never reported is unpaired, and nothing would be sent.
	_, err := s.world.Create(simulate.Recipe{Push: simulate.Prompt, Hidden: -1})
	s.must(err)
	s.untilQuiet()
	if s.plan.heal {
		s.sendDeadAgain()
	}
}

// untilQuiet is V1: everything is decided soon after the faults have ended.
func (s *scene) untilQuiet() {
	begun := time.Now()
	for !s.quiet() {
		if time.Since(begun) > 90*time.Minute {
			s.t.Fatalf("V1: not quiet after %v: %v, %d of %d listed known, receiver %+v", time.Since(begun),
				s.current().engine.store.Counts().Status, len(s.known), len(s.world.Listed()), s.current().engine.store.Receiver())
		}
		time.Sleep(30 * time.Second)
		s.sample()
	}
}

func (s *scene) quiet() bool {
	synctest.Wait()
	stats, counts := s.world.Stats(), s.current().engine.store.Counts().Status
	if !s.world.Done() || stats.Hidden > 0 || counts[state.Settling]+counts[state.Listed]+counts[state.Missed]+counts[state.Replaying] > 0 {
		return false
	}
	known := s.statuses(s.current())
	return !slices.ContainsFunc(s.world.Listed(), func(id string) bool { return known[id] == 0 && !s.beforeTime(id) })
}

// beforeTime reports whether the event is too old for backstop to have looked at.
func (s *scene) beforeTime(id string) bool {
	store := s.current().engine.store
	baseline, _ := store.Baseline()
	created := s.event(id).CreatedAt
	return created.Before(baseline) || created.Before(store.Floor())
}

// sendDeadAgain has a person send what is dead, now that the receiver takes it.
func (s *scene) sendDeadAgain() {
	l, dead := s.current(), 0
	for id, status := range s.statuses(l) {
		if status == state.Dead {
			dead++
			s.set(func() { s.again[id]++; s.touched[id] = true })
		}
	}
	if dead == 0 {
		return
	}
	s.set(func() { s.healed = true })
	result, err := l.engine.Replay(s.t.Context(), ReplayRequest{Dead: true, Who: "scene"}, func(ReplayRow) error { return nil })
	if err != nil || result.Seen != dead {
		s.wrong("V4: %d dead events were sent again: %+v, %v", dead, result, err)
	}
	s.meet("dead and sent again")
	s.untilQuiet()
}

// walkAgain is S16: a walk that meets nothing new changes nothing.
func (s *scene) walkAgain() {
	l := s.current()
	time.Sleep(2 * time.Minute)
	for range 2 { // the schedule may not have come to one; and one that was stopped early goes on to its own horizon
		_, err := l.engine.Sweep(s.t.Context())
		s.must(err)
	}
	s.untilQuiet()
	before, generation := s.statuses(l), s.generation(l)
	for _, walk := range []func(context.Context) (Pass, error){l.engine.Poll, l.engine.Poll, l.engine.Sweep} {
		pass, err := walk(s.t.Context())
		if err != nil || pass.New+pass.Missed+pass.Seen > 0 {
			s.wrong("S16: walking again gave %+v, %v", pass, err)
		}
		if now := s.generation(l); now != generation && pass.Kind == "poll" && pass.Pages <= 10 {
			s.wrong("S16: an idle %s of %d pages made %d commits", pass.Kind, pass.Pages, now-generation)
		}
		generation = s.generation(l)
	}
	if after := s.statuses(l); !maps.Equal(before, after) {
		s.wrong("S16: walking again changed %v to %v", before, after)
	}
}

func (s *scene) generation(l *life) uint64 {
	info, err := l.engine.store.Info()
	s.must(err)
	return info.Generation
}
