package simulate

import (
	"slices"
	"time"
)

// Event is one event with everything the world knows about it, for judges and tests.
type Event struct {
	ID        string
	Type      string
	Entity    string
	Data      []byte    // event_data, byte for byte as listed
	CreatedAt time.Time // whole UTC seconds
	ListedAt  time.Time // zero for history: always listed
	Fate      Fate      // of its push
	Delivered time.Time // first 2xx of the receiver; zero: none
}

// event is the inside of Event: cheap to make, with the texts not yet written.
type event struct {
	record
	at uint64 // position: 0 is the oldest
}

// size is the number of positions in use.
func (w *World) sizeLocked() uint64 { return uint64(w.o.Events + len(w.fresh)) }

func (w *World) historic(at uint64) bool { return at < uint64(w.o.Events) }

func (w *World) eventLocked(at uint64) event {
	if w.historic(at) {
		return event{record: w.past(at), at: at}
	}
	return event{record: w.fresh[at-uint64(w.o.Events)], at: at}
}

// past computes a historic event from its position.
func (w *World) past(at uint64) record {
	k, owner := w.pastKind(at)
	created := w.pastTime(at)
	return record{kind: k, owner: owner, source: at, created: created, fate: NoPush}
}

// pastKind tells type and entity of a historic event.
func (w *World) pastKind(at uint64) (kind, uint64) {
	k, back := w.shape(at)
	if back == 0 || back > at {
		return k, at
	}
	if base, further := w.shape(at - back); further != 0 || base.name != baseType {
		return k, at
	}
	return w.follower(back), at - back
}

// How many events later a video's GIF and captions come. Two distances for two types: no
// entity gets two events of one type, which would be one fact.
const (
	gifAfter     = 3
	captionAfter = 7
)

// shape draws the type of an event by itself, and how far back the event lies that it would
// like to follow; 0 is none.
func (w *World) shape(at uint64) (k kind, back uint64) {
	r := draws(w.o.Seed, streamShape, at)
	if w.follow {
		switch r.IntN(8) {
		case 0:
			back = gifAfter
		case 1:
			back = captionAfter
		}
	}
	n := r.IntN(w.weight)
	for _, k := range w.kinds {
		if n -= k.weight; n < 0 {
			return k, back
		}
	}
	return w.kinds[0], back
}

func (w *World) follower(back uint64) kind {
	if back == gifAfter {
		return kindNamed(w.kinds, gifType)
	}
	return kindNamed(w.kinds, captionType)
}

// pastTime spreads history over the span: one event in each equal slice, at a random place in
// it, so that times rise with the position and some share a second.
func (w *World) pastTime(at uint64) time.Time {
	slice := float64(w.o.Span) / float64(w.o.Events)
	in := draws(w.o.Seed, streamTime, at).Float64()
	t := w.o.Start.Add(-w.o.Span).Add(time.Duration((float64(at) + in) * slice))
	return t.Truncate(time.Second)
}

func (w *World) idOf(at uint64) string { return "evt_" + name(w.o.Seed, streamID, at) }

// positionOf reads a position back from an id; false when it names no event of this world.
func (w *World) positionLocked(id string) (uint64, bool) {
	if len(id) < 4 || id[:4] != "evt_" {
		return 0, false
	}
	at, ok := number(w.o.Seed, streamID, id[4:])
	return at, ok && at < w.sizeLocked()
}

// entityOf is the entity of an event, 32 hex digits unless a caller chose one.
func (w *World) entityOf(e event) string {
	if e.entity != "" {
		return e.entity
	}
	return name(w.o.Seed, streamEntity, e.owner)
}

// dataOf writes an event's event_data. A twin has its original's.
func (w *World) dataOf(e event) []byte {
	if e.data != nil {
		return e.data
	}
	return eventData(draws(w.o.Seed, streamData, e.source), e.kind, w.entityOf(e), e.created.Add(or(w.o.LinkLife, linkLife)))
}

func (w *World) export(e event) Event {
	return Event{
		ID: w.idOf(e.at), Type: e.kind.name, Entity: w.entityOf(e), Data: w.dataOf(e),
		CreatedAt: e.created, ListedAt: e.listed, Fate: e.fate, Delivered: e.delivered,
	}
}

// bearersLocked returns the positions of all events of an entity, ascending.
func (w *World) bearersLocked(entity string) []uint64 {
	if found, ok := w.named[entity]; ok {
		return found
	}
	owner, ok := number(w.o.Seed, streamEntity, entity)
	if !ok || owner >= w.sizeLocked() {
		return nil
	}
	var found []uint64
	for _, at := range []uint64{owner, owner + gifAfter, owner + captionAfter} {
		if at < w.sizeLocked() && w.bearsLocked(at, owner) {
			found = append(found, at)
		}
	}
	found = append(found, w.twins[owner]...)
	slices.Sort(found)
	return slices.Compact(found)
}

func (w *World) bearsLocked(at, owner uint64) bool {
	e := w.eventLocked(at)
	return e.entity == "" && e.owner == owner
}
