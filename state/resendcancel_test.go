package state

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"backstop/internal/heygen"
)

// What is in flight when its run is cancelled is left in the end where it does not arrive.
func TestWhatDoesNotLandAfterACancel(t *testing.T) {
	for name, end := range map[string]func(q *Resends, c *Claim) error{
		"to be tried again": func(q *Resends, c *Claim) error {
			_, err := q.Settle(Outcome{ID: c.Event.ID, Now: noon(), Status: Replaying, Due: noon().Add(time.Minute), Attempt: Attempt{Status: 500, Seq: c.Seq}})
			return err
		},
		"never sent": func(q *Resends, c *Claim) error { return q.Release(c.Event.ID, noon()) },
	} {
		for _, kind := range []RunKind{RunForced, RunShadow} {
			t.Run(name+", "+string(kind), func(t *testing.T) {
				s := lively(t)
				r, q := mustFind(t, s, kind, event("evt_1", "vid_1", "x", 5*time.Hour), event("evt_2", "vid_2", "x", 4*time.Hour))
				c, _, err := q.Claim(ClaimRules{Now: noon()})
				mustDo(t, err)
				_, err = s.CancelRun(noon(), r.ID, "ann")
				mustDo(t, err)
				wantRun(t, s, r.ID, 2, 1, 0, 0, 0, 1)
				mustDo(t, end(q, c))
				if run := wantRun(t, s, r.ID, 2, 0, 0, 0, 0, 2); run.Ended.IsZero() || run.Dropped != 2 {
					t.Errorf("%+v", run)
				}
				mustAgree(t, s)
			})
		}
	}
}

// What was in flight in a cancelled run when the process ended is left by the next pass.
func TestWhatNeverLands(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	r, q := mustFind(t, s, RunShadow, event("evt_1", "vid_1", "x", 5*time.Hour), event("evt_2", "vid_2", "x", 4*time.Hour))
	_, _, err := q.Claim(ClaimRules{Now: noon()})
	mustDo(t, err)
	_, err = s.CancelRun(noon(), r.ID, "ann")
	mustDo(t, err)
	mustClose(t, s)
	s = mustOpen(t, o)
	mustBeClean(t, s)
	mustDo(t, s.tidyRuns(noon()))
	if run := wantRun(t, s, r.ID, 2, 0, 0, 0, 0, 2); run.Ended.IsZero() {
		t.Errorf("%+v", run)
	}
	mustBeClean(t, s)
}

// A run that somebody agreed to and that nobody sends to its end does not keep the customers' data for ever.
func TestARunWhoseSenderIsGone(t *testing.T) {
	s := lively(t)
	r, q := mustFind(t, s, RunForced, event("evt_1", "vid_1", "x", 5*time.Hour), event("evt_2", "vid_2", "x", 4*time.Hour))
	c, _, err := q.Claim(ClaimRules{Now: noon()})
	mustDo(t, err)
	late := noon().Add(s.retention() + time.Second)
	mustDo(t, s.tidyRuns(late)) // somebody sends it
	wantRun(t, s, r.ID, 2, 2, 0, 0, 0, 0)
	mustDo(t, q.Release(c.Event.ID, noon()))
	mustDo(t, s.tidyRuns(late.Add(-time.Second)))
	wantRun(t, s, r.ID, 2, 2, 0, 0, 0, 0)
	mustDo(t, s.tidyRuns(late))
	if r := wantRun(t, s, r.ID, 2, 0, 0, 0, 0, 2); r.Ended.IsZero() {
		t.Errorf("it waits still: %+v", r)
	}
	if rows, _, err := s.Resending(r.ID, nil); len(rows) > 0 || err != nil {
		t.Errorf("it keeps %v (%v)", rows, err)
	}
	mustAgree(t, s)
}

// A run that was cancelled while its events are being found takes none, and is not found to its end.
func TestACancelWhileEventsAreFound(t *testing.T) {
	s := lively(t)
	r, err := s.BeginRun(noon(), Run{Kind: RunForced, Who: "ann", What: "a test"}, nil)
	mustDo(t, err)
	_, err = s.CancelRun(noon(), r.ID, "bob")
	mustDo(t, err)
	_, planned := s.PlanResends(ResendPages{Run: r.ID, Events: []heygen.Event{event("evt_1", "vid_1", "x", time.Hour)}, Now: noon()})
	_, walked := s.WalkedRun(noon(), r.ID)
	for _, err := range []error{planned, walked} {
		if !errors.Is(err, ErrRunCancelled) || errors.Is(err, ErrNoRun) {
			t.Errorf("it says %v", err)
		}
	}
	if r := mustRun(t, s, r.ID); !r.Walked.IsZero() {
		t.Errorf("%+v", r)
	}
}

// The act of a run says of how many events it is once that is known, and that it was cancelled is told of its events.
func TestActsOfRunsTellOfTheirEvents(t *testing.T) {
	s := lively(t)
	missed := event("evt_m", "vid_m", "x", 3*time.Hour)
	listed(t, s, missed)
	judged(t, s, noon())
	plain, err := s.BeginRun(noon(), Run{Kind: RunReplay, Who: "ann", What: "a test"}, []string{"evt_m"})
	mustDo(t, err)
	_, _, err = s.QueueRun(noon(), plain.ID)
	mustDo(t, err)
	_, err = s.CancelRun(noon(), plain.ID, "bob")
	mustDo(t, err)
	if diff := cmp.Diff([]string{"1 ann replay (run 1): a test 0", "2 bob cancel run 1 1"}, actsAbout(t, s, "evt_m")); diff != "" {
		t.Error(diff)
	}
	r, _ := mustFind(t, s, RunForced, event("evt_1", "vid_1", "x", 5*time.Hour), event("evt_2", "vid_2", "x", 4*time.Hour))
	_, err = s.CancelRun(noon(), r.ID, "bob")
	mustDo(t, err)
	want := []string{"3 ann forced replay (run 2): a test 2  evt_1,evt_2", "4 bob cancel run 2 2  evt_1,evt_2"}
	if diff := cmp.Diff(want, actsAbout(t, s, "evt_1")); diff != "" {
		t.Error(diff)
	}
	mustAgree(t, s)
}
