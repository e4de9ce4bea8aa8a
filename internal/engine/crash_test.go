package engine

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/simulate"
	"backstop/state"
)

// fewestCommits is what the story must need at least, so that no change of it
// makes the test below empty.
const fewestCommits = 40

// TestEveryCommitFails tells one story of everything that is ever written, and
// then again for each of its commits, which fails twice: not made, and made but
// reported failed. Backstop must stop at once; the next process goes on, and in
// the end nothing is lost and nothing is sent twice but what was in flight.
func TestEveryCommitFails(t *testing.T) {
	n := 0
	t.Run("none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { n, _ = tellStory(t, "", 0) })
	})
	if t.Failed() {
		return
	}
	if n < fewestCommits {
		t.Fatalf("the story made %d commits, want %d at least", n, fewestCommits)
	}
	type failure struct {
		point string
		at    int
	}
	failures := make(chan failure)
	var mu sync.Mutex
	missed := 0 // commits that were not reached: what happens at one time may share fewer commits than before
	var workers sync.WaitGroup
	for range 6 {
		workers.Go(func() {
			for f := range failures {
				t.Run(fmt.Sprintf("%s %d", f.point, f.at), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						if _, met := tellStory(t, f.point, f.at); !met {
							mu.Lock()
							defer mu.Unlock()
							missed++
						}
					})
				})
			}
		})
	}
	half := testing.Short() || slow // then each commit fails in one way only, in turns
	for at := 1; at <= n; at++ {
		if !half || at%2 == 0 {
			failures <- failure{"before", at}
		}
		if !half || at%2 == 1 {
			failures <- failure{"after", at}
		}
	}
	close(failures)
	workers.Wait()
	t.Logf("%d commits failed, %d failures were not reached", n, missed)
	if missed > n/10 {
		t.Errorf("%d failures of %d commits were not reached", missed, n)
	}
}

// storyPlan is a small world: a history that is judged, one fact that the
// receiver refuses, some answers that ask for another try.
func storyPlan() plan {
	return plan{
		seed: 11, world: simulate.Options{
			Seed: 11, Events: 9, Span: 40 * time.Minute, Rate: 1, Stop: 1, PushURL: "https://receiver.test/hook", Secret: sceneSecret, APIKey: sceneKey,
		},
		errors: 0.2, poison: 1, pageSize: 1, concurrency: 2, settle: time.Minute, lookback: 10 * time.Minute,
		poll: "@every 6h", sweep: "@every 24h", beginning: true, retention: 24 * time.Hour,
	}
}

// story is a scene in which one commit fails.
type story struct {
	*scene
	hidden, pushed []string // events that were made, without and with a push
	commits        int      // of the first life
	failed         bool
}

// tellStory returns how many commits the first life made, and whether the one
// that was to fail was reached.
func tellStory(t *testing.T, point string, at int) (commits int, failed bool) {
	atWork(t)
	s := &story{scene: newScene(t, storyPlan())}
	s.start(point, at)
	for _, chapter := range []struct {
		name string
		tell func(l *life) error
	}{
		{"walk", s.walk}, {"reports", s.reports}, {"replay", s.replays}, {"pause", s.paused}, {"ignore", s.ignored}, {"resume", s.resumed},
		{"requeue", s.requeued}, {"forget", s.forgot}, {"forgotten event", s.relisted},
	} {
		s.chapter(chapter.name, chapter.tell)
	}
	s.validate()
	if known := s.statuses(s.current()); known[s.hidden[0]] != state.Ignored || s.met["dead and sent again"] == 0 {
		t.Errorf("the story did not come to its end: %v, %v", s.met, known)
	}
	s.chapter("prune", s.pruned)
	s.last()
	s.start("", 0)
	s.chapter("last", s.replayed)
	s.validate()
	return s.commits, s.failed
}

// start begins a life; the commit that fails may be one of its first.
func (s *story) start(point string, at int) {
	if l := s.live(point, at); l.engine == nil {
		s.failed = true
		s.mourn(l)
		s.live("", 0)
	}
	s.inspect()
}

// chapter tells one part of the story, and once more in a new life when backstop
// died in it.
func (s *story) chapter(name string, tell func(l *life) error) {
	for {
		l := s.current()
		err := tell(l)
		synctest.Wait()
		if l.isDead() {
			s.failed = true
			s.mourn(l)
			s.start("", 0)
			continue
		}
		if err != nil {
			s.t.Fatalf("%s: %v", name, err)
		}
		s.sample()
		if l.number == 1 {
			s.commits = l.made()
		}
		return
	}
}

// until waits for something, in vain when backstop dies.
func (s *story) until(l *life, done func() bool) error {
	for range 600 {
		synctest.Wait()
		switch {
		case l.isDead():
			return errGone
		case done():
			return nil
		}
		time.Sleep(time.Second)
	}
	return fmt.Errorf("it did not happen: %v", l.engine.store.Counts().Status)
}

func (s *story) settled(l *life) bool {
	n := l.engine.store.Counts().Status
	return n[state.Settling]+n[state.Listed]+n[state.Missed]+n[state.Replaying] == 0
}

// walk waits for the walk with which Run begins, and makes another.
func (s *story) walk(l *life) error {
	err := s.until(l, func() bool {
		position, err := l.engine.store.Position(storyQuery(), state.Poll)
		return err == nil && !position.Completed.IsZero()
	})
	if err != nil {
		return err
	}
	_, err = l.engine.Poll(s.t.Context())
	return err
}

// reports has three events pushed, which the receiver reports.
func (s *story) reports(l *life) error {
	for len(s.pushed) < 3 {
		e, err := s.world.Create(simulate.Recipe{Push: simulate.Prompt})
		s.must(err)
		s.pushed = append(s.pushed, e.ID)
	}
	time.Sleep(10 * time.Second)
	return nil
}

// replays judges what has settled, and waits until all of it is decided: sent,
// sent again, or dead.
func (s *story) replays(l *life) error {
	if err := s.replayed(l); err != nil {
		return err
	}
	if n := l.engine.store.Counts().Status[state.Dead]; n == 0 {
		return errors.New("nothing is dead")
	}
	return nil
}

func (s *story) replayed(l *life) error {
	time.Sleep(2 * time.Minute)
	if _, err := l.engine.Poll(s.t.Context()); err != nil {
		return err
	}
	return s.until(l, func() bool { return s.settled(l) })
}

// paused has an event wait, so that a person can give it up.
func (s *story) paused(l *life) error {
	if _, err := l.engine.Pause("to see", "ann"); err != nil {
		return err
	}
	if len(s.hidden) == 0 {
		e, err := s.world.Create(simulate.Recipe{Push: simulate.NoPush})
		s.must(err)
		s.hidden = append(s.hidden, e.ID)
		s.set(func() { s.touched[e.ID] = true })
	}
	time.Sleep(2 * time.Minute)
	for range 2 {
		if _, err := l.engine.Poll(s.t.Context()); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) ignored(l *life) error {
	_, err := l.engine.Ignore(IgnoreRequest{IDs: s.hidden, Why: "not wanted", Who: "ann"})
	return err
}

func (s *story) resumed(l *life) error {
	_, err := l.engine.Resume("", "ann")
	return err
}

// requeued sends what is dead again, now that the receiver takes it.
func (s *story) requeued(l *life) error {
	s.set(func() { s.healed = true })
	for id, status := range s.statuses(l) {
		if status == state.Dead {
			s.set(func() { s.touched[id] = true; s.again[id]++ })
		}
	}
	_, err := l.engine.Replay(s.t.Context(), ReplayRequest{Dead: true, Who: "ann"}, func(ReplayRow) error { return nil })
	if err != nil {
		return err
	}
	if err := s.until(l, func() bool { return s.settled(l) }); err != nil {
		return err
	}
	if n := l.engine.store.Counts().Status[state.Dead]; n > 0 {
		return fmt.Errorf("%d are still dead", n)
	}
	s.meet("dead and sent again")
	return nil
}

// forgot takes a report back.
func (s *story) forgot(l *life) error {
	id := s.pushed[0]
	s.set(func() { delete(s.acked, id); delete(s.known, id); s.touched[id] = true; s.again[id]++ })
	_, err := l.engine.Forget([]string{id}, "", "ann")
	return err
}

// relisted lists the forgotten event again, and sends it.
func (s *story) relisted(l *life) error {
	for range 2 {
		if _, err := l.engine.Sweep(s.t.Context()); err != nil {
			return err
		}
	}
	return s.until(l, func() bool {
		return s.settled(l) && s.statuses(l)[s.pushed[0]] == state.Seen
	})
}

// pruned lets days go by, until the first of them is dropped. It takes a new
// event: the mark does not pass the newest one.
func (s *story) pruned(l *life) error {
	if len(s.pushed) < 4 {
		l.cancel()
		<-l.done // a Run that only looks at its clocks for days takes long to simulate
		time.Sleep(60 * time.Hour)
		e, err := s.world.Create(simulate.Recipe{Push: simulate.Prompt})
		s.must(err)
		s.pushed = append(s.pushed, e.ID)
		s.run(l)
	}
	return s.until(l, func() bool {
		_, err := l.engine.Poll(s.t.Context())
		return err == nil && !l.engine.store.Floor().IsZero()
	})
}

// last ends the story; its commit may be the one that fails.
func (s *story) last() {
	l := s.current()
	s.end()
	if l.number == 1 {
		s.commits = l.made()
	}
	if l.isDead() {
		s.failed = true
		s.set(func() { s.deaths = append(s.deaths, death{l.died, l.number}) })
	}
}
