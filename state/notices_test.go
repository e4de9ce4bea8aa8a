package state

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What happens to events is counted in the transaction in which it happens, once somebody is told.
func TestNoticesCountWhatHappens(t *testing.T) {
	o := optionsIn(t)
	s := pairedStore(t, o)
	replayOne(t, s, "evt_before", Seen)
	if s.Notices() != nil {
		t.Fatal("nobody is told, and it was counted")
	}
	mustDo(t, s.ChangeNotices(func(*Notices) {}))
	replayOne(t, s, "evt_a", Seen)
	replayOne(t, s, "evt_b", Seen)
	replayOne(t, s, "evt_c", Dead)
	mustClose(t, s)
	s = mustOpen(t, o)
	got := s.Notices()
	if got == nil || got.Replayed.Count != 2 || got.Dead.Count != 1 || got.Replayed.Types["avatar_video.success"] != 2 || got.Replayed.Oldest.IsZero() {
		t.Fatalf("counted %+v, want two replayed and one dead", got)
	}
	mustBeClean(t, s)
	commits := s.commitNumber.Load()
	mustDo(t, s.ChangeNotices(func(n *Notices) { n.Alarms = nil }))
	if s.commitNumber.Load() != commits {
		t.Error("what did not change was written")
	}
	mustDo(t, s.DropNotices(), s.DropNotices())
	if s.Notices() != nil || s.commitNumber.Load() != commits+1 {
		t.Errorf("dropped, it is %+v after %d commits", s.Notices(), s.commitNumber.Load()-commits)
	}
	mustClose(t, s)
	if mustOpen(t, o).Notices() != nil {
		t.Error("dropped, it came back")
	}
}

// A commit of the count that was made and reported failed, or was not made: after a restart it agrees with the events.
func TestNoticesAgreeWithTheEventsAfterAFailedCommit(t *testing.T) {
	for _, point := range []string{"before", "after"} {
		t.Run(point, func(t *testing.T) {
			o := optionsIn(t)
			fail := false
			o.Fault = func(at string) error {
				if fail && at == point {
					return errors.New("no")
				}
				return nil
			}
			s := pairedStore(t, o)
			mustDo(t, s.ChangeNotices(func(*Notices) {}))
			claimOne(t, s, "evt_a")
			fail = true
			if _, err := s.Settle(Outcome{ID: "evt_a", Now: noon(), Status: Seen, Attempt: Attempt{At: noon(), Status: 200}}); err == nil {
				t.Fatal("a failed commit is no error")
			}
			fail = false
			_ = s.Close() // it is latched, and says so
			s = mustOpen(t, o)
			if seen, counted := int(s.Counts().Status[Seen]), s.Notices().Replayed.Count; seen != counted {
				t.Errorf("%d seen, %d counted", seen, counted)
			}
		})
	}
}

// What a person has sent although it had arrived is no news; what a forced run finds unfinished had not, also where the
// receiver reports it before it answers.
func TestForcedReplaysAreNotCounted(t *testing.T) {
	s := pairedStore(t, optionsIn(t))
	_, err := s.SetBaseline(noon().Add(-24 * time.Hour))
	mustDo(t, err, s.ChangeNotices(func(*Notices) {}))
	seen := event("evt_seen", "vid_s", "x", time.Hour)
	_, err = s.Record(noon(), []Sighting{{ID: "evt_seen", Proof: Report}})
	mustDo(t, err)
	listed(t, s, seen)
	_, q := mustFind(t, s, RunForced, seen)
	resendOne(t, q, "evt_seen", Seen)
	if got := s.Notices().Replayed.Count; got != 0 {
		t.Errorf("%d are counted", got)
	}
	for i, reported := range []bool{false, true} {
		e := event(fmt.Sprintf("evt_%v", reported), fmt.Sprintf("vid_%v", reported), "x", time.Hour)
		listed(t, s, e)
		judged(t, s, noon())
		_, q := mustFind(t, s, RunForced, e)
		if c, _, err := q.Claim(ClaimRules{Now: noon()}); c != nil || err != nil {
			t.Fatalf("the run sends %v itself (%v)", c, err)
		}
		c := mustClaim(t, s, noon())
		if reported {
			_, err := s.Record(noon(), []Sighting{{ID: e.ID, Proof: Report}})
			mustDo(t, err)
		}
		settled(t, s, c, Seen, noon())
		if got := s.Notices().Replayed.Count; got != i+1 {
			t.Errorf("%d are counted, want %d", got, i+1)
		}
	}
}

func TestNewsWithoutWhatWasTold(t *testing.T) {
	var all News
	for i := range 30 {
		all.add(fmt.Sprintf("type %d", i), noon().Add(-time.Duration(i)*time.Minute), noon())
	}
	if len(all.Types) != mostTallied+1 || all.Types[otherTypes] != 10 {
		t.Errorf("thirty types are kept as %v", all.Types)
	}
	told := Notices{Replayed: all}.clone().Replayed
	if left := all.Without(told); left.Count != 0 || !left.Last.Equal(noon()) || left.Types != nil {
		t.Errorf("all was told, left is %+v", left)
	}
	all.add("type 3", noon(), noon().Add(time.Hour))
	want := News{Count: 1, First: noon(), Last: noon().Add(time.Hour), Oldest: all.Oldest, Types: map[string]int{"type 3": 1}}
	if diff := cmp.Diff(want, all.Without(told)); diff != "" {
		t.Error(diff)
	}
}

// claimOne takes an event in, finds it missed, and claims it.
func claimOne(t *testing.T, s *Store, id string) *Claim {
	t.Helper()
	listed(t, s, event(id, "vid-"+id, id, time.Hour))
	judged(t, s, noon())
	return mustClaim(t, s, noon())
}

func replayOne(t *testing.T, s *Store, id string, end Status) {
	t.Helper()
	settled(t, s, claimOne(t, s, id), end, noon())
}

func pairedStore(t *testing.T, o Options) *Store {
	t.Helper()
	s := mustOpen(t, o)
	mustDo(t, s.SetPaired(Report))
	return s
}
