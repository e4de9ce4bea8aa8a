package state

import (
	"slices"
	"testing"
	"time"
)

// missed lists and judges events that are all missed.
func missedStore(t *testing.T) *Store {
	t.Helper()
	s := lively(t)
	listed(t, s,
		event("evt_b1", "vid_b", "1", 5*time.Hour), event("evt_a1", "vid_a", "1", 4*time.Hour),
		event("evt_a2", "vid_a", "2", 3*time.Hour), event("evt_x", "", "", 2*time.Hour))
	judged(t, s, noon())
	return s
}

func TestClaimsComeOldestFirstAndOneForAnEntity(t *testing.T) {
	s := missedStore(t)
	var got []string
	claims := make(map[string]*Claim)
	for range 3 {
		c := mustClaim(t, s, noon())
		got = append(got, c.Event.ID)
		claims[c.Event.ID] = c
	}
	if want := []string{"evt_b1", "evt_a1", "evt_x"}; !slices.Equal(got, want) {
		t.Fatalf("claimed %q, want %q", got, want)
	}
	if wait := noClaim(t, s, ClaimRules{Now: noon()}); wait <= 0 && len(claims) == 0 {
		t.Errorf("wait %s", wait)
	}
	settled(t, s, claims["evt_a1"], Replaying, noon())
	noClaim(t, s, ClaimRules{Now: noon()}) // evt_a1 waits in backoff and holds evt_a2
	if c := mustClaim(t, s, noon().Add(time.Minute)); c.Event.ID != "evt_a1" || c.Attempt != 2 || len(c.History) != 1 {
		t.Fatalf("claimed %+v, want the second attempt of evt_a1", c)
	}
	settled(t, s, claims["evt_a1"], Dead, noon())
	if c := mustClaim(t, s, noon()); c.Event.ID != "evt_a2" {
		t.Errorf("claimed %s, want evt_a2: a dead event holds nobody", c.Event.ID)
	}
	mustAgree(t, s)
}

// TestALateListedOlderEventWaits: one in flight per entity, whatever its age.
func TestALateListedOlderEventWaits(t *testing.T) {
	s := lively(t)
	listed(t, s, event("evt_young", "vid_a", "1", time.Hour))
	judged(t, s, noon())
	c := mustClaim(t, s, noon())
	listed(t, s, event("evt_old", "vid_a", "2", 2*time.Hour))
	judged(t, s, noon())
	noClaim(t, s, ClaimRules{Now: noon()})
	settled(t, s, c, Seen, noon())
	if c := mustClaim(t, s, noon()); c.Event.ID != "evt_old" {
		t.Errorf("claimed %s, want evt_old", c.Event.ID)
	}
}

func TestOnlyWhatAPersonAskedForIsClaimedWhileUnpaired(t *testing.T) {
	s := missedStore(t)
	noClaim(t, s, ClaimRules{Now: noon(), Manual: true})
	answers, err := queueByHand(s, noon(), []string{"evt_a2", "evt_a2", "evt_none"}, "ann")
	mustDo(t, err)
	if len(answers) != 2 || !answers[0].Queued || answers[0].Was != Missed || answers[1].Queued || answers[1].Note == "" {
		t.Fatalf("answers %+v", answers)
	}
	c, _, err := s.Claim(ClaimRules{Now: noon(), Manual: true})
	mustDo(t, err)
	if c == nil || c.Event.ID != "evt_a2" {
		t.Errorf("claimed %+v, want evt_a2: what nobody asked for does not hold it", c)
	}
}

func TestTheOldLaneServesWhenTheOtherIsEmpty(t *testing.T) {
	s := lively(t)
	listed(t, s, event("evt_old", "vid_a", "1", 9*time.Hour), event("evt_live", "vid_b", "1", time.Hour))
	_, err := s.Decide(noon(), []Verdict{{ID: "evt_old", Status: Missed, Lane: Old, Reason: ReasonBackfill}, {ID: "evt_live", Status: Missed}})
	mustDo(t, err)
	if c := mustClaim(t, s, noon()); c.Event.ID != "evt_live" || c.Reason != ReasonMissed {
		t.Errorf("claimed %+v, want evt_live", c)
	}
	if c := mustClaim(t, s, noon()); c.Event.ID != "evt_old" || c.Lane != Old || c.Reason != ReasonBackfill {
		t.Errorf("claimed %+v, want evt_old", c)
	}
}

func TestAProbeTakesTheOneTriedLongestAgo(t *testing.T) {
	s := missedStore(t)
	for i := range 3 {
		c := mustClaim(t, s, noon().Add(time.Duration(i)*time.Second))
		settled(t, s, c, Replaying, noon().Add(time.Duration(i)*time.Second))
	}
	later := noon().Add(time.Hour)
	c, _, err := s.Claim(ClaimRules{Now: later, Probe: true, Exclude: map[string]bool{"evt_b1": true}})
	mustDo(t, err)
	if c == nil || c.Event.ID != "evt_a1" {
		t.Errorf("probed %+v, want evt_a1", c)
	}
}

// TestACrashLeavesAnOpenAttempt: it is due at the time written with the intent, and the same id is sent again.
func TestACrashLeavesAnOpenAttempt(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	listed(t, s, event("evt_a", "vid_a", "1", time.Hour))
	judged(t, s, noon())
	mustClaim(t, s, noon())
	mustClose(t, s)
	s = mustOpen(t, o)
	if wait := noClaim(t, s, ClaimRules{Now: noon()}); wait != 5*time.Second {
		t.Errorf("wait %s, want 5s", wait)
	}
	c := mustClaim(t, s, noon().Add(5*time.Second))
	if c.Attempt != 2 || len(c.History) != 1 || c.History[0].Open || c.History[0].Error != interrupted {
		t.Fatalf("claim %+v", c)
	}
	_, err := s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Tap}}) // the push arrives while it is in flight
	mustDo(t, err)
	if got := settled(t, s, c, Dead, noon()); got != Seen {
		t.Errorf("settled as %s, want seen: late proof stays", got)
	}
	row, err := s.Event("evt_a")
	mustDo(t, err)
	if row.Proof != Tap || len(row.Attempts) != 2 || row.Attempts[1].Open || row.Attempts[1].Status != 500 {
		t.Errorf("event %+v", row)
	}
	mustBeClean(t, s)
}

func TestAReleasedAttemptIsTakenBack(t *testing.T) {
	s := missedStore(t)
	c := mustClaim(t, s, noon())
	mustDo(t, s.Release(c.Event.ID, noon()))
	again := mustClaim(t, s, noon())
	if again.Event.ID != c.Event.ID || again.Attempt != 1 || len(again.History) != 0 {
		t.Errorf("claimed %+v again", again)
	}
}

func TestADeadEventBeginsAnewWhenAsked(t *testing.T) {
	s := missedStore(t)
	c := mustClaim(t, s, noon())
	_, err := s.Settle(Outcome{ID: c.Event.ID, Now: noon(), Attempt: Attempt{Status: 400, Counted: true}, Status: Dead, Why: "refused"})
	mustDo(t, err)
	_, err = queueByHand(s, noon(), []string{c.Event.ID}, "ann")
	mustDo(t, err)
	again := mustClaim(t, s, noon())
	if again.Event.ID != c.Event.ID || again.Reason != ReasonDead || again.Attempt != 2 || again.History[0].Counted {
		t.Errorf("claimed %+v", again)
	}
	_, err = s.Settle(Outcome{ID: c.Event.ID, Now: noon(), Attempt: Attempt{Status: 500, Counted: true, Seq: again.Seq}, Status: Replaying, Due: noon()})
	mustDo(t, err)
	if row := rowOf(t, s, c.Event.ID); len(row.Attempts) != 2 || !row.Attempts[0].Counted || !row.Attempts[1].Counted {
		t.Errorf("its story is %+v: what counted is told as it was", row.Attempts)
	}
	if third := mustClaim(t, s, noon()); len(third.History) != 2 || third.History[0].Counted || !third.History[1].Counted {
		t.Errorf("the third attempt follows %+v", third.History)
	}
	if string(again.Event.Data) != string(c.Event.Data) || len(c.Event.Data) == 0 {
		t.Errorf("data changed from %q to %q", c.Event.Data, again.Event.Data)
	}
}
