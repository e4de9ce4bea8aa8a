package state

import (
	"math"
	"time"

	"backstop/internal/heygen"
)

// Heard is what is known of the receiver and not in the state: what a preview has read from sources that it may not
// record. The zero Heard, and nil, know nothing. It belongs to one goroutine.
type Heard struct {
	ids   map[string]Sighting
	facts map[heygen.Fact][]credit
	count uint64
}

// Add takes in one sighting; one without a time came now.
func (h *Heard) Add(now time.Time, one Sighting) {
	if one.At.IsZero() {
		one.At = now
	}
	switch {
	case one.ID != "":
		if h.ids == nil {
			h.ids = make(map[string]Sighting)
		}
		if old, ok := h.ids[one.ID]; !ok || one.Proof.Stronger(old.Proof) {
			h.ids[one.ID] = one
		}
	case !one.Fact.IsZero():
		if h.facts == nil {
			h.facts = make(map[heygen.Fact][]credit)
		}
		h.count++ // from the end: no number of a stored credit
		c := credit{seq: math.MaxUint64 - h.count, fact: one.Fact, at: one.At, proof: one.Proof}
		h.facts[one.Fact] = append(h.facts[one.Fact], c)
	}
}

func (h *Heard) id(id string) (Sighting, bool) {
	if h == nil {
		return Sighting{}, false
	}
	one, ok := h.ids[id]
	return one, ok
}

func (h *Heard) credits(fact heygen.Fact) []credit {
	if h == nil {
		return nil
	}
	return h.facts[fact]
}
