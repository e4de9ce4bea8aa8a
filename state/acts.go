package state

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// ManualAct is something a person did by hand.
type ManualAct struct {
	Seq  uint64    `json:"-"` // its number, from 1 on
	At   time.Time `json:"-"`
	Who  string    `json:"who"`
	What string    `json:"what"`
	N    int       `json:"n"`             // of how many events; 0: of none in particular
	Why  string    `json:"why,omitempty"` // as the person said; "": nothing was said
	IDs  []string  `json:"ids,omitempty"` // the events, where they are few
}

// actNames is of how many events at most an act tells the ids.
const actNames = 10

// Act notes that a person did something to n events.
func (s *Store) Act(now time.Time, who, what string, n int) error {
	if err := s.update(false, func(t *tx) error { return t.act(now, who, what, n) }); err != nil {
		return fmt.Errorf("note what was done: %w", err)
	}
	return nil
}

// ActFilter chooses acts. The zero ActFilter chooses all that are kept: as long as finished events are.
type ActFilter struct {
	Since time.Time // inclusive; zero: no bound
	Until time.Time // exclusive; zero: no bound
	Limit int       // 0: all
}

func (f ActFilter) wants(at time.Time) bool {
	return !at.Before(f.Since) && (f.Until.IsZero() || at.Before(f.Until))
}

// Acts returns the last n notes of what was done by hand, newest first.
func (s *Store) Acts(n int) (acts []ManualAct, err error) {
	err = s.EachAct(context.Background(), ActFilter{Limit: n}, func(a ManualAct) error {
		acts = append(acts, a)
		return nil
	})
	return acts, err
}

// EachAct calls yield with the acts that a filter chooses, newest first. No transaction is open while yield runs.
func (s *Store) EachAct(ctx context.Context, f ActFilter, yield func(ManualAct) error) error {
	left := f.Limit
	for below := uint64(0); ; { // 0: from the newest on
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list acts: %w", err)
		}
		var acts []ManualAct
		err := s.view(func(t *tx) (err error) {
			acts, below, err = t.actsBelow(below, f)
			return err
		})
		if err != nil {
			return fmt.Errorf("list acts: %w", err)
		}
		for _, a := range acts {
			if err := yield(a); err != nil {
				return err
			}
			if left--; left == 0 {
				return nil
			}
		}
		if below == 0 {
			return nil
		}
	}
}

// actsBelow reads the next acts under a number, and gives the number to go on with; 0: there are no more.
func (t *tx) actsBelow(below uint64, f ActFilter) (acts []ManualAct, next uint64, err error) {
	c := t.bucket(bucketActs).Cursor()
	k, v := c.Last()
	if below > 0 {
		k, v = seekBefore(c, appendNumber(nil, below))
	}
	for ; k != nil; k, v = c.Prev() {
		if len(acts) == chunkRows {
			return acts, next, nil
		}
		next = numberAt(k)
		a, ok, err := readAct(k, v)
		if err != nil {
			return nil, 0, err
		}
		if ok && f.wants(a.At) {
			acts = append(acts, a)
		}
	}
	return acts, 0, nil
}

// readAct reads a stored act; false where it is damaged, which Check names.
func readAct(k, v []byte) (a ManualAct, ok bool, err error) {
	payload, ok := unseal(k, v)
	if !ok {
		return a, false, nil
	}
	a = ManualAct{Seq: numberAt(k), At: timeAt(payload)}
	if err := json.Unmarshal(tail(payload, 8), &a); err != nil {
		return a, false, fmt.Errorf("read what was done: %w", err)
	}
	if why, ok := strings.CutPrefix(a.What, "pause: "); ok { // as it was noted before acts had a reason
		a.What, a.Why = "pause", why
	}
	return a, true, nil
}

// ActsOf returns what was done by hand to an event, oldest first: the acts of the numbers that its row has, and those that
// name it, as of what was forgotten since. Pruned ones are left out.
func (s *Store) ActsOf(id string, numbers []uint64) (acts []ManualAct, err error) {
	quoted, err := json.Marshal(id)
	if err != nil {
		return nil, fmt.Errorf("acts of an event: %w", err)
	}
	err = s.view(func(t *tx) error {
		acts = nil
		return t.bucket(bucketActs).ForEach(func(k, v []byte) error {
			if !slices.Contains(numbers, numberAt(k)) && !bytes.Contains(v, quoted) {
				return nil
			}
			a, ok, err := readAct(k, v)
			if ok && (slices.Contains(numbers, a.Seq) || slices.Contains(a.IDs, id)) {
				acts = append(acts, a)
			}
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("acts of %q: %w", id, err)
	}
	return acts, nil
}

// actsKept is how many acts an event tells of: the last ones.
const actsKept = 20

// addAct adds the number of an act to those of an event; 0: there is none.
func addAct(list []uint64, seq uint64) []uint64 {
	if seq == 0 || slices.Contains(list, seq) {
		return list
	}
	return append(slices.Clone(list[max(0, len(list)+1-actsKept):]), seq)
}

// nextAct is the number that the next act of this transaction gets.
func (t *tx) nextAct() uint64 { return t.bucket(bucketActs).Sequence() + 1 }

// act notes a manual act in the transaction that does it.
func (t *tx) act(now time.Time, who, what string, n int) error {
	return t.noteAct(now, ManualAct{Who: who, What: what, N: n})
}

// noteAct is act with all that is known of it. Ids are left out where they are many.
func (t *tx) noteAct(now time.Time, a ManualAct) error {
	b := t.bucket(bucketActs)
	seq, err := b.NextSequence()
	if err != nil {
		return fmt.Errorf("number an act: %w", err)
	}
	return t.putAct(b, seq, now, a)
}

func (t *tx) putAct(b *bbolt.Bucket, seq uint64, at time.Time, a ManualAct) error {
	if len(a.IDs) > actNames {
		a.IDs = nil
	}
	story, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("write an act: %w", err)
	}
	return t.put(b, appendNumber(nil, seq), append(appendTime(nil, at), story...))
}

// countAct notes of how many events an act is, once that is known.
func (t *tx) countAct(seq uint64, n int, ids []string) error {
	b, key := t.bucket(bucketActs), appendNumber(nil, seq)
	a, ok, err := readAct(key, b.Get(key))
	if err != nil || !ok {
		return err
	}
	a.N, a.IDs = n, ids
	return t.putAct(b, a.Seq, a.At, a)
}

// widenAct adds events to an act that goes on, where it is the same person's; false where it is not, or is gone.
func (t *tx) widenAct(more ManualAct) (bool, error) {
	b, key := t.bucket(bucketActs), appendNumber(nil, more.Seq)
	a, ok, err := readAct(key, b.Get(key))
	if err != nil || !ok || a.Who != more.Who || a.What != more.What {
		return false, err
	}
	a.N += more.N
	a.IDs = nil // there are more than a few
	return true, errors.Join(err, t.putAct(b, a.Seq, a.At, a))
}
