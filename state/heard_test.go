package state

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// What was heard before the events were known counts as what was heard for them alone.
func TestHeardOfAnyKnowsWhatHeardKnows(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		var events []heygen.Event
		for i := range 12 {
			events = append(events, event(fmt.Sprintf("evt_%02d", i), fmt.Sprintf("vid_%d", r.IntN(6)), "x", time.Duration(40-i)*time.Hour/4))
		}
		every, those := NewHeardOfAny(), NewHeard(events)
		for range r.IntN(20) {
			one := Sighting{At: noon().Add(-time.Duration(r.IntN(600)) * time.Minute), Proof: []Proof{Log, Tap}[r.IntN(2)]}
			if n := r.IntN(14); n < 12 {
				one.ID = events[n].ID
			}
			if r.IntN(2) == 0 {
				one.Fact = factOf(t, events[r.IntN(12)])
			}
			every.Add(noon(), one)
			those.Add(noon(), one)
		}
		every.Listed(events)
		var known [2][]Known
		for i, h := range []*Heard{every, those} {
			var err error
			known[i], err = (*Store)(nil).Look(Policy{Settle: settle, CollapseWindow: window, Heard: h}).Events(noon(), events)
			mustDo(t, err)
			for k := range known[i] {
				known[i][k].Credit = min(1, known[i][k].Credit) // the numbers are of no meaning
			}
		}
		if !slices.Equal(known[0], known[1]) {
			t.Fatalf("known\n%+v, want\n%+v", known[0], known[1])
		}
	}
}

// A push whose id is another one than that of its event counts by its content, once.
func TestHeardOfAnyMatchesByContent(t *testing.T) {
	a, b := event("evt_a", "vid_1", "x", 3*time.Hour), event("evt_b", "vid_2", "x", 2*time.Hour)
	h := NewHeardOfAny()
	for range 3 {
		h.Add(noon(), Sighting{ID: "pushed_as", Fact: factOf(t, a), At: a.CreatedAt, Proof: Log})
	}
	if n := len(h.credits(factOf(t, a))); n != 1 {
		t.Errorf("one push accounts for %d events", n)
	}
	h.Listed([]heygen.Event{a, b})
	known, err := (*Store)(nil).Look(Policy{Settle: settle, Heard: h}).Events(noon(), []heygen.Event{a, b})
	mustDo(t, err)
	if known[0].Linked != "pushed_as" || known[1].Credit != 0 || known[1].Reported != None {
		t.Errorf("known %+v", known)
	}
	h.Listed([]heygen.Event{event("pushed_as", "vid_1", "x", time.Hour)}) // it is another's after all
	if n := len(h.credits(factOf(t, a))); n != 0 {
		t.Errorf("the push of a listed event accounts for %d more", n)
	}
}

func TestHeardOfAnyIsBounded(t *testing.T) {
	h := NewHeardOfAny()
	h.most = 3
	for i := range 3 {
		for range 5 { // the same again costs nothing
			h.Add(noon(), Sighting{ID: fmt.Sprintf("evt_%d", i), Proof: Log})
		}
	}
	mustDo(t, h.Err())
	h.Add(noon(), Sighting{ID: "evt_3", Proof: Log})
	h.Add(noon(), Sighting{ID: "evt_4", Proof: Log})
	if err := h.Err(); err == nil || !strings.Contains(err.Error(), "more than 3 pushes") || !strings.Contains(err.Error(), "run `backstop reconcile` once") {
		t.Errorf("beyond the bound: %v", err)
	}
	if len(h.ids) != 3 {
		t.Errorf("%d are kept", len(h.ids))
	}
}
