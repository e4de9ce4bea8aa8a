package simulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Recipe says what Create makes. What is left out follows from the seed.
type Recipe struct {
	Type    string          // "": drawn
	Entity  string          // with Data it only serves the entity_id filter
	Data    json.RawMessage // event_data byte for byte; nil: written for the type
	Created time.Time       // zero: now. An older time leaves the event at the head of the listing
	Hidden  time.Duration   // listed so much later; 0: as Faults draw it; negative: at once
	Push    Fate
}

// maxData is the largest event_data that Create takes.
const maxData = 128 << 20

// Create makes one event and queues its push; Run or Deliver sends it.
func (w *World) Create(r Recipe) (Event, error) {
	if err := r.check(); err != nil {
		return Event{}, fmt.Errorf("create event: %w", err)
	}
	now := w.now()
	w.mu.Lock()
	e := w.createLocked(r, now)
	w.mu.Unlock()
	w.nudge()
	return w.export(e), nil
}

func (r Recipe) check() error {
	if len(r.Data) > maxData {
		return errors.New("event_data is too large")
	}
	if r.Data != nil && (!json.Valid(r.Data) || trimmed(r.Data)[0] != '{') {
		return errors.New("event_data is no JSON object")
	}
	if r.Push > Refused {
		return fmt.Errorf("push %s cannot be asked for", r.Push)
	}
	return nil
}

func trimmed(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

func (w *World) createLocked(r Recipe, now time.Time) event {
	at := w.sizeLocked()
	draw := draws(w.o.Seed, streamFate, at)
	e := event{at: at, record: w.freshLocked(at, r, now)}
	e.listed = w.listedFrom(draw, r, now)
	e.fate = w.fateFor(draw, r.Push)
	w.addLocked(e)
	w.queueLocked(e, now)
	if draw.Float64() < w.o.Twins {
		w.twinLocked(e)
	}
	return e
}

// freshLocked settles type, entity, content and time of a new event.
func (w *World) freshLocked(at uint64, r Recipe, now time.Time) record {
	k, owner := w.nextKindLocked(at)
	if r.Type != "" {
		k, owner = kindNamed(catalogue(), r.Type), at
	}
	created := w.stampLocked(now)
	if !r.Created.IsZero() {
		created = r.Created.UTC().Truncate(time.Second)
	}
	return record{kind: k, owner: owner, source: at, entity: r.Entity, data: r.Data, created: created}
}

func (w *World) nextKindLocked(at uint64) (kind, uint64) {
	k, back := w.shape(at)
	if back == 0 || back > at {
		return k, at
	}
	base := w.eventLocked(at - back)
	if base.kind.name != baseType || base.owner != base.at || base.source != base.at || base.entity != "" || base.data != nil {
		return k, at
	}
	return w.follower(back), base.at
}

// stampLocked is now in whole seconds, never before the newest event: the listing's order by
// position is its order by time.
func (w *World) stampLocked(now time.Time) time.Time {
	stamp := now.Truncate(time.Second)
	if size := w.sizeLocked(); size > 0 {
		if last := w.eventLocked(size - 1).created; last.After(stamp) && last.Sub(stamp) < time.Minute {
			return last
		}
	}
	return stamp
}

func (w *World) listedFrom(draw *rand.Rand, r Recipe, now time.Time) time.Time {
	late := draw.Float64() < w.faults.LateListing
	switch {
	case r.Hidden > 0:
		return now.Add(r.Hidden)
	case r.Hidden == 0 && late:
		return now.Add(w.faults.lateListingBy())
	}
	return now
}

func (w *World) fateFor(draw *rand.Rand, asked Fate) Fate {
	drawn := w.o.fate(draw)
	switch {
	case w.o.PushURL == "":
		return NoPush
	case asked == Drawn:
		return drawn
	}
	return asked
}

// twinLocked lists the fact of e once more under its own id, as for a second endpoint.
func (w *World) twinLocked(e event) {
	twin := e
	twin.at, twin.fate = w.sizeLocked(), NoPush
	w.addLocked(twin)
	w.tally.twins++
	if e.entity == "" {
		w.twins[e.owner] = append(w.twins[e.owner], twin.at)
	}
}

func (w *World) addLocked(e event) {
	w.fresh = append(w.fresh, e.record)
	w.types[e.kind.name] = true
	w.tally.types[e.kind.name]++
	if e.entity != "" {
		w.named[e.entity] = append(w.named[e.entity], e.at)
	}
	w.shuffleInLocked(e.at)
}
