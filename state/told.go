package state

import (
	"slices"
	"time"

	"backstop/internal/heygen"
)

// Several sources may tell of one push, each once: the tap when it passes, a log when it is read. And the receiver may tell of
// a replay as if it were a push. It counts once.
const (
	// sameWithin is how far apart sources of different kinds may say that one push came in.
	sameWithin = 5 * time.Minute
	// echoFor is how long after a replay it may still be told without an id.
	echoFor = time.Hour
)

// telling is a push, or a replay, that was accounted for, and by which kinds of sources it was told. It is kept in memory
// alone: after a start what is told again without an id may count twice.
type telling struct {
	number uint64
	at     time.Time
	told   uint16 // bits of proofs
	replay bool
}

// of reports whether something told at a time by a kind of source may be this one.
func (l telling) of(at time.Time, proof Proof) bool {
	age := at.Sub(l.at)
	switch {
	case l.told&bit(proof) != 0:
		return false
	case l.replay:
		return age > -time.Minute && age < echoFor
	}
	return age.Abs() <= sameWithin
}

// retold takes what is told without an id for one that was told before, by another kind of source.
func (t *tx) retold(fact heygen.Fact, at time.Time, proof Proof) bool {
	o := t.over()
	for _, l := range t.s.rows.tellings(fact) {
		l.told |= o.told[l.number]
		if l.of(at, proof) {
			o.told[l.number] |= bit(proof)
			t.after(func() { t.s.rows.tell(fact, l.number, proof) })
			return true
		}
	}
	return false
}

// replayed notes that the receiver took a replay.
func (t *tx) replayed(fact heygen.Fact, at time.Time) {
	t.noteTold(fact, telling{at: at, told: bit(Replay), replay: true})
}

// pushed notes that a push was accounted for, told by these kinds of sources. What others have told of it without an id is
// spent with it. While nobody tells of pushes without an id there is nothing to note.
func (t *tx) pushed(now time.Time, fact heygen.Fact, at time.Time, told uint16) error {
	if fact.IsZero() || now.Sub(at) > echoFor || !t.s.rows.anonymous.Load() {
		return nil
	}
	for _, c := range t.creditsOf(fact) {
		if c.id == "" && c.told&told == 0 && c.at.Sub(at).Abs() <= sameWithin {
			told |= c.told
			if err := t.spend(c); err != nil {
				return err
			}
		}
	}
	t.noteTold(fact, telling{at: at, told: told})
	return nil
}

func (t *tx) noteTold(fact heygen.Fact, l telling) {
	if !fact.IsZero() {
		t.after(func() { t.s.rows.noteTold(fact, l) })
	}
}

func (r *rows) noteTold(fact heygen.Fact, l telling) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.told) >= recentLimit {
		clear(r.told) // a bound; what is taken for a push of its own then lapses by time
	}
	r.tellingCount++
	l.number = r.tellingCount
	r.told[fact] = append(slices.DeleteFunc(r.told[fact], func(o telling) bool { return l.at.Sub(o.at) > echoFor }), l)
}

func (r *rows) tellings(fact heygen.Fact) []telling {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told[fact])
}

func (r *rows) tell(fact heygen.Fact, number uint64, proof Proof) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.told[fact] {
		if r.told[fact][i].number == number {
			r.told[fact][i].told |= bit(proof)
		}
	}
}

// forgetTold drops what is too old to be told again.
func (r *rows) forgetTold(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for fact, list := range r.told {
		list = slices.DeleteFunc(list, func(l telling) bool { return now.Sub(l.at) > echoFor })
		if r.told[fact] = list; len(list) == 0 {
			delete(r.told, fact)
		}
	}
}
