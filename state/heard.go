package state

import (
	"math"
	"time"

	"backstop/internal/heygen"
)

// Heard is what is known of some events and not in the state: what a preview has read from sources that it may not
// record. A nil Heard knows nothing. It belongs to one goroutine.
type Heard struct {
	events []heygen.Event
	ids    map[string]Sighting  // of the events; the zero Sighting: nothing yet
	facts  map[heygen.Fact]bool // of the events; nil until a push without an id asks for it
	pushes map[heygen.Fact][]credit
	count  uint64
}

// NewHeard begins to listen for events. What is said about others is passed over, so a source may tell of any number.
func NewHeard(events []heygen.Event) *Heard {
	h := &Heard{events: events, ids: make(map[string]Sighting, len(events)), pushes: make(map[heygen.Fact][]credit)}
	for _, e := range events {
		h.ids[e.ID] = Sighting{}
	}
	return h
}

// Add takes in one sighting; one without a time came now.
func (h *Heard) Add(now time.Time, one Sighting) {
	if one.At.IsZero() {
		one.At = now
	}
	old, listed := h.ids[one.ID]
	switch {
	case listed:
		if one.Proof.Stronger(old.Proof) {
			h.ids[one.ID] = one
		}
	case h.isFact(one.Fact):
		h.count++ // from the end: no number of a stored credit
		c := credit{seq: math.MaxUint64 - h.count, fact: one.Fact, at: one.At, proof: one.Proof, id: one.ID}
		h.pushes[one.Fact] = append(h.pushes[one.Fact], c)
	}
}

// isFact reports whether an event has this content.
func (h *Heard) isFact(fact heygen.Fact) bool {
	if fact.IsZero() {
		return false
	}
	if h.facts == nil {
		h.facts = make(map[heygen.Fact]bool, len(h.events))
		for _, e := range h.events {
			of, _ := e.Fact()
			h.facts[of] = true
		}
	}
	return h.facts[fact]
}

func (h *Heard) id(id string) (Sighting, bool) {
	if h == nil {
		return Sighting{}, false
	}
	one := h.ids[id]
	return one, one.Proof != None
}

func (h *Heard) credits(fact heygen.Fact) []credit {
	if h == nil {
		return nil
	}
	return h.pushes[fact]
}
