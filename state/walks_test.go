package state

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"backstop/internal/heygen"
)

func mustPosition(t *testing.T, s *Store, q heygen.Query, k Kind) Position {
	t.Helper()
	p, err := s.Position(q, k)
	mustDo(t, err)
	return p
}

func TestAnIdlePassCommitsNothing(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	mustDo(t, s.FinishWalk(walk(48*time.Hour, time.Hour))) // the first mark is durable
	before := s.generation.Load()
	for i := range 60 {
		now := time.Hour - time.Duration(i)*time.Minute
		mustDo(t, s.FinishWalk(walk(now+2*time.Hour, now)), s.NotePass(Pass{Kind: "poll", Start: noon().Add(-now), Requests: 1}))
	}
	if got := s.generation.Load(); got != before {
		t.Errorf("60 idle passes made %d commits, want 0", got-before)
	}
	want := noon().Add(-time.Minute)
	if got := mustPosition(t, s, heygen.Query{}, Poll); !got.Mark.Equal(want) || !got.Completed.Equal(want) {
		t.Errorf("the position is %+v, want mark and completed %v", got, want)
	}
	passes, err := s.Passes(100)
	mustDo(t, err)
	if len(passes) != 60 || !passes[0].Start.Equal(want) {
		t.Errorf("%d passes, the newest from %v; want 60, from %v", len(passes), passes[0].Start, want)
	}

	// All of it rides the next commit.
	mustDo(t, s.SetPaired())
	if got := s.generation.Load(); got != before+1 {
		t.Errorf("the commit they ride is number %d after them, want 1", got-before)
	}
	if s.notes.waiting() {
		t.Error("something still waits after a commit")
	}
	crashed := reopened(t, s, o)
	if got := mustPosition(t, crashed, heygen.Query{}, Poll); !got.Mark.Equal(want) {
		t.Errorf("after a crash the mark is %v, want %v", got.Mark, want)
	}
	if passes, err := crashed.Passes(100); err != nil || len(passes) != 60 {
		t.Errorf("after a crash there are %d passes (%v), want 60", len(passes), err)
	}
}

// reopened drops the store as a kill would: nothing that waits in memory is written.
func reopened(t *testing.T, s *Store, o Options) *Store {
	t.Helper()
	mustDo(t, s.db.Close())
	return mustOpen(t, o)
}

func TestACrashLeavesTheOlderMark(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	mustDo(t, s.FinishWalk(walk(48*time.Hour, time.Hour)), s.FinishWalk(walk(time.Hour, 0)))
	s = reopened(t, s, o)
	if got := mustPosition(t, s, heygen.Query{}, Poll).Mark; !got.Equal(noon().Add(-time.Hour)) {
		t.Errorf("the mark is %v, want the durable one", got)
	}
	mustDo(t, s.FinishWalk(walk(time.Hour, 0)))
	mustClose(t, s)
	s = mustOpen(t, o)
	if got := mustPosition(t, s, heygen.Query{}, Poll).Mark; !got.Equal(noon()) {
		t.Errorf("after a clean end the mark is %v, want %v", got, noon())
	}
	mustBeClean(t, s)
}

func TestACheckpointIsClearedDurably(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	under := Checkpoint{Segments: []Segment{{
		Start: noon(), Newest: noon().Add(-time.Second), Lowest: noon().Add(-time.Hour), Token: "next", Limit: 100, Ordered: true, Pages: 3, Events: 300,
	}}}
	mustDo(t, s.FinishWalk(walk(48*time.Hour, time.Hour)), s.update(true, func(t *tx) error { return t.setCheckpoint(heygen.Query{}, Poll, under) }))
	s = reopened(t, s, o)
	if diff := cmp.Diff(under, mustPosition(t, s, heygen.Query{}, Poll).Checkpoint); diff != "" {
		t.Errorf("the checkpoint after a crash: %s", diff)
	}
	if got := mustPosition(t, s, heygen.Query{}, Sweep).Checkpoint; len(got.Segments) != 0 {
		t.Errorf("a sweep has the poll's checkpoint %v", got)
	}

	// An incomplete walk proves nothing and keeps it.
	mustDo(t, s.FinishWalk(WalkEnd{Now: noon(), Mark: noon(), To: noon(), Start: noon()}))
	got := mustPosition(t, s, heygen.Query{}, Poll)
	if len(got.Checkpoint.Segments) != 1 || !got.Mark.Equal(noon().Add(-time.Hour)) {
		t.Errorf("after an incomplete walk the position is %+v", got)
	}

	mustDo(t, s.FinishWalk(walk(time.Hour, 0)))
	s = reopened(t, s, o)
	got = mustPosition(t, s, heygen.Query{}, Poll)
	if len(got.Checkpoint.Segments) != 0 || !got.Mark.Equal(noon()) {
		t.Errorf("after the walk's end and a crash the position is %+v", got)
	}
}

func TestAMarkOnlyMovesForward(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	later := walk(time.Hour, 0)
	later.Reached = noon().Add(-30 * time.Hour)
	earlier := walk(72*time.Hour, 48*time.Hour)
	earlier.Reached = noon().Add(-20 * time.Hour)
	mustDo(t, s.FinishWalk(later), s.FinishWalk(earlier))
	got := mustPosition(t, s, heygen.Query{}, Poll)
	want := Position{Mark: noon(), Completed: noon(), Oldest: noon().Add(-30 * time.Hour)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	ranges, err := s.Coverage(heygen.Query{})
	mustDo(t, err)
	if len(ranges) != 2 {
		t.Errorf("the coverage is %v, want two ranges with a gap", ranges)
	}
}

func TestAMarkBelongsToItsQuery(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	one, other := heygen.Query{Type: "avatar_video.success"}, heygen.Query{Type: "avatar_video.success", Entity: "v1"}
	poll, sweep := walk(time.Hour, 0), walk(48*time.Hour, time.Minute)
	poll.Query, sweep.Query, sweep.Kind = one, one, Sweep
	mustDo(t, s.FinishWalk(poll), s.FinishWalk(sweep))
	if got := mustPosition(t, s, other, Poll); !got.Mark.IsZero() {
		t.Errorf("a query that was never walked has the position %+v", got)
	}
	if got := mustPosition(t, s, one, Sweep); !got.Mark.Equal(noon()) || !got.Completed.Equal(noon().Add(-time.Minute)) {
		t.Errorf("the sweep's position is %+v, want the poll's mark and its own completion", got)
	}
	marks, err := s.Marks()
	mustDo(t, err)
	if len(marks) != 1 || !marks[one].Mark.Equal(noon()) {
		t.Errorf("the marks are %v", marks)
	}
}

func TestQueriesAsKeys(t *testing.T) {
	for _, q := range []heygen.Query{{}, {Type: "a"}, {Entity: "e"}, {Type: "a", Entity: "e"}} {
		for _, k := range []Kind{Poll, Sweep} {
			key := walkKey{q, k}
			if got := parseWalkKey(key.bytes()); got != key {
				t.Errorf("%+v is read as %+v", key, got)
			}
		}
	}
}

func TestOnlyTheLastPassesAreKept(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	for i := range keptPasses + 50 {
		mustDo(t, s.NotePass(Pass{Kind: "poll", Start: noon().Add(time.Duration(i) * time.Minute)}))
		if i%100 == 0 {
			mustDo(t, s.Act(noon(), "a tester", "nothing", 0)) // a commit they ride
		}
	}
	mustClose(t, s)
	s = mustOpen(t, o)
	passes, err := s.Passes(2 * keptPasses)
	mustDo(t, err)
	if len(passes) != keptPasses {
		t.Errorf("%d are kept, want %d", len(passes), keptPasses)
	}
	for i, p := range passes {
		if want := noon().Add(time.Duration(keptPasses+49-i) * time.Minute); !p.Start.Equal(want) {
			t.Fatalf("the %dth is from %v, want %v", i, p.Start, want)
		}
	}
	if few, err := s.Passes(3); err != nil || len(few) != 3 {
		t.Errorf("of 3 asked for, %d came (%v)", len(few), err)
	}
}
