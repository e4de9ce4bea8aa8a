package state

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"backstop/internal/heygen"
)

// TestOnePushToldBySeveral is about pushes of one content that sources of different kinds tell of, with an id or without.
func TestOnePushToldBySeveral(t *testing.T) {
	a, later := event("evt_a", "vid_1", "x", 3*time.Hour), event("evt_b", "vid_1", "x", 150*time.Minute)
	at := noon().Add(-3 * time.Hour).Add(time.Second)
	told := func(id string, proof Proof, after time.Duration) Sighting {
		return Sighting{ID: id, Fact: factOf(t, a), At: at.Add(after), Proof: proof}
	}
	tests := []struct {
		name  string
		told  []Sighting
		proof Proof // of evt_a
	}{
		{"twice without an id", []Sighting{told("", Log, 0), told("", Tap, time.Second)}, Tap},
		{"with its id, and then without", []Sighting{told("evt_a", Report, 0), told("", Log, time.Second)}, Report},
		{"without, and then with its id", []Sighting{told("", Log, 0), told("evt_a", Report, time.Second)}, Report},
		{"with an id that is not listed, and without", []Sighting{told("hdr_1", Tap, 0), told("", Log, time.Second)}, Tap},
		{"without, and then with one that is not listed", []Sighting{told("", Log, 0), told("hdr_1", Tap, time.Second)}, Tap},
		{"an id first, its content from a weaker source", []Sighting{{ID: "hdr_1", At: at, Proof: Report}, told("hdr_1", Mirror, 0)}, Mirror},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := lively(t)
			now := noon().Add(-170 * time.Minute)
			for _, one := range test.told {
				mustDo(t, errorOf(s.Record(now, []Sighting{one})))
			}
			commit(t, s, now, a)
			walkedAt(t, s, now)
			judged(t, s, now)
			commit(t, s, now, later)
			walkedAt(t, s, noon())
			judged(t, s, noon())
			wantStatus(t, s, map[string]Status{"evt_a": Seen, "evt_b": Missed})
			row, err := s.Event("evt_a")
			mustDo(t, err)
			if row.Proof != test.proof {
				t.Errorf("evt_a is seen by %s, want %s", row.Proof, test.proof)
			}
			if c := s.Counts(); c.Credits != 0 || c.Unlisted != 0 {
				t.Errorf("%d credits and %d unlisted ids are left, want none", c.Credits, c.Unlisted)
			}
			mustAgree(t, s)
		})
	}
}

// commit lists events at a time.
func commit(t *testing.T, s *Store, now time.Time, events ...heygen.Event) {
	t.Helper()
	_, err := s.CommitPages(Pages{Events: events, Now: now})
	mustDo(t, err)
}

// walkedAt completes a walk that began then.
func walkedAt(t *testing.T, s *Store, now time.Time) {
	t.Helper()
	mustDo(t, s.FinishWalk(WalkEnd{Now: now, Complete: true, Mark: now, From: now.Add(-48 * time.Hour), To: now, Start: now}))
}

// TestTwoPushesOfOneSourceAreTwo: of one kind of source each telling is a push.
func TestTwoPushesOfOneSourceAreTwo(t *testing.T) {
	s := lively(t)
	a, b := event("evt_a", "vid_1", "x", 3*time.Hour), event("evt_b", "vid_1", "x", 2*time.Hour)
	for range 2 {
		mustDo(t, errorOf(s.Record(noon(), []Sighting{{Fact: factOf(t, a), At: noon().Add(-time.Hour), Proof: Tap}})))
		mustDo(t, errorOf(s.Record(noon(), []Sighting{{Fact: factOf(t, a), At: noon().Add(-time.Hour), Proof: Log}})))
	}
	listed(t, s, a, b)
	judged(t, s, noon())
	wantStatus(t, s, map[string]Status{"evt_a": Seen, "evt_b": Seen})
	if n := s.Counts().Credits; n != 0 {
		t.Errorf("%d credits are left, want none", n)
	}
	mustAgree(t, s)
}

// TestAPushOfAFinishedEventProvesNoOther: the log of the receiver shows our replay of it to the next process.
func TestAPushOfAFinishedEventProvesNoOther(t *testing.T) {
	s := lively(t)
	x, y := event("evt_x", "vid_1", "x", 3*time.Hour), event("evt_y", "vid_1", "x", 150*time.Minute)
	then := noon().Add(-2 * time.Hour)
	commit(t, s, then, x)
	judged(t, s, then)
	settled(t, s, mustClaim(t, s, then), Seen, then)
	s = reopened(t, s, s.options)
	mustDo(t, errorOf(s.Record(noon(), []Sighting{{ID: "evt_x", Fact: factOf(t, x), At: then, Proof: Log}})))
	listed(t, s, y)
	walkedAt(t, s, noon())
	judged(t, s, noon())
	wantStatus(t, s, map[string]Status{"evt_x": Seen, "evt_y": Missed})
	mustAgree(t, s)
}

// TestPushesAgainUnderAnotherIDAreKnown: HeyGen pushes again where an answer was lost.
func TestPushesAgainUnderAnotherIDAreKnown(t *testing.T) {
	s := lively(t)
	for i := range 25 {
		e := event(fmt.Sprintf("evt_%d", i), fmt.Sprintf("vid_%d", i), "x", 5*time.Hour)
		push := []Sighting{{ID: "hdr_" + e.ID, Fact: factOf(t, e), At: e.CreatedAt, Proof: Tap}}
		mustDo(t, errorOf(s.Record(noon().Add(-4*time.Hour), push)))
		listed(t, s, e)
		walkedAt(t, s, noon().Add(-3*time.Hour))
		judged(t, s, noon().Add(-3*time.Hour))
		mustDo(t, errorOf(s.Record(noon().Add(-3*time.Hour), push)))
	}
	mustDo(t, s.FinishWalk(WalkEnd{Now: noon(), Complete: true, Mark: noon(), Start: noon()}))
	unlisted, matched, err := s.Mismatch(noon().Add(time.Hour))
	mustDo(t, err)
	if c := s.Counts(); unlisted != 0 || matched != 25 || c.Credits != 0 || c.Status[Seen] != 25 {
		t.Errorf("%d unlisted, %d matched, %d credits, %d seen; want all 25 matched and nothing left", unlisted, matched, c.Credits, c.Status[Seen])
	}
	mustAgree(t, s)
}

// TestLinesBeforeTheBaselineAreNoStrangers: a log that is read for the first time has a past that no page will list.
func TestLinesBeforeTheBaselineAreNoStrangers(t *testing.T) {
	s := lively(t)
	_, err := s.SetBaseline(noon())
	mustDo(t, err)
	var old []Sighting
	for i := range 25 {
		old = append(old, Sighting{ID: fmt.Sprintf("evt_old%d", i), At: noon().Add(-30 * 24 * time.Hour), Proof: Log})
	}
	mustDo(t, s.RecordRead(noon(), old, "log a", []byte("1")))
	end := noon().Add(2 * time.Hour)
	mustDo(t, s.FinishWalk(WalkEnd{Now: end, Complete: true, Mark: end, Start: end}))
	unlisted, _, err := s.Mismatch(end)
	mustDo(t, err)
	if unlisted != 0 {
		t.Errorf("%d ids count as never listed, want none", unlisted)
	}
}

// TestOldPushesLeaveNoCredits: they account for nothing any more, and must not take the room of young ones.
func TestOldPushesLeaveNoCredits(t *testing.T) {
	s := lively(t)
	a := event("evt_a", "vid_1", "x", time.Hour)
	old := noon().Add(-30 * 24 * time.Hour)
	mustDo(t, errorOf(s.Record(noon(), []Sighting{
		{ID: "old_1", Fact: factOf(t, a), At: old, Proof: Log}, {Fact: factOf(t, a), At: old, Proof: Log},
	})))
	if n := s.Counts().Credits; n != 0 {
		t.Errorf("%d credits of old pushes, want none", n)
	}
	mustAgree(t, s)
}

// TestALatePushRevivesTheDead under another id, too.
func TestALatePushRevivesTheDead(t *testing.T) {
	s := lively(t)
	a := event("evt_a", "vid_1", "x", time.Hour)
	listed(t, s, a)
	judged(t, s, noon())
	settled(t, s, mustClaim(t, s, noon()), Dead, noon())
	mustDo(t, errorOf(s.Record(noon(), []Sighting{{ID: "hdr_1", Fact: factOf(t, a), At: noon(), Proof: Tap}})))
	walkedAt(t, s, noon().Add(2*time.Minute))
	judged(t, s, noon().Add(2*time.Minute))
	wantStatus(t, s, map[string]Status{"evt_a": Seen})
	mustAgree(t, s)
}

// TestADamagedRecordIsAskedAboutOnce: it must not keep the others waiting.
func TestADamagedRecordIsAskedAboutOnce(t *testing.T) {
	s := missedStore(t)
	flip(t, s, func(t *tx) *bbolt.Bucket { return t.bucket(bucketOpen) }, []byte("evt_b1"))
	asked := map[string]bool{}
	rules := ClaimRules{Now: noon(), Asked: func(id string) bool { return asked[id] }}
	_, _, err := s.Claim(rules)
	if !errors.Is(err, ErrAsk) {
		t.Fatalf("claim: %v, want ErrAsk", err)
	}
	due, err := s.Due(rules, 500)
	mustDo(t, err)
	for _, e := range due {
		asked[e.ID] = true
	}
	c, _, err := s.Claim(rules)
	mustDo(t, err)
	if c == nil || c.Event.ID != "evt_a1" {
		t.Errorf("claimed %+v, want evt_a1: the damaged one is out of the way", c)
	}
}

// TestDueBringsTheSecondIDsOfAFact: a source may know the one and not the other.
func TestDueBringsTheSecondIDsOfAFact(t *testing.T) {
	s := lively(t)
	listed(t, s, event("evt_a", "vid_1", "x", time.Hour), event("evt_b", "vid_1", "x", time.Hour-time.Minute))
	judged(t, s, noon())
	due, err := s.Due(ClaimRules{Now: noon()}, 10)
	mustDo(t, err)
	if len(due) != 2 || due[1].ID != "evt_b" {
		t.Errorf("due %+v, want evt_a and its twin evt_b", due)
	}
	mustDo(t, errorOf(s.Record(noon(), []Sighting{{ID: "evt_b", Proof: Query}})))
	wantStatus(t, s, map[string]Status{"evt_a": Seen, "evt_b": Seen})
	mustAgree(t, s)
}
