package state

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// fill adds records until the store refuses, and returns how many went in.
func fill(t *testing.T, s *Store, size int) int {
	t.Helper()
	for i := range 10_000 {
		err := s.update(true, func(t *tx) error {
			return t.put(t.bucket(bucketReported), []byte("fill "+strconv.Itoa(i)), make([]byte, size))
		})
		if errors.Is(err, ErrFull) {
			return i
		}
		mustDo(t, err)
	}
	t.Fatal("it never became full")
	return 0
}

func TestFullIsNotBroken(t *testing.T) {
	o := optionsIn(t)
	o.MaxSize = 2 << 20 // full at half of it
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, o)
		n := fill(t, s, 10_000)
		mustName(t, s.Full(), o.Path, "state.max_size", "raise it")
		if err := s.Err(); err != nil {
			t.Fatalf("being full latched the store: %v", err)
		}
		// What adds nothing goes on: outcomes, and what frees space.
		mustDo(t, s.SetPaired())
		for i := range n {
			mustDo(t, unwrite(s, "fill "+strconv.Itoa(i)))
		}
		if err := write(s, "too soon", true); !errors.Is(err, ErrFull) {
			t.Errorf("within the minute: %v, want ErrFull still", err)
		}
		time.Sleep(fullAgain)
		if err := write(s, "in time", true); err != nil {
			t.Errorf("it did not heal by itself: %v", err)
		}
		if err := s.Full(); err != nil {
			t.Errorf("asked again it says %v", err)
		}
		mustDo(t, unwrite(s, "in time"))
		mustBeClean(t, s)
	})
}

func TestAlmostNoDiskSpaceIsFull(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	left := uint64(minFree - 1)
	s.space.free = func(string) (uint64, error) { return left, nil }
	if err := write(s, "a", true); !errors.Is(err, ErrFull) {
		t.Fatalf("answered %v, want ErrFull", err)
	}
	mustDo(t, write(s, "b", false))
	left = minFree
	mustDo(t, s.Full(), write(s, "c", true))
	// What can't be measured is not full.
	s.space.free = func(string) (uint64, error) { return 0, errors.New("no such system call") }
	mustDo(t, write(s, "d", true))
}

// One transaction that is larger than all that is left is refused by bbolt; the store is full then, and not broken, and what
// shares the commit and adds nothing is made.
func TestAGiantTransactionIsRefusedWhole(t *testing.T) {
	o := optionsIn(t)
	o.MaxSize = 2 << 20
	s := mustOpen(t, o)
	giant := &call{grow: true, fn: func(t *tx) error {
		for i := range 5000 {
			if err := t.put(t.bucket(bucketReported), fmt.Appendf(nil, "giant %d", i), make([]byte, 10_000)); err != nil {
				return err
			}
		}
		return nil
	}}
	small := &call{fn: func(t *tx) error { return t.setPaired(noon(), 0) }}
	s.commitBatch([]*call{giant, small})
	if !errors.Is(giant.err, ErrFull) {
		t.Errorf("the giant was answered %v, want ErrFull", giant.err)
	}
	if small.err != nil || !s.Paired() {
		t.Errorf("the small one was answered %v", small.err)
	}
	if err := s.Err(); err != nil {
		t.Errorf("it latched the store: %v", err)
	}
	mustBeClean(t, s)
}
