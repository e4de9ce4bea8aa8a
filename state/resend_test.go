package state

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// found begins a run of a kind with events from the listing, ready to be sent.
func found(s *Store, kind RunKind, events ...heygen.Event) (Run, error) {
	r, err := s.BeginRun(noon(), Run{Kind: kind, Who: "ann", What: "a test"}, nil)
	if err != nil {
		return r, err
	}
	if _, err := s.PlanResends(ResendPages{Run: r.ID, Events: events, Now: noon()}); err != nil {
		return r, err
	}
	if _, err := s.WalkedRun(noon(), r.ID); err != nil {
		return r, err
	}
	return s.ConfirmRun(noon(), r.ID)
}

func mustFind(t *testing.T, s *Store, kind RunKind, events ...heygen.Event) (Run, *Resends) {
	t.Helper()
	r, err := found(s, kind, events...)
	mustDo(t, err)
	return r, s.Resends(r)
}

// resendOne claims the next event of a run and settles it.
func resendOne(t *testing.T, q *Resends, id string, status Status) *Claim {
	t.Helper()
	c, _, err := q.Claim(ClaimRules{Now: noon()})
	mustDo(t, err)
	if c == nil || c.Event.ID != id {
		t.Fatalf("claimed %+v, want %s", c, id)
	}
	a := Attempt{At: noon(), Status: 204, Latency: time.Millisecond, Seq: c.Seq}
	if status != Seen {
		a.Status = 422
	}
	_, err = q.Settle(Outcome{ID: id, Now: noon(), Attempt: a, Status: status, Why: "test", Due: noon().Add(time.Minute)})
	mustDo(t, err)
	return c
}

func rowOf(t *testing.T, s *Store, id string) Row {
	t.Helper()
	row, err := s.Event(id)
	mustDo(t, err)
	if row == nil {
		t.Fatalf("%s is not known", id)
	}
	return *row
}

// What arrives by force is told in the ledger; a stronger proof stays.
func TestAForcedEventIsAddedToItsStory(t *testing.T) {
	s := lively(t)
	reported, baseline, ignored, unknown := event("evt_r", "vid_1", "x", 5*time.Hour), event("evt_b", "vid_2", "x", 6*time.Hour),
		event("evt_i", "vid_3", "x", 4*time.Hour), event("evt_u", "vid_4", "x", 3*time.Hour)
	_, err := s.Record(noon(), []Sighting{{ID: "evt_r", Proof: Tap}})
	mustDo(t, err)
	listed(t, s, reported, ignored)
	_, err = s.Ignore(noon(), []string{"evt_i"}, "", "ann")
	mustDo(t, err)
	baselined(t, s, baseline)
	r, q := mustFind(t, s, RunForced, unknown, ignored, reported, baseline)
	wantRun(t, s, r.ID, 4, 4, 0, 0, 0, 0)
	mustAgree(t, s)
	if c := resendOne(t, q, "evt_b", Seen); c.Reason != ReasonForced || string(c.Event.Data) != string(baseline.Data) || c.Attempt != 1 {
		t.Errorf("the claim is %+v", c)
	}
	resendOne(t, q, "evt_r", Seen)
	resendOne(t, q, "evt_i", Seen)
	resendOne(t, q, "evt_u", Seen)
	for id, proof := range map[string]Proof{"evt_r": Tap, "evt_b": Replay, "evt_i": Replay, "evt_u": Replay} {
		row := rowOf(t, s, id)
		if row.Status != Seen || row.Proof != proof || len(row.Attempts) != 1 || row.Attempts[0].Status != 204 || !contains(row.Acts, r.Act) {
			t.Errorf("%s is %+v, want proof %s", id, row, proof)
		}
	}
	if r := wantRun(t, s, r.ID, 4, 0, 4, 0, 0, 0); r.Ended.IsZero() {
		t.Error("it has not ended")
	}
	mustAgree(t, s)
	mustBeClean(t, s)
}

func contains(acts []uint64, act uint64) bool {
	for _, a := range acts {
		if a == act {
			return true
		}
	}
	return false
}

// Given up, an event keeps its status, and the run tells why; the customers' data goes.
func TestAForcedEventThatIsGivenUp(t *testing.T) {
	s := lively(t)
	e := event("evt_a", "vid_1", "x", 5*time.Hour)
	_, err := s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Report}})
	mustDo(t, err)
	listed(t, s, e)
	r, q := mustFind(t, s, RunForced, e)
	resendOne(t, q, "evt_a", Replaying)
	if c, wait, err := q.Claim(ClaimRules{Now: noon()}); c != nil || wait != time.Minute || err != nil {
		t.Errorf("claimed %v, wait %v (%v)", c, wait, err)
	}
	c, _, err := q.Claim(ClaimRules{Now: noon().Add(time.Minute)})
	mustDo(t, err)
	if c.Attempt != 2 || len(c.History) != 1 {
		t.Errorf("the second attempt is %+v", c)
	}
	_, err = q.Settle(Outcome{ID: "evt_a", Now: noon(), Status: Dead, Why: "refused", Attempt: Attempt{Status: 422, Seq: c.Seq, Answer: "no"}})
	mustDo(t, err)
	wantRun(t, s, r.ID, 1, 0, 0, 1, 0, 0)
	row := rowOf(t, s, "evt_a")
	if row.Status != Seen || row.Proof != Report || len(row.Attempts) != 2 || row.Attempts[1].Answer != "no" || row.Sent != 2 || !contains(row.Acts, r.Act) {
		t.Errorf("the event is %+v", row)
	}
	rows, _, err := s.Resent(r.ID, nil)
	mustDo(t, err)
	if len(rows) != 1 || rows[0].Status != Dead || rows[0].Why != "refused" || len(rows[0].Attempts) != 2 || len(rows[0].Event.Data) > 0 {
		t.Errorf("the run tells %+v", rows)
	}
	mustAgree(t, s)
}

// What a forced run gave up of events that are unfinished by then is told, too, and counts for nothing; of unknown ones only
// the run tells.
func TestAForcedEventThatIsGivenUpAndNotFinished(t *testing.T) {
	s := lively(t)
	e, unknown := event("evt_a", "vid_1", "x", 5*time.Hour), event("evt_u", "vid_2", "x", 4*time.Hour)
	r, q := mustFind(t, s, RunForced, e, unknown)
	c, _, err := q.Claim(ClaimRules{Now: noon()})
	mustDo(t, err)
	listed(t, s, e)
	_, err = q.Settle(Outcome{ID: "evt_a", Now: noon(), Status: Dead, Why: "refused", Attempt: Attempt{Status: 422, Seq: c.Seq, Counted: true}})
	mustDo(t, err)
	resendOne(t, q, "evt_u", Dead)
	row := rowOf(t, s, "evt_a")
	if row.Status != Listed && row.Status != Settling || len(row.Attempts) != 1 || row.Attempts[0].Counted || !contains(row.Acts, r.Act) {
		t.Errorf("the event is %+v", row)
	}
	if row, err := s.Event("evt_u"); row != nil || err != nil {
		t.Errorf("of the unknown one is known %+v (%v)", row, err)
	}
	mustAgree(t, s)
	mustBeClean(t, s)
}

// What is unfinished is queued the ordinary way, for its own reason, and not sent twice.
func TestAForcedEventThatIsUnfinished(t *testing.T) {
	s := lively(t)
	missed, seen := event("evt_m", "vid_1", "x", 5*time.Hour), event("evt_s", "vid_2", "x", 4*time.Hour)
	listed(t, s, missed)
	judged(t, s, noon())
	r, q := mustFind(t, s, RunForced, missed, seen)
	resendOne(t, q, "evt_s", Seen)
	wantRun(t, s, r.ID, 2, 1, 1, 0, 0, 0)
	c := mustClaim(t, s, noon())
	if c.Event.ID != "evt_m" || c.Reason != ReasonMissed {
		t.Errorf("the ordinary queue gives %+v", c)
	}
	settled(t, s, c, Seen, noon())
	wantRun(t, s, r.ID, 2, 0, 2, 0, 0, 0)
	mustAgree(t, s)
}

// One in flight per entity, here and in the ordinary queue, and the older one first.
func TestAForcedRunKeepsTheOrderOfAnEntity(t *testing.T) {
	s := lively(t)
	ordinary, first, second := event("evt_o", "vid_1", "x", time.Hour), event("evt_1", "vid_1", "y", 5*time.Hour), event("evt_2", "vid_1", "z", 4*time.Hour)
	listed(t, s, ordinary)
	judged(t, s, noon())
	_, q := mustFind(t, s, RunForced, first, second)
	c, _, err := q.Claim(ClaimRules{Now: noon()})
	mustDo(t, err)
	noClaim(t, s, ClaimRules{Now: noon()}) // the entity is in flight
	if two, _, err := q.Claim(ClaimRules{Now: noon()}); two != nil || err != nil {
		t.Errorf("claimed two of an entity: %v (%v)", two, err)
	}
	mustDo(t, q.Release(c.Event.ID, noon().Add(time.Second)))
	fromQueue := mustClaim(t, s, noon())
	if two, _, err := q.Claim(ClaimRules{Now: noon().Add(time.Minute)}); two != nil || err != nil {
		t.Errorf("claimed what flies in the ordinary queue: %v (%v)", two, err)
	}
	settled(t, s, fromQueue, Seen, noon())
	if c, _, err := q.Claim(ClaimRules{Now: noon()}); c != nil || err != nil {
		t.Errorf("claimed %v while an older one waits (%v)", c, err)
	}
	mustAgree(t, s)
}

// A shadow run leaves events, receiver and flights alone.
func TestAShadowRunTouchesNothing(t *testing.T) {
	s := lively(t)
	e := event("evt_a", "vid_1", "x", 5*time.Hour)
	listed(t, s, e)
	judged(t, s, noon())
	_, err := s.Pause(noon(), "a test", "ann")
	mustDo(t, err)
	before, receiver, counts := rowOf(t, s, "evt_a"), s.Receiver(), s.Counts()
	r, q := mustFind(t, s, RunShadow, e)
	c, _, err := q.Claim(ClaimRules{Now: noon()})
	mustDo(t, err)
	mustClaim(t, s, noon()) // beside it
	mustDo(t, s.Release("evt_a", noon()))
	_, err = q.Settle(Outcome{
		ID: "evt_a", Now: noon(), Status: Seen, Attempt: Attempt{Status: 200, Seq: c.Seq}, Receiver: &Receiver{OKSeq: c.Seq, OKID: "evt_a"},
	})
	mustDo(t, err)
	after := rowOf(t, s, "evt_a")
	after.Due, before.Due = time.Time{}, time.Time{}
	if after.Status != before.Status || len(after.Attempts) != 0 || s.Receiver().OKID != receiver.OKID || s.Counts().Status[Missed] != counts.Status[Missed] {
		t.Errorf("the event was %+v and is %+v; the receiver is %+v", before, after, s.Receiver())
	}
	if q.Receiver().OKID != "evt_a" || q.Receiver().Paused != "" {
		t.Errorf("of its own receiver it knows %+v", q.Receiver())
	}
	wantRun(t, s, r.ID, 1, 0, 1, 0, 0, 0)
	mustAgree(t, s)
}

// A cancel deletes the data at once. What lands later counts, and is not sent again when the run is resumed.
func TestCancelOfAForcedRun(t *testing.T) {
	s := lively(t)
	one, two := event("evt_1", "vid_1", "x", 5*time.Hour), event("evt_2", "vid_2", "x", 4*time.Hour)
	r, q := mustFind(t, s, RunForced, one, two)
	c, _, err := q.Claim(ClaimRules{Now: noon()})
	mustDo(t, err)
	_, err = s.CancelRun(noon(), r.ID, "ann")
	mustDo(t, err)
	if run := wantRun(t, s, r.ID, 2, 1, 0, 0, 0, 1); !run.Ended.IsZero() || run.Dropped != 1 {
		t.Errorf("%+v", run)
	}
	if rows, _, err := s.Resending(r.ID, nil); len(rows) != 1 || rows[0].Event.ID != "evt_1" || len(rows[0].Event.Data) > 0 || err != nil {
		t.Errorf("it keeps %+v (%v), want what is in flight without its data", rows, err)
	}
	mustAgree(t, s)
	mustDo(t, s.tidyRuns(noon())) // what is in flight is left to land
	_, err = q.Settle(Outcome{ID: "evt_1", Now: noon(), Status: Seen, Attempt: Attempt{Status: 200, Seq: c.Seq}})
	mustDo(t, err)
	if run := wantRun(t, s, r.ID, 2, 0, 1, 0, 0, 1); run.Ended.IsZero() {
		t.Errorf("it has not ended: %+v", run)
	}
	wantStatus(t, s, map[string]Status{"evt_1": Seen})
	mustAgree(t, s)
	run, resumed, err := s.ResumeRun(noon(), r.ID, "ann")
	mustDo(t, err)
	if !resumed || !run.Walked.IsZero() || !run.Ready.IsZero() || !run.Ended.IsZero() {
		t.Errorf("resumed %v: %+v", resumed, run)
	}
	_, err = s.PlanResends(ResendPages{Run: r.ID, Events: []heygen.Event{one, two}, Now: noon()})
	mustDo(t, err)
	_, err = s.WalkedRun(noon(), r.ID)
	mustDo(t, err)
	_, err = s.ConfirmRun(noon(), r.ID)
	mustDo(t, err)
	resendOne(t, s.Resends(run), "evt_2", Seen)
	wantRun(t, s, r.ID, 2, 0, 2, 0, 0, 0)
	mustAgree(t, s)
}

// Of a limit the oldest ones stay, in whatever order they are listed.
func TestALimitKeepsTheOldest(t *testing.T) {
	s := lively(t)
	r, err := s.BeginRun(noon(), Run{Kind: RunForced, Who: "ann", Chosen: Selection{Limit: 2}}, nil)
	mustDo(t, err)
	for _, age := range []int{3, 1, 5, 4} {
		e := event("evt_"+strings.Repeat("x", age), "", "x", time.Duration(age)*time.Hour)
		n, err := s.PlanResends(ResendPages{Run: r.ID, Events: []heygen.Event{e, e}, Now: noon()})
		mustDo(t, err)
		if n > 2 {
			t.Errorf("%d are planned", n)
		}
	}
	rows, _, err := s.Resending(r.ID, nil)
	mustDo(t, err)
	if len(rows) != 2 || rows[0].Event.ID != "evt_xxxxx" || rows[1].Event.ID != "evt_xxxx" {
		t.Errorf("planned are %+v", rows)
	}
	mustAgree(t, s)
}

// A damaged event of a run is moved out of the way, and the run ends all the same.
func TestADamagedResend(t *testing.T) {
	s := lively(t)
	one, two := event("evt_1", "vid_1", "x", 5*time.Hour), event("evt_2", "vid_2", "x", 4*time.Hour)
	r, q := mustFind(t, s, RunForced, one, two)
	mustDo(t, s.update(false, func(t *tx) error {
		t.dirty()
		return t.sub(bucketResends, r.ID).Put(place{one.CreatedAt, one.ID}.key(), []byte("nonsense"))
	}))
	resendOne(t, q, "evt_2", Seen)
	if run := wantRun(t, s, r.ID, 2, 0, 1, 0, 0, 1); run.Ended.IsZero() {
		t.Error("it has not ended")
	}
	mustAgree(t, s)
}

// What is unfinished is handed over many at a time: whoever else wants to send waits meanwhile.
func TestUnfinishedEventsAreHandedOverTogether(t *testing.T) {
	s := lively(t)
	const n = 2*runBite + 77
	var events []heygen.Event
	for i := range n {
		events = append(events, event(fmt.Sprintf("evt_%04d", i), fmt.Sprintf("vid_%d", i), "x", 5*time.Hour-time.Duration(i)*time.Second))
	}
	listed(t, s, events...)
	judged(t, s, noon())
	seen := event("evt_seen", "vid_s", "x", time.Hour)
	r, q := mustFind(t, s, RunForced, append(events, seen)...)
	before := s.commitNumber.Load()
	resendOne(t, q, "evt_seen", Seen)
	if commits := s.commitNumber.Load() - before; commits > n/runBite+3 {
		t.Errorf("%d commits", commits)
	}
	wantRun(t, s, r.ID, n+1, n, 1, 0, 0, 0)
	if c := mustClaim(t, s, noon()); c.Event.ID != "evt_0000" {
		t.Errorf("the first is %s", c.Event.ID)
	}
	mustAgree(t, s)
}

// What is handed over with others keeps behind an older one of its entity that the run has still to send.
func TestHandingOverKeepsTheOrderOfAnEntity(t *testing.T) {
	s := lively(t)
	fails, other, newer := event("evt_1", "vid_1", "x", 5*time.Hour), event("evt_2", "vid_2", "x", 4*time.Hour), event("evt_3", "vid_1", "y", 3*time.Hour)
	listed(t, s, other, newer)
	judged(t, s, noon())
	r, q := mustFind(t, s, RunForced, fails, other, newer)
	resendOne(t, q, "evt_1", Replaying)
	if c, wait, err := q.Claim(ClaimRules{Now: noon()}); c != nil || wait != time.Minute || err != nil {
		t.Errorf("claimed %v, wait %s (%v)", c, wait, err)
	}
	rows, _, err := s.Resending(r.ID, nil)
	mustDo(t, err)
	if len(rows) != 2 || rows[1].Event.ID != "evt_3" {
		t.Errorf("left are %+v", rows)
	}
	mustAgree(t, s)
}

// How many attempts there were is told also of those that a person forced, and none that was not made.
func TestForcedAttemptsAreCounted(t *testing.T) {
	s := lively(t)
	e := event("evt_a", "vid_1", "x", time.Hour)
	listed(t, s, e)
	judged(t, s, noon())
	settled(t, s, mustClaim(t, s, noon()), Seen, noon())
	_, q := mustFind(t, s, RunForced, e)
	resendOne(t, q, "evt_a", Seen)
	if row := rowOf(t, s, "evt_a"); row.Sent != 2 || len(row.Attempts) != 2 {
		t.Errorf("of %d attempts %d are kept, want both of 2", row.Sent, len(row.Attempts))
	}
	other := event("evt_b", "vid_2", "x", time.Hour)
	listed(t, s, other)
	judged(t, s, noon())
	c := mustClaim(t, s, noon())
	_, err := s.Record(noon(), []Sighting{{ID: "evt_b", Proof: Report}})
	mustDo(t, err, s.Release(c.Event.ID, noon()))
	if row := rowOf(t, s, "evt_b"); row.Sent != 0 || row.AttemptsLost() != 0 {
		t.Errorf("of %d attempts %d are lost, and none was made", row.Sent, row.AttemptsLost())
	}
}

// What is damaged can't be taken up, and the run ends again at once.
func TestResumeOfAShadowRunWithNothingToSend(t *testing.T) {
	s := lively(t)
	e := event("evt_1", "vid_1", "x", 5*time.Hour)
	r, q := mustFind(t, s, RunShadow, e)
	mustDo(t, s.update(false, func(t *tx) error {
		t.dirty()
		return t.sub(bucketResends, r.ID).Put(place{e.CreatedAt, e.ID}.key(), []byte("nonsense"))
	}))
	c, _, err := q.Claim(ClaimRules{Now: noon()})
	if c != nil || err != nil {
		t.Fatalf("claimed %v (%v)", c, err)
	}
	run, _, err := s.ResumeRun(noon(), r.ID, "ann")
	if err != nil || run.Ended.IsZero() || run.Left != 1 {
		t.Errorf("it is %+v (%v)", run, err)
	}
}

// What lands when its run was cancelled and resumed, and has not found the event again, is counted once.
func TestLandingBetweenCancelAndFinding(t *testing.T) {
	s := lively(t)
	e := event("evt_1", "vid_1", "x", 5*time.Hour)
	r, q := mustFind(t, s, RunForced, e)
	c, _, err := q.Claim(ClaimRules{Now: noon()})
	mustDo(t, err)
	_, err = s.CancelRun(noon(), r.ID, "ann")
	mustDo(t, err)
	_, _, err = s.ResumeRun(noon(), r.ID, "ann")
	mustDo(t, err)
	_, err = q.Settle(Outcome{ID: "evt_1", Now: noon(), Status: Seen, Attempt: Attempt{Status: 200, Seq: c.Seq}})
	mustDo(t, err)
	wantRun(t, s, r.ID, 1, 0, 1, 0, 0, 0)
	_, err = s.PlanResends(ResendPages{Run: r.ID, Events: []heygen.Event{e}, Now: noon()})
	mustDo(t, err)
	wantRun(t, s, r.ID, 1, 0, 1, 0, 0, 0)
	mustAgree(t, s)
}

// A run that can't be read any more holds neither the event in flight nor others of its entity.
func TestLandingOfADamagedRun(t *testing.T) {
	s := lively(t)
	e, next := event("evt_1", "vid_1", "x", 5*time.Hour), event("evt_2", "vid_1", "y", 4*time.Hour)
	listed(t, s, next)
	judged(t, s, noon())
	r, q := mustFind(t, s, RunForced, e)
	c, _, err := q.Claim(ClaimRules{Now: noon()})
	mustDo(t, err)
	noClaim(t, s, ClaimRules{Now: noon()})
	mustDo(t, s.update(false, func(t *tx) error {
		t.dirty()
		return t.bucket(bucketRuns).Put(appendNumber(nil, r.ID), []byte("nonsense"))
	}))
	_, err = q.Settle(Outcome{ID: "evt_1", Now: noon(), Status: Seen, Attempt: Attempt{Status: 200, Seq: c.Seq}})
	mustDo(t, err)
	wantStatus(t, s, map[string]Status{"evt_1": Seen})
	if c := mustClaim(t, s, noon()); c.Event.ID != "evt_2" {
		t.Errorf("claimed %s", c.Event.ID)
	}
}

// What nobody agrees to is not kept for long; a run that somebody agreed to is.
func TestARunThatNobodyAgreesTo(t *testing.T) {
	s := lively(t)
	agreed, _ := mustFind(t, s, RunForced, event("evt_1", "vid_1", "x", 5*time.Hour))
	r, err := s.BeginRun(noon(), Run{Kind: RunForced, Who: "ann", What: "a test"}, nil)
	mustDo(t, err)
	_, err = s.PlanResends(ResendPages{Run: r.ID, Events: []heygen.Event{event("evt_2", "vid_2", "x", 4*time.Hour)}, Now: noon()})
	mustDo(t, err)
	_, err = s.WalkedRun(noon(), r.ID)
	mustDo(t, err)
	mustDo(t, s.tidyRuns(noon().Add(agreeWithin)))
	wantRun(t, s, r.ID, 1, 1, 0, 0, 0, 0)
	mustDo(t, s.tidyRuns(noon().Add(agreeWithin+time.Second)))
	if r := wantRun(t, s, r.ID, 1, 0, 0, 0, 0, 1); r.Ended.IsZero() || r.Cancelled.IsZero() {
		t.Errorf("it waits still: %+v", r)
	}
	if rows, _, err := s.Resending(r.ID, nil); len(rows) > 0 || err != nil {
		t.Errorf("it keeps %v (%v)", rows, err)
	}
	wantRun(t, s, agreed.ID, 1, 1, 0, 0, 0, 0)
	mustAgree(t, s)
}
