package state

import (
	"testing"
	"time"

	"backstop/internal/heygen"
)

// TestTwins tells how two or three ids of one fact end, by what becomes of them.
func TestTwins(t *testing.T) {
	a := event("evt_a", "vid_1", "x", time.Hour)
	b := event("evt_b", "vid_1", "x", time.Hour-4*time.Minute)
	c := event("evt_c", "vid_1", "x", time.Hour-12*time.Minute) // within the window of b, not of a
	other := event("evt_o", "vid_1", "y", time.Hour-time.Minute)
	kind := event("evt_k", "vid_1", "x", time.Hour)
	kind.Type = "avatar_video.fail"
	alone1, alone2 := event("evt_1", "", "x", time.Hour), event("evt_2", "", "x", time.Hour)
	undated := event("evt_u", "vid_1", "x", 0)
	undated.CreatedAt = time.Time{}
	tests := []struct {
		name   string
		events []heygen.Event
		story  func(t *testing.T, s *Store)
		want   map[string]Status
	}{
		{"the younger waits for the older", []heygen.Event{b, a}, nil, map[string]Status{"evt_a": Missed, "evt_b": Seen}},
		{"no chain: the third is judged by itself", []heygen.Event{c, b, a}, nil, map[string]Status{"evt_a": Missed, "evt_b": Seen, "evt_c": Missed}},
		{"other content is another fact", []heygen.Event{a, other}, nil, map[string]Status{"evt_a": Missed, "evt_o": Missed}},
		{"never across types", []heygen.Event{a, kind}, nil, map[string]Status{"evt_a": Missed, "evt_k": Missed}},
		{"without entity nothing is collapsed", []heygen.Event{alone1, alone2}, nil, map[string]Status{"evt_1": Missed, "evt_2": Missed}},
		{"an undated event has no twin", []heygen.Event{a, undated}, nil, map[string]Status{"evt_a": Missed, "evt_u": Settling}},
		{"the kept one is replayed: both are seen", []heygen.Event{a, b}, func(t *testing.T, s *Store) {
			settled(t, s, mustClaim(t, s, noon()), Seen, noon())
			if _, why := statusOf(t, s, "evt_b"); why != "same fact as evt_a" {
				t.Errorf("the twin is seen because %q", why)
			}
		}, map[string]Status{"evt_a": Seen, "evt_b": Seen}},
		{"the kept one is dead: the twin is judged by itself", []heygen.Event{a, b}, func(t *testing.T, s *Store) {
			settled(t, s, mustClaim(t, s, noon()), Dead, noon())
			wantStatus(t, s, map[string]Status{"evt_b": Settling})
			judged(t, s, noon())
		}, map[string]Status{"evt_a": Dead, "evt_b": Missed}},
		{"the kept one is ignored: the twin is judged by itself", []heygen.Event{a, b}, func(t *testing.T, s *Store) {
			_, err := s.Ignore(noon(), []string{"evt_a"}, "", "ann")
			mustDo(t, err)
			judged(t, s, noon())
		}, map[string]Status{"evt_a": Ignored, "evt_b": Missed}},
		{"late proof of the twin is proof of the kept one", []heygen.Event{a, b}, func(t *testing.T, s *Store) {
			_, err := s.Record(noon(), []Sighting{{ID: "evt_b", Proof: Report}})
			mustDo(t, err)
		}, map[string]Status{"evt_a": Seen, "evt_b": Seen}},
		{"a twin listed as seen is proof of a missed one", []heygen.Event{a}, func(t *testing.T, s *Store) {
			_, err := s.Record(noon(), []Sighting{{ID: "evt_b", Proof: Report}})
			mustDo(t, err)
			listed(t, s, b)
		}, map[string]Status{"evt_a": Seen, "evt_b": Seen}},
		{"late proof of the kept one answers the twin", []heygen.Event{a, b}, func(t *testing.T, s *Store) {
			_, err := s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Tap}})
			mustDo(t, err)
		}, map[string]Status{"evt_a": Seen, "evt_b": Seen}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := lively(t)
			listed(t, s, test.events...)
			judged(t, s, noon())
			if test.story != nil {
				test.story(t, s)
			}
			wantStatus(t, s, test.want)
			mustAgree(t, s)
		})
	}
}

// TestASeenTwinInTheLedgerCollapses is about a kept event that was finished long before.
func TestASeenTwinInTheLedgerCollapses(t *testing.T) {
	s := lively(t)
	_, err := s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Report}})
	mustDo(t, err)
	listed(t, s, event("evt_a", "vid_1", "x", time.Hour))
	listed(t, s, event("evt_b", "vid_1", "x", time.Hour+5*time.Minute), event("evt_far", "vid_1", "x", 2*time.Hour))
	v := judged(t, s, noon())
	if v["evt_b"].Twin != "evt_a" || v["evt_b"].Proof != Report {
		t.Errorf("evt_b was judged %+v", v["evt_b"])
	}
	wantStatus(t, s, map[string]Status{"evt_b": Seen, "evt_far": Missed})
	mustAgree(t, s)
}

func TestCredits(t *testing.T) {
	a := event("evt_a", "vid_1", "x", 3*time.Hour)
	b := event("evt_b", "vid_1", "x", 2*time.Hour)
	push := func(age time.Duration) Sighting {
		return Sighting{Fact: factOf(t, a), At: noon().Add(-age), Proof: Report}
	}
	tests := []struct {
		name   string
		pushes []Sighting
		late   []Sighting // after the judging
		want   map[string]Status
		left   int64
	}{
		{"none", nil, nil, map[string]Status{"evt_a": Missed, "evt_b": Missed}, 0},
		{"one push is one event, the oldest", []Sighting{push(time.Hour)}, nil, map[string]Status{"evt_a": Seen, "evt_b": Missed}, 0},
		{"two are two", []Sighting{push(time.Hour), push(time.Minute)}, nil, map[string]Status{"evt_a": Seen, "evt_b": Seen}, 0},
		{"a push before both", []Sighting{push(4 * time.Hour)}, nil, map[string]Status{"evt_a": Missed, "evt_b": Missed}, 1},
		{"a push between them is of the older", []Sighting{push(150 * time.Minute)}, nil, map[string]Status{"evt_a": Seen, "evt_b": Missed}, 0},
		{"a third push is left", []Sighting{push(3), push(2), push(1)}, nil, map[string]Status{"evt_a": Seen, "evt_b": Seen}, 1},
		{"a late push cancels the replay", nil, []Sighting{push(0)}, map[string]Status{"evt_a": Seen, "evt_b": Missed}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := lively(t)
			_, err := s.Record(noon(), test.pushes)
			mustDo(t, err)
			listed(t, s, b, a)
			judged(t, s, noon())
			_, err = s.Record(noon(), test.late)
			mustDo(t, err)
			wantStatus(t, s, test.want)
			if n := s.Counts().Credits; n != test.left {
				t.Errorf("%d credits are left, want %d", n, test.left)
			}
			mustAgree(t, s)
		})
	}
}

func TestACreditLapses(t *testing.T) {
	s := lively(t)
	_, err := s.Record(noon(), []Sighting{{Fact: factOf(t, event("e", "vid_1", "x", 0)), Proof: Report}})
	mustDo(t, err, s.age(noon().Add(71*time.Hour)))
	if n := s.Counts().Credits; n != 1 {
		t.Fatalf("%d credits after 71 hours, want 1", n)
	}
	mustDo(t, s.age(noon().Add(73*time.Hour)))
	if n := s.Counts().Credits; n != 0 {
		t.Fatalf("%d credits after 73 hours, want none", n)
	}
	mustAgree(t, s)
}

// TestAReplaysEchoIsNoCredit is about a receiver that reports our own replay anonymously.
func TestAReplaysEchoIsNoCredit(t *testing.T) {
	s := lively(t)
	a := event("evt_a", "vid_1", "x", time.Hour)
	listed(t, s, a)
	judged(t, s, noon())
	settled(t, s, mustClaim(t, s, noon()), Seen, noon())
	for range 2 {
		_, err := s.Record(noon().Add(time.Second), []Sighting{{Fact: factOf(t, a), Proof: Report}})
		mustDo(t, err)
	}
	if n := s.Counts().Credits; n != 1 {
		t.Errorf("%d credits, want one: the first report is the replay's echo", n)
	}
}

func TestLookWithoutAState(t *testing.T) {
	var s *Store
	known, err := s.Look(Policy{Settle: settle, CollapseWindow: window}).Events(noon(), []heygen.Event{
		event("evt_a", "vid_1", "x", time.Hour), event("evt_b", "vid_1", "x", time.Hour-time.Minute),
	})
	mustDo(t, err)
	if known[0].Twin != "" || known[1].Twin != "evt_a" {
		t.Errorf("got %+v", known)
	}
}

func TestLookFindsAnIDUnderAnotherCreatedAt(t *testing.T) {
	s := lively(t)
	_, err := s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Tap}, {ID: "evt_new", Proof: Report}})
	mustDo(t, err)
	listed(t, s, event("evt_a", "vid_1", "x", 20*time.Hour), event("evt_new", "vid_2", "y", time.Hour))
	moved, older := event("evt_a", "vid_1", "x", 10*time.Hour), event("evt_old", "vid_2", "z", 2*time.Hour)
	known, err := s.Look(Policy{Settle: settle}).Events(noon(), []heygen.Event{moved, older})
	mustDo(t, err)
	if k := known[0]; !k.Elsewhere || k.Status != Seen || k.Proof != Tap {
		t.Errorf("the moved event is %+v", k)
	}
	if k := known[1]; k.Newer != "evt_new" || k.Status != 0 {
		t.Errorf("the older event is %+v", k)
	}
	listed(t, s, moved)
	judged(t, s, noon())
	wantStatus(t, s, map[string]Status{"evt_a": Seen})
	mustAgree(t, s)
}
