package state

import (
	"errors"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// TestOnePushIsOneEvent is about pushes of which both the id and the content are known.
func TestOnePushIsOneEvent(t *testing.T) {
	a := event("evt_a", "vid_1", "x", 3*time.Hour)
	b := event("evt_b", "vid_1", "x", 2*time.Hour)
	push := func(id string) Sighting {
		return Sighting{ID: id, Fact: factOf(t, a), At: noon().Add(-time.Hour), Proof: Tap}
	}
	tests := []struct {
		name   string
		pushes []Sighting
		want   map[string]Status
		why    string // of evt_a; "" is not looked at
		left   int64  // credits
		ids    int64  // reported ids that no page has listed
	}{
		{"of its own id", []Sighting{push("evt_b")}, map[string]Status{"evt_a": Missed, "evt_b": Seen}, "", 0, 0},
		{"of an id that is not listed it is by content", []Sighting{push("hdr_1")}, map[string]Status{"evt_a": Seen, "evt_b": Missed},
			"passed through the tap, answered 2xx at 2026-03-01T11:00:00Z, with another id (hdr_1): matched by content", 0, 0},
		{"two of them", []Sighting{push("hdr_1"), push("hdr_2")}, map[string]Status{"evt_a": Seen, "evt_b": Seen}, "", 0, 0},
		{"one of each", []Sighting{push("hdr_1"), push("evt_a")}, map[string]Status{"evt_a": Seen, "evt_b": Seen}, "", 0, 0},
		{"the same push again", []Sighting{push("hdr_1"), push("hdr_1")}, map[string]Status{"evt_a": Seen, "evt_b": Missed}, "", 0, 0},
		{"an anonymous one is used first", []Sighting{push("hdr_1"), {Fact: factOf(t, a), At: noon().Add(-time.Hour), Proof: Tap}},
			map[string]Status{"evt_a": Seen, "evt_b": Seen}, "passed through the tap, answered 2xx at 2026-03-01T11:00:00Z, without an id: matched by content", 0, 0},
		{"a third waits", []Sighting{push("hdr_1"), push("hdr_2"), push("hdr_3")}, map[string]Status{"evt_a": Seen, "evt_b": Seen}, "", 1, 1},
		{"without content", []Sighting{{ID: "hdr_1", Proof: Tap}}, map[string]Status{"evt_a": Missed, "evt_b": Missed}, "", 0, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := lively(t)
			for _, one := range test.pushes { // one request each
				mustDo(t, errorOf(s.Record(noon(), []Sighting{one})))
			}
			s = reopened(t, s, s.options)
			listed(t, s, b, a)
			mustDo(t, s.FinishWalk(walk(24*time.Hour, 0)))
			judged(t, s, noon())
			wantStatus(t, s, test.want)
			if _, why := statusOf(t, s, "evt_a"); test.why != "" && why != test.why {
				t.Errorf("evt_a: %q, want %q", why, test.why)
			}
			if c := s.Counts(); c.Credits != test.left || c.Unlisted != test.ids {
				t.Errorf("%d credits and %d unlisted ids are left, want %d and %d", c.Credits, c.Unlisted, test.left, test.ids)
			}
			mustAgree(t, s)
		})
	}
}

// TestAPushThatComesLateByContentCancelsTheReplay: the claim looks, too, and takes the id of the push with it.
func TestAPushThatComesLateByContentCancelsTheReplay(t *testing.T) {
	s := lively(t)
	a := event("evt_a", "vid_1", "x", time.Hour)
	listed(t, s, a)
	judged(t, s, noon())
	mustDo(t, errorOf(s.Record(noon().Add(-2*time.Minute), []Sighting{{ID: "hdr_1", Fact: factOf(t, a), Proof: Tap}})))
	mustDo(t, s.FinishWalk(walk(24*time.Hour, 0)))
	noClaim(t, s, ClaimRules{Now: noon()})
	wantStatus(t, s, map[string]Status{"evt_a": Seen})
	if c := s.Counts(); c.Credits != 0 || c.Unlisted != 0 {
		t.Errorf("%d credits and %d unlisted ids are left, want none", c.Credits, c.Unlisted)
	}
	mustAgree(t, s)
}

// TestAForgottenPushAccountsForNothing: neither by id nor by content.
func TestAForgottenPushAccountsForNothing(t *testing.T) {
	s := lively(t)
	a := event("evt_a", "vid_1", "x", time.Hour)
	mustDo(t, errorOf(s.Record(noon(), []Sighting{{ID: "hdr_1", Fact: factOf(t, a), Proof: Tap}})))
	_, err := s.Forget(noon(), []string{"hdr_1"}, "", "a tester")
	mustDo(t, err)
	listed(t, s, a)
	judged(t, s, noon())
	wantStatus(t, s, map[string]Status{"evt_a": Missed})
	mustAgree(t, s)
}

// TestAPreviewGivesAPushToItsOwnEvent: the listing has both, the state has neither yet.
func TestAPreviewGivesAPushToItsOwnEvent(t *testing.T) {
	s := lively(t)
	a, b := event("evt_a", "vid_1", "x", 3*time.Hour), event("evt_b", "vid_1", "x", 2*time.Hour)
	mustDo(t, errorOf(s.Record(noon(), []Sighting{{ID: "evt_b", Fact: factOf(t, a), Proof: Tap}})))
	known, err := s.Look(Policy{Settle: settle, CollapseWindow: window}).Events(noon(), []heygen.Event{a, b})
	mustDo(t, err)
	if known[0].Credit != 0 || known[1].Reported != Tap {
		t.Errorf("got %+v, want the push to be of evt_b alone", known)
	}
}

// TestHeardCountsBesideTheState is about what a preview has read and may not record.
func TestHeardCountsBesideTheState(t *testing.T) {
	a, b, c := event("evt_a", "vid_1", "x", 3*time.Hour), event("evt_b", "vid_2", "y", 2*time.Hour), event("evt_c", "vid_3", "z", time.Hour)
	for name, s := range map[string]*Store{"with a state": lively(t), "without": nil} {
		t.Run(name, func(t *testing.T) {
			h := NewHeard([]heygen.Event{a, b, c})
			h.Add(noon(), Sighting{ID: "evt_a", Proof: Log})
			h.Add(noon(), Sighting{Fact: factOf(t, b), Proof: Log})
			h.Add(noon(), Sighting{ID: "of another range", Proof: Log})
			known, err := s.Look(Policy{Settle: settle, CollapseWindow: window, Heard: h}).Events(noon(), []heygen.Event{a, b, c})
			mustDo(t, err)
			if known[0].Reported != Log || known[1].CreditBy != Log || known[2].Reported != None || known[2].Credit != 0 {
				t.Errorf("got %+v, want the first two known by the log", known)
			}
		})
	}
}

// TestAskBeforeAClaim: an event is claimed only after the sources were asked about it.
func TestAskBeforeAClaim(t *testing.T) {
	s := missedStore(t)
	asked := make(map[string]bool)
	rules := ClaimRules{Now: noon(), Asked: func(id string) bool { return asked[id] }}
	if c, _, err := s.Claim(rules); c != nil || !errors.Is(err, ErrAsk) {
		t.Fatalf("claim = %+v, %v; want ErrAsk", c, err)
	}
	due, err := s.Due(rules, 10)
	mustDo(t, err)
	var got []string
	for _, e := range due {
		got = append(got, e.ID)
		if len(e.Data) == 0 {
			t.Errorf("%s comes without its data", e.ID)
		}
	}
	if len(got) != 4 || got[0] != "evt_b1" {
		t.Fatalf("due %q, want all four, the first in turn first", got)
	}
	asked["evt_b1"] = true
	c, _, err := s.Claim(rules)
	mustDo(t, err)
	if c == nil || c.Event.ID != "evt_b1" {
		t.Fatalf("claimed %+v, want evt_b1", c)
	}
	if due, err = s.Due(rules, 2); err != nil || len(due) != 2 {
		t.Errorf("due %d, %v; want as many as the limit", len(due), err)
	}
}

// TestAPushWaitsForItsOwnID: the listing may show it in a moment, and then it is that event's.
func TestAPushWaitsForItsOwnID(t *testing.T) {
	s := lively(t)
	a, b := event("evt_a", "vid_1", "x", time.Hour), event("evt_b", "vid_1", "x", 0)
	listed(t, s, a)
	judged(t, s, noon())
	mustDo(t, s.FinishWalk(walk(24*time.Hour, 0)))
	mustDo(t, errorOf(s.Record(noon(), []Sighting{{ID: "evt_b", Fact: factOf(t, b), Proof: Tap}})))
	if c := mustClaim(t, s, noon()); c.Event.ID != "evt_a" {
		t.Errorf("claimed %s, want evt_a: the push may be of another event", c.Event.ID)
	}
	listed(t, s, b)
	wantStatus(t, s, map[string]Status{"evt_b": Seen})
	mustAgree(t, s)
}

// TestAnIDThatItsContentDisputesProvesNothing: a signature covers the body of a push and not its id, and HeyGen may give the
// push another id than the listing has.
func TestAnIDThatItsContentDisputesProvesNothing(t *testing.T) {
	a, b := event("evt_a", "vid_1", "x", time.Hour), event("evt_b", "vid_2", "y", time.Hour)
	foreign := Sighting{ID: "evt_b", Fact: factOf(t, a), At: noon().Add(-time.Hour), Proof: Mirror}
	tests := []struct {
		name string
		do   func(*testing.T, *Store)
		want map[string]Status
	}{
		{"before both are listed", func(t *testing.T, s *Store) {
			mustDo(t, errorOf(s.Record(noon(), []Sighting{foreign})))
			listed(t, s, a)
			listed(t, s, b)
		}, map[string]Status{"evt_a": Seen, "evt_b": Missed}},
		{"after both are listed", func(t *testing.T, s *Store) {
			listed(t, s, a, b)
			mustDo(t, errorOf(s.Record(noon(), []Sighting{foreign})))
		}, map[string]Status{"evt_a": Seen, "evt_b": Missed}},
		{"when its own event was seen long ago", func(t *testing.T, s *Store) {
			mustDo(t, errorOf(s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Report}})))
			listed(t, s, a, b)
			mustDo(t, errorOf(s.Record(noon(), []Sighting{foreign})))
		}, map[string]Status{"evt_a": Seen, "evt_b": Missed}},
		{"where no event has its content the id counts", func(t *testing.T, s *Store) {
			listed(t, s, b)
			mustDo(t, errorOf(s.Record(noon(), []Sighting{foreign})))
		}, map[string]Status{"evt_b": Seen}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := lively(t)
			test.do(t, s)
			walkedAt(t, s, noon())
			judged(t, s, noon())
			wantStatus(t, s, test.want)
			if n := s.Counts().Credits; n != 0 {
				t.Errorf("%d credits are left, want none", n)
			}
			mustAgree(t, s)
		})
	}
}
