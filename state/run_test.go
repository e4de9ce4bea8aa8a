package state

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// queueAll begins a run and queues all that it chose.
func queueAll(s *Store, chosen Selection, ids ...string) (Run, error) {
	r, err := s.BeginRun(noon(), Run{Kind: RunReplay, Who: "ann", What: "a test", Chosen: chosen}, ids)
	for done := false; err == nil && !done; {
		_, done, err = s.QueueRun(noon(), r.ID)
	}
	if err != nil {
		return r, err
	}
	return s.Run(r.ID)
}

func mustQueue(t *testing.T, s *Store, chosen Selection, ids ...string) Run {
	t.Helper()
	r, err := queueAll(s, chosen, ids...)
	mustDo(t, err)
	return r
}

func mustRun(t *testing.T, s *Store, id uint64) Run {
	t.Helper()
	r, err := s.Run(id)
	mustDo(t, err)
	return r
}

// wantRun compares the counters of a run.
func wantRun(t *testing.T, s *Store, id uint64, planned, waiting, seen, dead, ignored, left int64) Run {
	t.Helper()
	r := mustRun(t, s, id)
	got, want := []int64{r.Planned, r.Waiting, r.Seen, r.Dead, r.Ignored, r.Left}, []int64{planned, waiting, seen, dead, ignored, left}
	if !slices.Equal(got, want) {
		t.Errorf("run %d has planned, waiting, seen, dead, ignored, left %v, want %v", id, got, want)
	}
	return r
}

// mixture lists events of several hours and types: missed ones, and two dead.
func mixture(t *testing.T, s *Store) {
	t.Helper()
	var events []heygen.Event
	for i := range 8 {
		e := event(fmt.Sprintf("evt_%d", i), fmt.Sprintf("vid_%d", i), "x", time.Duration(10-i)*time.Hour)
		if i%2 == 1 {
			e.Type = "avatar_video.fail"
		}
		events = append(events, e)
	}
	listed(t, s, events...)
	judged(t, s, noon())
	for range 2 { // the oldest two
		settled(t, s, mustClaim(t, s, noon()), Dead, noon())
	}
	listed(t, s, event("evt_young", "vid_young", "x", time.Minute))
}

func TestSelections(t *testing.T) {
	hours := func(n int) time.Time { return noon().Add(-time.Duration(n) * time.Hour) }
	for name, c := range map[string]struct {
		chosen Selection
		want   []string
	}{
		"dead":             {Selection{Dead: true}, []string{"evt_0", "evt_1"}},
		"missed":           {Selection{Missed: true}, []string{"evt_2", "evt_3", "evt_4", "evt_5", "evt_6", "evt_7"}},
		"dead and missed":  {Selection{Dead: true, Missed: true, Limit: 3}, []string{"evt_0", "evt_1", "evt_2"}},
		"a range":          {Selection{Since: hours(9), Until: hours(7)}, []string{"evt_1", "evt_2"}},
		"a type":           {Selection{Types: []string{"avatar_video.fail"}, Limit: 2}, []string{"evt_1", "evt_3"}},
		"two types":        {Selection{Types: []string{"avatar_video.fail", "avatar_video.success"}, Since: hours(4)}, []string{"evt_6", "evt_7"}},
		"an entity":        {Selection{Entity: "vid_5"}, []string{"evt_5"}},
		"missed in range":  {Selection{Missed: true, Until: hours(7)}, []string{"evt_2"}},
		"none":             {Selection{Since: hours(2)}, nil},
		"a limit as large": {Selection{Dead: true, Limit: 2}, []string{"evt_0", "evt_1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := lively(t)
			mixture(t, s)
			r := mustQueue(t, s, c.chosen)
			var got []string
			mustDo(t, s.Events(t.Context(), Filter{}, func(row Row) error {
				if row.Run == r.ID {
					got = append(got, row.Event.ID)
				}
				return nil
			}))
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("queued are %v, want %v", got, c.want)
			}
			wantRun(t, s, r.ID, int64(len(c.want)), int64(len(c.want)), 0, 0, 0, 0)
			if ended := !r.Ended.IsZero(); ended != (len(c.want) == 0) {
				t.Errorf("ended: %v", ended)
			}
			mustAgree(t, s)
		})
	}
}

// More events than one transaction queues: each once, and oldest first.
func TestALargeRun(t *testing.T) {
	s := lively(t)
	const n = 2*runBite + 77
	var events []heygen.Event
	for i := range n {
		events = append(events, event(fmt.Sprintf("evt_%04d", i), fmt.Sprintf("vid_%d", i), "x", 5*time.Hour-time.Duration(i)*time.Second))
	}
	listed(t, s, events...)
	judged(t, s, noon())
	before := s.commitNumber.Load()
	r := mustQueue(t, s, Selection{Missed: true})
	if commits := s.commitNumber.Load() - before; commits > 1+n/runBite+1 {
		t.Errorf("%d commits", commits)
	}
	wantRun(t, s, r.ID, n, n, 0, 0, 0, 0)
	if c := mustClaim(t, s, noon()); c.Event.ID != "evt_0000" {
		t.Errorf("the first is %s", c.Event.ID)
	}
	_, err := s.CancelRun(noon(), r.ID, "ann")
	mustDo(t, err)
	wantRun(t, s, r.ID, n, 1, 0, 0, 0, n-1)
	mustAgree(t, s)
}

func TestARunCountsWhatBecomesOfItsEvents(t *testing.T) {
	s := lively(t)
	mixture(t, s)
	r := mustQueue(t, s, Selection{Until: noon().Add(-6*time.Hour + time.Minute)}) // evt_0 … evt_4
	wantRun(t, s, r.ID, 5, 5, 0, 0, 0, 0)
	claim := func(id string) *Claim {
		c := mustClaim(t, s, noon())
		if c.Event.ID != id {
			t.Fatalf("claimed %s, want %s", c.Event.ID, id)
		}
		return c
	}
	if c := claim("evt_0"); c.Reason != ReasonDead {
		t.Errorf("its reason is %s", c.Reason)
	} else {
		settled(t, s, c, Seen, noon())
	}
	settled(t, s, claim("evt_1"), Dead, noon())
	settled(t, s, claim("evt_2"), Replaying, noon())
	_, err := s.Ignore(noon(), []string{"evt_3"}, "", "ann")
	mustDo(t, err)
	wantRun(t, s, r.ID, 5, 2, 1, 1, 1, 0)
	_, err = s.Record(noon(), []Sighting{{ID: "evt_1", Proof: Report}}) // dead, and proven late
	mustDo(t, err)
	other := mustQueue(t, s, Selection{}, "evt_4")
	wantRun(t, s, r.ID, 5, 1, 2, 0, 1, 1)
	_, err = s.Record(noon(), []Sighting{{ID: "evt_2", Proof: Report}})
	mustDo(t, err)
	if r := wantRun(t, s, r.ID, 5, 0, 3, 0, 1, 1); r.Ended.IsZero() {
		t.Error("nothing waits, and it has not ended")
	}
	settled(t, s, claim("evt_4"), Dead, noon())
	wantRun(t, s, other.ID, 1, 0, 0, 1, 0, 0)
	third := mustQueue(t, s, Selection{Dead: true})
	wantRun(t, s, other.ID, 1, 0, 0, 1, 0, 0) // what it ended with stays
	wantRun(t, s, third.ID, 1, 1, 0, 0, 0, 0)
	mustAgree(t, s)
	acts, err := s.Acts(1)
	mustDo(t, err)
	if acts[0].What != "replay (run 3): a test" || acts[0].Seq != third.Act {
		t.Errorf("the last act is %+v", acts[0])
	}
}

// A cancel makes of each event what it was; what is in flight is left to land.
func TestCancelAndResume(t *testing.T) {
	s := lively(t)
	mixture(t, s)
	listed(t, s, event("evt_settles", "vid_s", "x", 2*time.Minute))
	r := mustQueue(t, s, Selection{}, "evt_0", "evt_1", "evt_2", "evt_3", "evt_settles")
	flying := mustClaim(t, s, noon()) // evt_0, which was dead
	settled(t, s, mustClaim(t, s, noon()), Replaying, noon())
	_, err := s.CancelRun(noon(), r.ID, "ann")
	mustDo(t, err)
	wantRun(t, s, r.ID, 5, 1, 0, 0, 0, 4)
	wantStatus(t, s, map[string]Status{"evt_0": Replaying, "evt_1": Dead, "evt_2": Missed, "evt_3": Missed, "evt_settles": Settling})
	if _, why := statusOf(t, s, "evt_1"); why != "test" {
		t.Errorf("its reason is %q", why)
	}
	mustAgree(t, s)

	settled(t, s, flying, Replaying, noon())
	wantStatus(t, s, map[string]Status{"evt_0": Dead})
	if r := wantRun(t, s, r.ID, 5, 0, 0, 0, 0, 5); r.Ended.IsZero() {
		t.Error("all has landed, and it has not ended")
	}
	noClaim(t, s, ClaimRules{Now: noon(), Manual: true})
	mustAgree(t, s)

	again, resumed, err := s.ResumeRun(noon(), r.ID, "bob")
	mustDo(t, err)
	if !resumed || again.Left != 0 || again.Waiting != 5 || !again.Ended.IsZero() || !again.Cancelled.IsZero() {
		t.Errorf("resumed: %v, %+v", resumed, again)
	}
	for range 5 {
		c, _, err := s.Claim(ClaimRules{Now: noon(), Manual: true})
		mustDo(t, err)
		settled(t, s, c, Seen, noon())
	}
	wantRun(t, s, r.ID, 5, 0, 5, 0, 0, 0)
	if _, resumed, err := s.ResumeRun(noon(), r.ID, "bob"); resumed || err != nil {
		t.Errorf("there was something to resume (%v)", err)
	}
	mustAgree(t, s)
}

// A run that was cancelled before all of it was queued goes on with the rest.
func TestResumeGoesOnWithTheSelection(t *testing.T) {
	s := lively(t)
	var events []heygen.Event
	for i := range runBite + 20 {
		events = append(events, event(fmt.Sprintf("evt_%04d", i), fmt.Sprintf("vid_%d", i), "x", 5*time.Hour-time.Duration(i)*time.Second))
	}
	listed(t, s, events...)
	judged(t, s, noon())
	r, err := s.BeginRun(noon(), Run{Kind: RunReplay, Who: "ann", Chosen: Selection{Missed: true}}, nil)
	mustDo(t, err)
	_, done, err := s.QueueRun(noon(), r.ID)
	mustDo(t, err)
	if done {
		t.Fatal("one bite was all")
	}
	_, err = s.CancelRun(noon(), r.ID, "ann")
	mustDo(t, err)
	_, _, err = s.ResumeRun(noon(), r.ID, "ann")
	mustDo(t, err)
	for done := false; !done; {
		_, done, err = s.QueueRun(noon(), r.ID)
		mustDo(t, err)
	}
	wantRun(t, s, r.ID, runBite+20, runBite+20, 0, 0, 0, 0)
	mustAgree(t, s)
}

// A crash in the middle of a cancel leaves events queued: the next pass takes them back.
func TestACancelIsFinishedByAPass(t *testing.T) {
	s := lively(t)
	mixture(t, s)
	r := mustQueue(t, s, Selection{Missed: true})
	_, err := s.changeRun(false, r.ID, "cancel", func(_ *tx, r *Run) error { r.Cancelled = noon(); return nil })
	mustDo(t, err)
	judged(t, s, noon())
	wantRun(t, s, r.ID, 6, 0, 0, 0, 0, 6)
	mustAgree(t, s)
}

// After a restore nothing of a run is sent before a person says so.
func TestARunAfterARestore(t *testing.T) {
	s := lively(t)
	mixture(t, s)
	r := mustQueue(t, s, Selection{Missed: true})
	_, err := s.withholdAll(noon(), Range{From: noon(), To: noon().Add(time.Hour)})
	mustDo(t, err)
	if r := wantRun(t, s, r.ID, 6, 0, 0, 0, 0, 6); r.Ended.IsZero() {
		t.Error("it has not ended")
	}
	noClaim(t, s, ClaimRules{Now: noon().Add(time.Hour), Manual: true})
	_, resumed, err := s.ResumeRun(noon(), r.ID, "ann")
	mustDo(t, err)
	if c, _, err := s.Claim(ClaimRules{Now: noon(), Manual: true}); !resumed || c == nil || err != nil {
		t.Errorf("resumed %v, claimed %v (%v)", resumed, c, err)
	}
	mustAgree(t, s)
}

func TestEndedRunsArePruned(t *testing.T) {
	s := lively(t)
	mixture(t, s)
	ended, open := mustQueue(t, s, Selection{}, "evt_0"), mustQueue(t, s, Selection{}, "evt_2")
	settled(t, s, mustClaim(t, s, noon()), Seen, noon())
	mustDo(t, s.update(false, func(t *tx) error { return t.expireRuns(noon().Add(time.Hour)) }))
	runs, err := s.Runs()
	mustDo(t, err)
	if len(runs) != 1 || runs[0].ID != open.ID {
		t.Errorf("kept are %+v", runs)
	}
	if ids, err := s.RunIDs(ended.ID); len(ids) > 0 || err != nil {
		t.Errorf("its ids are kept: %v (%v)", ids, err)
	}
	mustAgree(t, s)
}

// What a run chooses may lie far apart: no transaction looks at all that is unfinished.
func TestARunLooksAtAFewEventsAtATime(t *testing.T) {
	s := lively(t)
	var events []heygen.Event
	for i := range 2*runBite + 1 {
		events = append(events, event(fmt.Sprintf("evt_%04d", i), "", fmt.Sprint(i), 5*time.Hour-time.Duration(i)*time.Second))
	}
	events[2*runBite].Type = "video_agent.success"
	listed(t, s, events...)
	judged(t, s, noon())
	r, err := s.BeginRun(noon(), Run{Kind: RunReplay, Chosen: Selection{Types: []string{"video_agent.success"}}}, nil)
	mustDo(t, err)
	for looks, done := 1, false; !done; looks++ {
		var queued []Requeued
		queued, done, err = s.QueueRun(noon(), r.ID)
		mustDo(t, err)
		if got := len(queued) == 1; got != (looks == 3) || done != got {
			t.Fatalf("look %d queues %+v, done: %v", looks, queued, done)
		}
	}
	wantRun(t, s, r.ID, 1, 1, 0, 0, 0, 0)
	mustAgree(t, s)
}

// An event that is dead again has no twins: each is judged by itself, however the cancel comes to it, and people are not told
// of its death again.
func TestACancelLetsTwinsGo(t *testing.T) {
	for name, cancel := range map[string]func(t *testing.T, s *Store, id uint64){
		"that waits": func(t *testing.T, s *Store, id uint64) {
			_, err := s.CancelRun(noon(), id, "ann")
			mustDo(t, err)
		},
		"whose attempt fails": func(t *testing.T, s *Store, id uint64) {
			c := mustClaim(t, s, noon())
			_, err := s.CancelRun(noon(), id, "ann")
			mustDo(t, err)
			settled(t, s, c, Replaying, noon())
		},
		"whose attempt is not made": func(t *testing.T, s *Store, id uint64) {
			c := mustClaim(t, s, noon())
			_, err := s.CancelRun(noon(), id, "ann")
			mustDo(t, err, s.Release(c.Event.ID, noon()))
		},
	} {
		t.Run("of an event "+name, func(t *testing.T) {
			s := lively(t)
			mustDo(t, s.ChangeNotices(func(*Notices) {}))
			listed(t, s, event("evt_kept", "vid_1", "x", 5*time.Hour))
			judged(t, s, noon())
			settled(t, s, mustClaim(t, s, noon()), Dead, noon())
			r := mustQueue(t, s, Selection{Dead: true})
			listed(t, s, event("evt_twin", "vid_1", "x", 5*time.Hour-time.Minute))
			judged(t, s, noon())
			wantStatus(t, s, map[string]Status{"evt_kept": Missed, "evt_twin": Seen})
			cancel(t, s, r.ID)
			wantStatus(t, s, map[string]Status{"evt_kept": Dead, "evt_twin": Settling})
			if r := wantRun(t, s, r.ID, 1, 0, 0, 0, 0, 1); r.Ended.IsZero() {
				t.Error("nothing waits, and it has not ended")
			}
			if n := s.Notices().Dead.Count; n != 1 {
				t.Errorf("%d deaths are counted", n)
			}
			mustAgree(t, s)
		})
	}
}

// A backfill's events were asked for before the run, and are sent while backstop is unpaired also after it.
func TestACancelLeavesABackfillItsEvents(t *testing.T) {
	s := lively(t)
	past := event("evt_past", "vid_1", "x", 50*time.Hour)
	baselined(t, s, past)
	mustDo(t, beginAll(s, History{Words: "all"}), planPages(s, past), queuePlanned(s, Verdict{Status: Missed}, past))
	r := mustQueue(t, s, Selection{Missed: true})
	wantRun(t, s, r.ID, 1, 1, 0, 0, 0, 0)
	_, err := s.CancelRun(noon(), r.ID, "ann")
	mustDo(t, err)
	if r := wantRun(t, s, r.ID, 1, 0, 0, 0, 0, 1); r.Ended.IsZero() {
		t.Error("nothing waits, and it has not ended")
	}
	mustAgree(t, s)
	if c, _, err := s.Claim(ClaimRules{Now: noon(), Manual: true}); c == nil || err != nil {
		t.Errorf("the backfill has lost its event: %v", err)
	}
}

// What waits for somebody to agree is the customers' data, and does not wait for ever.
func TestRunsThatNobodyAgreesToArePruned(t *testing.T) {
	s := lively(t)
	r, err := s.BeginRun(noon(), Run{Kind: RunForced, Who: "ann"}, nil)
	mustDo(t, err)
	_, err = s.PlanResends(ResendPages{Run: r.ID, Events: []heygen.Event{event("evt_1", "vid_1", "x", 5*time.Hour)}, Now: noon()})
	mustDo(t, err)
	_, err = s.WalkedRun(noon(), r.ID)
	mustDo(t, err)
	agreed, _ := mustFind(t, s, RunForced, event("evt_2", "vid_2", "x", 5*time.Hour))
	mustDo(t, s.update(false, func(t *tx) error { return t.expireRuns(noon().Add(time.Hour)) }))
	runs, err := s.Runs()
	mustDo(t, err)
	rows, _, err := s.Resending(r.ID, nil)
	mustDo(t, err)
	if len(runs) != 1 || runs[0].ID != agreed.ID || len(rows) > 0 {
		t.Errorf("kept are %+v and %+v", runs, rows)
	}
	mustAgree(t, s)
}

// The ids that were named are not written anew with each change of their run.
func TestNamedIDsCostNothingLater(t *testing.T) {
	s := lively(t)
	var ids []string
	for i := range 20 * runIDsPart {
		ids = append(ids, fmt.Sprintf("evt_%032d", i))
	}
	listed(t, s, event(ids[0], "vid_1", "x", 5*time.Hour))
	judged(t, s, noon())
	r := mustQueue(t, s, Selection{}, ids...)
	if got, err := s.RunIDs(r.ID); !slices.Equal(got, ids) || err != nil {
		t.Errorf("%d of %d ids are kept in their order (%v)", len(got), len(ids), err)
	}
	before := s.db.Stats()
	settled(t, s, mustClaim(t, s, noon()), Seen, noon())
	after := s.db.Stats()
	written := after.Sub(&before)
	if n := written.TxStats.GetPageAlloc(); n > 64*4096 {
		t.Errorf("a claim and its outcome write %d KiB", n>>10)
	}
	mustDo(t, s.update(false, func(t *tx) error { return t.expireRuns(noon().Add(time.Hour)) }))
	if got, err := s.RunIDs(r.ID); len(got) > 0 || err != nil {
		t.Errorf("%d ids are left (%v)", len(got), err)
	}
	mustAgree(t, s)
}
