package simulate

import "maps"

// Stats are the world's own books, to compare with what others claim. New events only, but for
// Listed, History and Types.
type Stats struct {
	Seed    uint64         `json:"seed"`
	History int            `json:"history"` // events from before the world began
	Listed  int            `json:"listed"`  // in the listing now, history included
	Hidden  int            `json:"hidden"`  // made, and not yet listed
	Made    int            `json:"made"`    // new events, twins included
	Twins   int            `json:"twins"`   // facts listed a second time
	Pushed  int            `json:"pushed"`  // events whose push got a 2xx from the receiver
	Lost    int            `json:"lost"`    // events whose push never reached it
	Ways    map[string]int `json:"lost_by"` // the same by way of loss
	Late    int            `json:"late"`
	Doubled int            `json:"doubled"`
	Waiting int            `json:"waiting"` // pushes on their way or waiting for their time
	Tries   int            `json:"tries"`   // POSTs, and what stands for them where a push is lost
	Failed  int            `json:"failed"`  // tries without a 2xx
	Types   map[string]int `json:"by_type"` // all events by type, history included

	Requests int            `json:"requests"` // to the API
	LookUps  int            `json:"look_ups"` // of them, for a video, a translation and so on
	Faults   map[string]int `json:"faults"`   // answers gone wrong, by fault; "slow" beside them
}

// tally is the part of the books that is kept as things happen.
type tally struct {
	pushed, answered, late, doubled, twins, tries, failed, requests, lookUps int

	lost   map[Fate]int
	types  map[string]int
	faults map[string]int
}

func newTally() tally {
	return tally{lost: map[Fate]int{}, types: map[string]int{}, faults: map[string]int{}}
}

// Stats returns the books as they stand. The first call counts the history by type, which
// takes a moment where there is a million of it.
func (w *World) Stats() Stats {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.tally
	s := Stats{
		Seed: w.o.Seed, History: w.o.Events, Made: len(w.fresh), Twins: t.twins,
		Pushed: t.pushed, Ways: map[string]int{}, Late: t.late, Doubled: t.doubled,
		Waiting: len(w.queue) + w.flying, Tries: t.tries, Failed: t.failed,
		Types: maps.Clone(w.countedLocked()), Requests: t.requests, LookUps: t.lookUps, Faults: maps.Clone(t.faults),
	}
	for _, r := range w.fresh {
		if r.listed.After(now) {
			s.Hidden++
		}
	}
	s.Listed = s.History + s.Made - s.Hidden
	for way, n := range t.lost {
		s.Lost += n
		s.Ways[way.String()] = n
	}
	for name, n := range t.types {
		s.Types[name] += n
	}
	return s
}

func (w *World) countedLocked() map[string]int {
	if w.counted == nil {
		w.counted = map[string]int{}
		for at := range uint64(w.o.Events) {
			k, _ := w.pastKind(at)
			w.counted[k.name]++
		}
	}
	return w.counted
}

// Listed returns the ids in the listing now, oldest first.
func (w *World) Listed() []string {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make([]string, 0, w.sizeLocked())
	for at := range w.sizeLocked() {
		if w.visibleLocked(at, now) {
			ids = append(ids, w.idOf(at))
		}
	}
	return ids
}

// Made returns every event made since the world began, oldest first.
func (w *World) Made() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	made := make([]Event, 0, len(w.fresh))
	for i := range w.fresh {
		made = append(made, w.export(w.eventLocked(uint64(w.o.Events+i))))
	}
	return made
}

// Event returns the event of an id; false when the world has none.
func (w *World) Event(id string) (Event, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.positionLocked(id)
	if !ok {
		return Event{}, false
	}
	return w.export(w.eventLocked(at)), true
}
