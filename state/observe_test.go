package state

import (
	"errors"
	"slices"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// fold adds changes up to how many events stand where.
func fold(told map[Status]int64) func([]Change) {
	return func(changes []Change) {
		for _, c := range changes {
			told[c.From]--
			told[c.To]++
		}
	}
}

// mustBeTold compares what the changes add up to with the counts of the state.
func mustBeTold(t interface {
	Helper()
	Errorf(string, ...any)
}, s *Store, told map[Status]int64) {
	t.Helper()
	want := s.Counts().Status
	err := s.view(func(t *tx) error {
		t.stageRows(stageTwin, place{}, func(place, entry) bool {
			want[Seen]--
			want[Settling]++
			return true
		})
		return nil
	})
	if err != nil {
		t.Errorf("count the twins that wait: %v", err)
	}
	for status := Settling; status <= Ignored; status++ {
		if told[status] != want[status] {
			t.Errorf("the changes add up to %d %s, want %d", told[status], status, want[status])
		}
	}
}

// observed opens a state that keeps the changes it tells.
func observed(t *testing.T) (*Store, *[]Change) {
	t.Helper()
	told := new([]Change)
	o := optionsIn(t)
	o.CollapseWindow = window
	o.Observe = func(changes []Change) { *told = append(*told, changes...) }
	s := mustOpen(t, o)
	s.db.NoSync = true
	return s, told
}

func TestChangesOfAStory(t *testing.T) {
	a, b := event("evt_a", "vid_1", "x", time.Hour), event("evt_b", "vid_1", "x", time.Hour-4*time.Minute)
	kind := a.Type
	tests := []struct {
		name  string
		story func(t *testing.T, s *Store)
		want  []Change // without Type, all of one
	}{
		{"missed, replayed", func(t *testing.T, s *Store) {
			listed(t, s, a)
			listed(t, s, a) // known: no change
			judged(t, s, noon())
			settled(t, s, mustClaim(t, s, noon()), Seen, noon())
			_, err := s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Tap}}) // a better proof, and no change
			mustDo(t, err)
		}, []Change{
			{To: Settling}, {From: Settling, To: Missed}, {From: Missed, To: Replaying, Missed: true},
			{From: Replaying, To: Seen, Proof: Replay, At: noon(), Missed: true, Tried: true},
		}},
		{"reported before it is listed", func(t *testing.T, s *Store) {
			_, err := s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Report, At: noon().Add(-time.Minute)}})
			mustDo(t, err)
			listed(t, s, a)
		}, []Change{{To: Seen, Proof: Report, At: noon().Add(-time.Minute)}}},
		{"released before it was sent", func(t *testing.T, s *Store) {
			listed(t, s, a)
			judged(t, s, noon())
			mustDo(t, s.Release(mustClaim(t, s, noon()).Event.ID, noon()))
		}, []Change{{To: Settling}, {From: Settling, To: Missed}, {From: Missed, To: Replaying, Missed: true}, {From: Replaying, To: Missed, Missed: true, Tried: true}}},
		{"dead, and sent again by a person", func(t *testing.T, s *Store) {
			listed(t, s, a)
			judged(t, s, noon())
			settled(t, s, mustClaim(t, s, noon()), Dead, noon())
			_, err := queueByHand(s, noon(), []string{"evt_a"}, "ann")
			mustDo(t, err)
		}, []Change{
			{To: Settling}, {From: Settling, To: Missed}, {From: Missed, To: Replaying, Missed: true},
			{From: Replaying, To: Dead, Missed: true, Tried: true}, {From: Dead, To: Missed, Missed: true, Tried: true},
		}},
		{"dead, sent again, and taken back", func(t *testing.T, s *Store) {
			listed(t, s, a)
			judged(t, s, noon())
			settled(t, s, mustClaim(t, s, noon()), Dead, noon())
			r, err := s.BeginRun(noon(), Run{Kind: RunReplay, Who: "ann", What: "a test"}, []string{"evt_a"})
			mustDo(t, err)
			_, _, err = s.QueueRun(noon(), r.ID)
			mustDo(t, err)
			settled(t, s, mustClaim(t, s, noon()), Replaying, noon())
			_, err = s.CancelRun(noon(), r.ID, "ann")
			mustDo(t, err)
		}, []Change{
			{To: Settling}, {From: Settling, To: Missed}, {From: Missed, To: Replaying, Missed: true},
			{From: Replaying, To: Dead, Missed: true, Tried: true}, {From: Dead, To: Missed, Missed: true, Tried: true},
			{From: Missed, To: Replaying, Missed: true, Tried: true},
			{From: Replaying, To: Dead, Missed: true, Tried: true, TakenBack: true},
		}},
		{"a twin that waits, sent by force", func(t *testing.T, s *Store) {
			listed(t, s, a)
			judged(t, s, noon())
			listed(t, s, b)
			_, err := s.Decide(noon(), []Verdict{{ID: "evt_b", Status: Seen, Twin: "evt_a"}})
			mustDo(t, err)
			_, q := mustFind(t, s, RunForced, b)
			resendOne(t, q, "evt_b", Seen)
		}, []Change{
			{To: Settling}, {From: Settling, To: Missed}, {To: Settling},
			{From: Settling, To: Seen, Proof: Replay, At: noon(), Tried: true},
			{From: Missed, To: Seen, Proof: Replay, At: noon(), Missed: true, Twin: true},
			{From: Seen, To: Seen, Landed: Seen},
		}},
		{"ignored, and seen after all", func(t *testing.T, s *Store) {
			listed(t, s, a)
			_, err := s.Ignore(noon(), []string{"evt_a"}, "", "ann")
			mustDo(t, err)
			_, err = s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Report}})
			mustDo(t, err)
		}, []Change{{To: Settling}, {From: Settling, To: Ignored, At: noon()}, {From: Ignored, To: Seen, Proof: Report, At: noon()}}},
		{"a twin turns seen with its kept event, not before", func(t *testing.T, s *Store) {
			listed(t, s, a, b)
			judged(t, s, noon())
			wantStatus(t, s, map[string]Status{"evt_b": Seen})
			settled(t, s, mustClaim(t, s, noon()), Seen, noon())
		}, []Change{
			{To: Settling}, {To: Settling}, {From: Settling, To: Missed}, {From: Missed, To: Replaying, Missed: true},
			{From: Replaying, To: Seen, Proof: Replay, At: noon(), Missed: true, Tried: true},
			{From: Settling, To: Seen, Proof: Replay, At: noon(), Twin: true},
		}},
		{"reported during an attempt that is taken", func(t *testing.T, s *Store) {
			listed(t, s, a)
			judged(t, s, noon())
			c := mustClaim(t, s, noon())
			_, err := s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Report}})
			mustDo(t, err)
			settled(t, s, c, Seen, noon()) // a better proof, and no change
		}, []Change{
			{To: Settling}, {From: Settling, To: Missed}, {From: Missed, To: Replaying, Missed: true},
			{From: Replaying, To: Seen, Proof: Report, At: noon(), Missed: true, Tried: true, Flying: true}, {From: Seen, To: Seen, Landed: Seen},
		}},
		{"reported between two attempts", func(t *testing.T, s *Store) {
			listed(t, s, a)
			judged(t, s, noon())
			settled(t, s, mustClaim(t, s, noon()), Replaying, noon())
			_, err := s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Report}})
			mustDo(t, err)
		}, []Change{
			{To: Settling}, {From: Settling, To: Missed}, {From: Missed, To: Replaying, Missed: true},
			{From: Replaying, To: Seen, Proof: Report, At: noon(), Missed: true, Tried: true},
		}},
		{"reported during an attempt that is taken back", func(t *testing.T, s *Store) {
			listed(t, s, a)
			judged(t, s, noon())
			mustClaim(t, s, noon())
			_, err := s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Report}})
			mustDo(t, err)
			mustDo(t, s.Release("evt_a", noon()))
			mustDo(t, s.Release("evt_a", noon())) // of no attempt: no change
		}, []Change{
			{To: Settling}, {From: Settling, To: Missed}, {From: Missed, To: Replaying, Missed: true},
			{From: Replaying, To: Seen, Proof: Report, At: noon(), Missed: true, Tried: true, Flying: true}, {From: Seen, To: Seen, Landed: Missed},
		}},
		{"found to be a twin during an attempt that fails", func(t *testing.T, s *Store) {
			listed(t, s, b)
			judged(t, s, noon())
			c := mustClaim(t, s, noon())
			listed(t, s, a)
			mustDo(t, errorOf(s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Tap}})))
			settled(t, s, c, Replaying, noon())
		}, []Change{
			{To: Settling}, {From: Settling, To: Missed}, {From: Missed, To: Replaying, Missed: true}, {To: Settling},
			{From: Settling, To: Seen, Proof: Tap, At: noon()},
			{From: Replaying, To: Seen, Proof: Tap, At: noon(), Missed: true, Tried: true, Twin: true, Flying: true}, {From: Seen, To: Seen, Landed: Replaying},
		}},
		{"ignored during an attempt that is taken", func(t *testing.T, s *Store) {
			listed(t, s, a)
			judged(t, s, noon())
			c := mustClaim(t, s, noon())
			_, err := s.Ignore(noon(), []string{"evt_a"}, "", "ann")
			mustDo(t, err)
			settled(t, s, c, Seen, noon())
		}, []Change{
			{To: Settling}, {From: Settling, To: Missed}, {From: Missed, To: Replaying, Missed: true},
			{From: Replaying, To: Ignored, At: noon(), Missed: true, Tried: true, Flying: true},
			{From: Ignored, To: Ignored, Landed: Seen}, {From: Ignored, To: Seen, Proof: Replay, At: noon()},
		}},
		{"forgotten, and listed again", func(t *testing.T, s *Store) {
			_, err := s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Import}})
			mustDo(t, err)
			listed(t, s, a)
			_, err = s.Forget(noon(), []string{"evt_a"}, "", "ann")
			mustDo(t, err)
			listed(t, s, a)
		}, []Change{{To: Seen, Proof: Import, At: noon()}, {From: Seen}, {To: Settling}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, told := observed(t)
			test.story(t, s)
			for i, c := range *told {
				if c.Type != kind || c.Created.IsZero() {
					t.Errorf("change %d is of %q, created %v", i, c.Type, c.Created)
				}
				(*told)[i].Type, (*told)[i].Created = "", time.Time{}
				(*told)[i].At = c.At.UTC()
			}
			if !slices.Equal(*told, test.want) {
				t.Errorf("told\n%+v, want\n%+v", *told, test.want)
			}
		})
	}
}

// A function that runs twice, because another one of its commit failed, tells its changes once.
func TestChangesAreToldOnce(t *testing.T) {
	s, told := observed(t)
	page := Pages{Events: []heygen.Event{event("evt_a", "vid_1", "x", time.Hour)}, Now: noon()}
	runs := 0
	listing := &call{grow: true, fn: func(t *tx) error {
		runs++
		_, err := t.commitPages(page)
		return err
	}}
	broken := &call{grow: true, fn: func(*tx) error { return errors.New("broken") }}
	s.commitBatch([]*call{listing, broken})
	if runs != 2 || listing.err != nil || broken.err == nil {
		t.Fatalf("%d runs, %v, %v", runs, listing.err, broken.err)
	}
	if len(*told) != 1 {
		t.Errorf("told %d changes of one event: %+v", len(*told), *told)
	}
}

// What was not made is not told, nor what may not have been made.
func TestChangesOfAFailedCommitAreNotTold(t *testing.T) {
	for _, point := range []string{"before", "after"} {
		t.Run(point, func(t *testing.T) {
			o, told, armed := optionsIn(t), 0, false
			o.Observe = func(changes []Change) { told += len(changes) }
			o.Fault = func(at string) error {
				if armed && at == point {
					return errors.New("the disk is gone")
				}
				return nil
			}
			s, err := Open(o)
			mustDo(t, err)
			defer s.Close() // latched: it says why
			armed = true
			if _, err := s.CommitPages(Pages{Events: []heygen.Event{event("evt_a", "", "x", time.Hour)}, Now: noon()}); err == nil {
				t.Fatal("the commit went well")
			}
			if told != 0 {
				t.Errorf("told %d changes", told)
			}
		})
	}
}

// A backfill's events are new when they are queued; those older than the baseline were met before.
func TestChangesOfABackfill(t *testing.T) {
	told := make(map[Status]int64)
	o := optionsIn(t)
	o.Observe = fold(told)
	s := mustOpen(t, o)
	s.db.NoSync = true
	older, unlisted, known := event("evt_a", "", "x", 50*time.Hour), event("evt_b", "", "x", 51*time.Hour), event("evt_c", "", "x", 52*time.Hour)
	baselined(t, s, older, known)
	if told[Seen] != 2 {
		t.Fatalf("told %v, want two seen by baseline", told)
	}
	mustDo(t, beginAll(s, History{Words: "all"}), planPages(s, older, unlisted, known))
	mustDo(t, queuePlanned(s, Verdict{Status: Missed, Why: "no proof"}, older, unlisted))
	_, err := s.Record(noon(), []Sighting{{ID: "evt_c", Proof: Report}}) // a better proof, and no change
	mustDo(t, err)
	if told[Missed] != 2 || told[Seen] != 1 || told[0] != -3 {
		t.Errorf("told %v, want three known, two of them missed", told)
	}
	mustBeTold(t, s, told)
	marked := event("evt_d", "", "x", 53*time.Hour)
	mustDo(t, beginAll(s, History{Words: "more", MarkOnly: true}))
	_, err = s.PlanPages(HistoryPages{Backfill: 2, Events: []heygen.Event{marked}, Now: noon()})
	mustDo(t, err)
	_, _, err = s.QueuePlanned(noon(), 2, []Row{{Event: marked}}, []Verdict{{ID: "evt_d", Status: Seen, Proof: Import}})
	mustDo(t, err)
	mustBeTold(t, s, told)
}

func TestGap(t *testing.T) {
	s := lively(t)
	q := []heygen.Query{{}}
	ago := func(d time.Duration) time.Time { return noon().Add(-d) }
	_, err := s.SetBaseline(ago(10 * time.Hour))
	mustDo(t, err)
	if gap := s.Gap(q); gap != 0 {
		t.Errorf("before the first walk the gap is %v", gap)
	}
	for _, step := range []struct {
		from, to time.Duration
		query    heygen.Query
		want     time.Duration
	}{
		{from: 10 * time.Hour, to: 9 * time.Hour},
		{from: 7 * time.Hour, to: 6 * time.Hour, want: 2 * time.Hour},
		{from: 5 * time.Hour, to: 4 * time.Hour, want: 3 * time.Hour},
		{from: 20 * time.Hour, to: 4 * time.Hour},
	} {
		mustDo(t, s.FinishWalk(walk(step.from, step.to)))
		if gap := s.Gap(q); gap != step.want {
			t.Errorf("after a walk from %v to %v ago the gap is %v, want %v", step.from, step.to, gap, step.want)
		}
	}
	other := walk(8*time.Hour, 7*time.Hour)
	other.Query = heygen.Query{Type: "avatar_video.fail"}
	mustDo(t, s.FinishWalk(other))
	if gap := s.Gap(append(q, other.Query)); gap != 2*time.Hour {
		t.Errorf("with a second query the gap is %v, want 2h: from the baseline to its first walk", gap)
	}
}
