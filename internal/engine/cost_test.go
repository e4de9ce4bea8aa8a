package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
	"backstop/internal/simulate"
)

// storyQuery is the query of the stories: the whole listing.
func storyQuery() heygen.Query { return heygen.Query{} }

// calmPlan is a world in which nothing goes wrong and nothing new happens.
func calmPlan(events, pageSize int) plan {
	return plan{
		seed: 3, world: simulate.Options{Seed: 3, Events: events, Span: 24 * time.Hour, APIKey: sceneKey},
		pageSize: pageSize, concurrency: 4, settle: time.Minute, lookback: 10 * time.Minute, poll: "@every 1m", sweep: "@every 24h",
	}
}

// An idle poll is one request and no commit, for as long as nothing happens.
func TestIdlePollsCostOneRequestAndNoCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		atWork(t)
		s := newScene(t, calmPlan(2000, 100))
		l := s.live("", 0)
		time.Sleep(30 * time.Minute) // the lookback reaches over nothing but history
		synctest.Wait()
		generation, commits, requests := s.generation(l), l.made(), s.world.Stats().Requests
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if n := s.world.Stats().Requests - requests; n != 20 {
			t.Errorf("20 idle polls made %d requests, want 20", n)
		}
		if n := s.generation(l) - generation; n != 0 || l.made() != commits {
			t.Errorf("20 idle polls made %d commits, want none", n)
		}
		s.end()
		for _, text := range s.errors {
			t.Error(text)
		}
	})
}

// A walk makes one commit for ten pages, and one for its end.
func TestWalkCommitsOnceInTenPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		atWork(t)
		p := calmPlan(600, 10)
		p.beginning, p.settle = true, 48*time.Hour // all is walked and nothing judged
		s := newScene(t, p)
		l := s.live("", 0)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		s.sample()
		stats, info := s.world.Stats(), l.engine.lastPass().pass
		if info.Listed != 600 || info.Pages != 60 {
			t.Fatalf("the walk listed %d events on %d pages, want 600 on 60; %d requests", info.Listed, info.Pages, stats.Requests)
		}
		// Six groups of pages, the baseline, the end of the walk, and one to spare.
		if l.made() > 9 {
			t.Errorf("a walk of 60 pages made %d commits, want 9 at most", l.made())
		}
		s.end()
		for _, text := range s.errors {
			t.Error(text)
		}
	})
}
