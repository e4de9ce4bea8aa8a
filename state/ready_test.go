package state

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"backstop/internal/heygen"
)

// prepared commits a page of which the state was asked before; meanwhile runs in between.
func prepared(t *testing.T, s *Store, meanwhile func(), events ...heygen.Event) Tally {
	t.Helper()
	ready := s.Prepare(events)
	meanwhile()
	tally, err := s.CommitPages(Pages{Events: events, Ready: []Ready{ready}, Now: noon()})
	if err != nil {
		t.Fatalf("commit pages: %v", err)
	}
	return tally
}

// What was told of a page is not believed once anything was committed.
func TestPreparedPagesGiveWayToWhatCameBetween(t *testing.T) {
	for name, proof := range map[string]Proof{"reported": Report, "imported": Import} {
		t.Run(name, func(t *testing.T) {
			s := lively(t)
			tally := prepared(t, s, func() {
				_, err := s.Record(noon(), []Sighting{{ID: "a", Proof: proof}})
				mustDo(t, err)
			}, event("a", "v", "x", time.Hour), event("b", "w", "x", time.Hour))
			a, _ := statusOf(t, s, "a")
			b, _ := statusOf(t, s, "b")
			if tally.Seen != 1 || tally.Settling != 1 || a != Seen || b != Settling {
				t.Errorf("tally %+v, a is %s, b is %s", tally, a, b)
			}
			mustBeClean(t, s)
		})
	}
	t.Run("listed", func(t *testing.T) {
		s := lively(t)
		e := event("a", "v", "x", time.Hour)
		if tally := prepared(t, s, func() { listed(t, s, e) }, e); tally.New != 0 || tally.Known != 1 {
			t.Errorf("an event that was listed meanwhile is new again: %+v", tally)
		}
		mustBeClean(t, s)
	})
}

// A row that two pages of a group list is one event.
func TestAPreparedEventIsNewOnce(t *testing.T) {
	s := lively(t)
	e := event("a", "v", "x", time.Hour)
	if tally := prepared(t, s, func() {}, e, event("b", "w", "x", time.Hour), e); tally.New != 2 || tally.Known != 1 {
		t.Errorf("tally %+v, want two new and one known", tally)
	}
	mustBeClean(t, s)
}

// The last page of a walk is not prepared; what it repeats of the page before is no new event.
func TestAnEventOfAPreparedAndAnotherPageIsNewOnce(t *testing.T) {
	s := lively(t)
	_, err := s.Record(noon(), []Sighting{{ID: "a", Proof: Import}})
	mustDo(t, err)
	first, last := []heygen.Event{event("a", "v", "x", time.Hour)}, []heygen.Event{event("a", "v", "x", time.Hour), event("b", "w", "x", 2*time.Hour)}
	tally, err := s.CommitPages(Pages{Events: append(first, last...), Ready: []Ready{s.Prepare(first)}, Now: noon()})
	mustDo(t, err)
	if tally.New != 2 || tally.Known != 1 || s.Counts().Status[Seen] != 1 {
		t.Errorf("tally %+v and %+v, want two new, one known, and one seen", tally, s.Counts())
	}
	mustBeClean(t, s)
}

// Prepared or not, the same pages end in the same state.
func TestPreparedPagesEndAsOthers(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	plain, ready := lively(t), lively(t)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 40 {
		var events []heygen.Event
		for range 30 {
			n := random.IntN(300)
			events = append(events, event(fmt.Sprintf("e%d", n), fmt.Sprintf("v%d", n%40), fmt.Sprint(n%7), time.Duration(n)*time.Minute))
		}
		seen := []Sighting{{ID: fmt.Sprintf("e%d", random.IntN(300)), Proof: []Proof{Report, Import}[random.IntN(2)], At: noon()}}
		for _, s := range []*Store{plain, ready} {
			_, err := s.Record(noon(), seen)
			mustDo(t, err)
		}
		got, want := prepared(t, ready, func() {}, events...), listed(t, plain, events...)
		if got.Listed != want.Listed || got.New != want.New || got.Known != want.Known {
			t.Fatalf("tally %+v, unprepared %+v", got, want)
		}
	}
	if diff := cmp.Diff(statuses(t, plain), statuses(t, ready)); diff != "" {
		t.Errorf("prepared pages end differently (- unprepared):\n%s", diff)
	}
	mustBeClean(t, ready)
}

// statuses tells where every event stands.
func statuses(t *testing.T, s *Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	mustDo(t, s.Events(t.Context(), Filter{}, func(r Row) error {
		all[r.Event.ID] = fmt.Sprintf("%s %s %s", r.Status, r.Proof, r.Entity)
		return nil
	}))
	return all
}
