package state

import (
	"maps"
	"slices"
	"time"

	"backstop/internal/heygen"
)

// wanted is what one range scan of the ledger looks for.
type wanted struct {
	ids      map[string]subject
	facts    map[uint64][]subject
	entities map[uint64][]subject
	days     map[uint32]bool
	window   time.Duration
	history  bool
}

// scan reads the ledger once for all subjects that are still open and settled, each in its own day and its neighbours: for
// the same id under another created_at, the same fact within the window, and a newer seen event of the same entity.
func (t *tx) scan(subjects []subject, p Policy) {
	w := wanted{
		ids: make(map[string]subject), facts: make(map[uint64][]subject), entities: make(map[uint64][]subject),
		days: make(map[uint32]bool), window: p.CollapseWindow, history: p.History,
	}
	for _, q := range subjects {
		if q.settled && q.open() {
			w.add(q)
		}
	}
	for _, day := range slices.Sorted(maps.Keys(w.days)) {
		t.dayLines(day, func(key []byte, l line) bool {
			t.compare(&w, day, key, l)
			return true
		})
	}
}

func (w *wanted) add(q subject) {
	w.ids[q.event.ID] = q
	w.days[0] = true
	if q.place.created.IsZero() {
		return
	}
	day := dayOf(q.place.created)
	w.days[day-1], w.days[day], w.days[day+1] = true, true, true
	if hash := factHash(q.fact); hash != 0 && w.window > 0 {
		w.facts[hash] = append(w.facts[hash], q)
	}
	if q.entity != 0 {
		w.entities[q.entity] = append(w.entities[q.entity], q)
	}
}

func (t *tx) compare(w *wanted, day uint32, key []byte, l line) {
	id := keyID(day, key)
	if q, ok := w.ids[string(id)]; ok {
		if w.history && l.proof == Baseline {
			return
		}
		t.fromLedger(q, ledgerPlace(day, key), l)
		q.Elsewhere = true
		return
	}
	if l.status != Seen || day == 0 {
		return
	}
	created := timeAt(key)
	if l.fact != 0 && l.receipt() {
		for _, q := range w.facts[l.fact] {
			if q.Twin == "" && q.place.created.Sub(created).Abs() <= w.window {
				q.Twin, q.TwinStatus, q.TwinProof = string(id), Seen, l.proof
			}
		}
	}
	if l.entity != 0 && l.proof != Baseline {
		for _, q := range w.entities[l.entity] {
			if created.After(q.place.created) {
				q.Newer = string(id)
			}
		}
	}
}

// unfinished lists the unfinished events that may be the kept ones of subjects: the same fact within the window. Dead ones
// are not among them, and those that wait for their own kept event neither.
func (t *tx) unfinished(subjects []subject, window time.Duration) (map[heygen.Fact][]sight, error) {
	facts := make(map[uint64]heygen.Fact)
	var oldest, newest time.Time
	for _, q := range subjects {
		if window <= 0 || q.fact.IsZero() || q.place.created.IsZero() || !q.open() || q.Twin != "" {
			continue
		}
		facts[factHash(q.fact)] = q.fact
		if oldest.IsZero() {
			oldest = q.place.created
		}
		newest = q.place.created
	}
	found := make(map[heygen.Fact][]sight)
	if len(facts) == 0 {
		return found, nil
	}
	for _, stage := range []byte{stageSettling, stageListed, stageLive, stageOld} {
		t.stageRows(stage, place{created: oldest.Add(-window)}, func(p place, e entry) bool {
			if fact, ok := facts[e.fact]; ok {
				found[fact] = append(found[fact], sight{place: p, status: e.status})
			}
			return !p.created.After(newest)
		})
	}
	return found, t.confirm(found)
}

// confirm drops events whose fact only looks the same in its short form.
func (t *tx) confirm(found map[heygen.Fact][]sight) error {
	for fact, list := range found {
		var same []sight
		for _, m := range list {
			r, err := t.readOpen(m.place.id, false)
			if err != nil {
				return err
			}
			if r != nil && r.fact == fact {
				same = append(same, m)
			}
		}
		found[fact] = same
	}
	return nil
}
