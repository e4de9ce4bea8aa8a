package state

import (
	"fmt"
	"math"
	"slices"
	"time"

	"backstop/internal/heygen"
)

// mostHeard bounds the memory of a Heard that listens for every event: some hundred bytes for each push.
const mostHeard = 2_000_000

// Heard is what is known of some events and not in the state: what a preview has read from sources that it may not
// record. A nil Heard knows nothing. It belongs to one goroutine.
type Heard struct {
	events []heygen.Event
	every  bool                 // also of events that are not listed yet
	most   int                  // sightings that are kept where every is set
	kept   int                  // of them so far
	over   bool                 // there were more
	ids    map[string]heardID   // of the events, or where every is set of all that was told
	facts  map[heygen.Fact]bool // of the events; nil until a push without an id asks for it
	pushes map[heygen.Fact][]credit
	count  uint64
}

// heardID is what is known of an id; without a proof nothing yet.
type heardID struct {
	at     time.Time
	proof  Proof
	listed bool // it is an event's: the content of its pushes is nobody else's
}

// NewHeard begins to listen for events. What is said about others is passed over, so a source may tell of any number.
func NewHeard(events []heygen.Event) *Heard {
	h := &Heard{events: events, ids: make(map[string]heardID, len(events)), pushes: make(map[heygen.Fact][]credit)}
	h.Listed(events)
	return h
}

// NewHeardOfAny begins to listen for whatever is said, so that sources are read once for events that come to be known
// later: Listed tells of them. It keeps two million sightings at most; see Err.
func NewHeardOfAny() *Heard {
	return &Heard{every: true, most: mostHeard, ids: make(map[string]heardID), pushes: make(map[heygen.Fact][]credit)}
}

// Listed notes that these events are in the listing. It comes before they are looked up.
func (h *Heard) Listed(events []heygen.Event) {
	for _, e := range events {
		one, told := h.ids[e.ID]
		if told || !h.every { // of any number of events only those are kept that something is said of
			one.listed = true
			h.ids[e.ID] = one
		}
	}
}

// Err says that more was told than is kept; nil: it was not.
func (h *Heard) Err() error {
	if !h.over {
		return nil
	}
	return fmt.Errorf("the sources hold more than %d pushes that were not read yet; "+
		"run `backstop reconcile` once with this configuration, which reads them into the state", h.most)
}

// Add takes in one sighting; one without a time came now.
func (h *Heard) Add(now time.Time, one Sighting) {
	if one.At.IsZero() {
		one.At = now
	}
	old, told := h.ids[one.ID]
	named := one.ID != "" && (told || h.every) && one.Proof.Stronger(old.proof)
	again := one.ID != "" && old.proof != None // one push accounts for one event, however often it is told
	pushed := !old.listed && !again && h.isFact(one.Fact)
	if !named && !pushed || !h.room() {
		return
	}
	if named {
		h.ids[one.ID] = heardID{at: one.At, proof: one.Proof, listed: old.listed}
	}
	if pushed {
		h.count++ // from the end: no number of a stored credit
		c := credit{seq: math.MaxUint64 - h.count, fact: one.Fact, at: one.At, proof: one.Proof, id: one.ID}
		h.pushes[one.Fact] = append(h.pushes[one.Fact], c)
	}
}

// room reports whether one more is kept.
func (h *Heard) room() bool {
	if !h.every {
		return true
	}
	h.over = h.over || h.kept >= h.most
	h.kept++
	return !h.over
}

// isFact reports whether an event has this content, or may have it.
func (h *Heard) isFact(fact heygen.Fact) bool {
	if fact.IsZero() || h.every {
		return !fact.IsZero()
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
	return Sighting{ID: id, At: one.at, Proof: one.proof}, one.proof != None
}

// credits gives the pushes of a content that are not known to be of an event of their own.
func (h *Heard) credits(fact heygen.Fact) []credit {
	if h == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(h.pushes[fact]), func(c credit) bool { return h.ids[c.id].listed })
}
