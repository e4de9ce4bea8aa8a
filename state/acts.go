package state

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// ManualAct is something a person did by hand.
type ManualAct struct {
	Seq  uint64    `json:"-"` // its number, from 1 on
	At   time.Time `json:"-"`
	Who  string    `json:"who"`
	What string    `json:"what"`
	N    int       `json:"n"` // of how many events
}

// Act notes that a person did something to n events.
func (s *Store) Act(now time.Time, who, what string, n int) error {
	if err := s.update(false, func(t *tx) error { return t.act(now, who, what, n) }); err != nil {
		return fmt.Errorf("note what was done: %w", err)
	}
	return nil
}

// Acts returns the last n notes of what was done by hand, newest first.
func (s *Store) Acts(n int) ([]ManualAct, error) {
	var acts []ManualAct
	err := s.view(func(t *tx) error {
		c := t.bucket(bucketActs).Cursor()
		for k, v := c.Last(); k != nil && len(acts) < n; k, v = c.Prev() {
			payload, ok := unseal(k, v)
			if !ok {
				continue // Check names it
			}
			a := ManualAct{Seq: numberAt(k), At: timeAt(payload)}
			if err := json.Unmarshal(tail(payload, 8), &a); err != nil {
				return fmt.Errorf("read what was done: %w", err)
			}
			acts = append(acts, a)
		}
		return nil
	})
	return acts, err
}

// actsKept is how many acts an event tells of: the last ones.
const actsKept = 20

// addAct adds the number of an act to those of an event.
func addAct(list []uint64, seq uint64) []uint64 {
	return append(slices.Clone(list[max(0, len(list)+1-actsKept):]), seq)
}

// nextAct is the number that the next act of this transaction gets.
func (t *tx) nextAct() uint64 { return t.bucket(bucketActs).Sequence() + 1 }

// act notes a manual act in the transaction that does it.
func (t *tx) act(now time.Time, who, what string, n int) error {
	b := t.bucket(bucketActs)
	seq, err := b.NextSequence()
	if err != nil {
		return fmt.Errorf("number an act: %w", err)
	}
	story, err := json.Marshal(ManualAct{Who: who, What: what, N: n})
	if err != nil {
		return fmt.Errorf("write an act: %w", err)
	}
	return t.put(b, appendNumber(nil, seq), append(appendTime(nil, now), story...))
}
