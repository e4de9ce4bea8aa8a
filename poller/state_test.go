package poller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// The same walk over the real state: every commit may fail in both ways, after
// which the store is reopened, as a restart would.
func TestKillsOverTheRealState(t *testing.T) {
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			w := newWorld(600, time.Minute)
			failing := true
			o := state.Options{Path: filepath.Join(t.TempDir(), "backstop.db"), Fault: func(point string) error {
				if failing && r.IntN(8) == 0 {
					return fmt.Errorf("%s: %w", point, errDisk)
				}
				return nil
			}}
			for try := 0; ; try++ {
				failing = try < 12
				if walkOnce(t, w, o, r, failing) {
					break
				}
				if !failing {
					t.Fatalf("seed %d: the walk does not end though nothing fails", seed)
				}
			}
			failing = false
			checkState(t, w, o, seed)
		})
	}
}

// walkOnce opens the state, walks, and reports whether the walk was complete.
func walkOnce(t *testing.T, w *world, o state.Options, r *rand.Rand, failing bool) bool {
	t.Helper()
	s, err := state.Open(o)
	if err != nil {
		if !failing {
			t.Fatalf("open: %v", err)
		}
		return false
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result, err := New(w, s, testOptions()).Walk(ctx, state.Poll, func(context.Context) error {
		if failing && r.IntN(40) == 0 {
			cancel()
		}
		return nil
	})
	if err == nil != result.Complete {
		t.Errorf("complete %v with error %v", result.Complete, err)
	}
	return result.Complete
}

func checkState(t *testing.T, w *world, o state.Options, seed uint64) {
	t.Helper()
	s, err := state.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := w.asked()
	result := walkAll(t, New(w, s, testOptions()), state.Poll)
	if result.Tally.New != 0 {
		t.Errorf("seed %d: walking again found %d events more", seed, result.Tally.New)
	}
	if got := w.asked() - before; got > 6 {
		t.Errorf("seed %d: the second walk took %d requests; the mark was lost", seed, got)
	}
	for _, x := range w.rows {
		row, err := s.Event(x.event.ID)
		if err != nil || row == nil {
			t.Fatalf("seed %d: %s is lost (%v)", seed, x.event.ID, err)
		}
	}
	if p, err := s.Position(heygen.Query{}, state.Poll); errors.Is(err, errDisk) || len(p.Checkpoint.Segments) != 0 || p.Mark.IsZero() {
		t.Errorf("seed %d: position %+v, %v", seed, p, err)
	}
}

// An idle poll over the real state writes nothing.
func TestIdlePollWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		points := 0
		o := state.Options{Path: filepath.Join(t.TempDir(), "backstop.db"), Fault: func(string) error { points++; return nil }}
		s, err := state.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		w := newWorld(600, 30*time.Second)
		walker := New(w, s, testOptions())
		walkAll(t, walker, state.Poll)
		for range 5 {
			time.Sleep(time.Minute)
			walkAll(t, walker, state.Poll)
		}
		points = 0
		walkAll(t, walker, state.Poll)
		if points != 0 {
			t.Errorf("%d commits of an idle poll, want none", points/2)
		}
	})
}
