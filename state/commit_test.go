package state

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"backstop/internal/heygen"
)

func TestCallersShareCommits(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	const callers = 64
	// The first caller holds its transaction until all others have queued; they then share the next commit.
	first := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		once := sync.OnceFunc(func() { <-first })
		if err := s.update(true, func(t *tx) error {
			once()
			return t.put(t.bucket(bucketReported), []byte("first"), nil)
		}); err != nil {
			t.Error(err)
		}
	})
	waitFor(t, s, func() bool { return s.commits.led })
	for i := range callers {
		all.Go(func() {
			if err := write(s, strconv.Itoa(i), true); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, s, func() bool { return len(s.commits.queue) == callers })
	close(first)
	all.Wait()
	if got := s.commitNumber.Load(); got != 2 {
		t.Errorf("%d callers took %d commits, want 2", callers+1, got)
	}
	for i := range callers {
		if !stored(t, s, strconv.Itoa(i)) {
			t.Errorf("caller %d was answered, its change is not there", i)
		}
	}
}

// waitFor polls what the committer knows until it holds.
func waitFor(t *testing.T, s *Store, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.commits.mu.Lock()
		ok := holds()
		s.commits.mu.Unlock()
		if ok {
			return
		}
	}
	t.Fatal("the callers did not queue within 10 s")
}

func TestManyWritersAtOnce(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	var all sync.WaitGroup
	var order []int64
	for w := range 16 {
		all.Go(func() {
			for i := range 8 {
				err := s.update(true, func(t *tx) error {
					c := t.counts()
					c.matched++
					now := c.matched
					// Memory follows the commits: what after does is in their order.
					t.after(func() { order = append(order, now) })
					t.dirty()
					return nil
				})
				if err != nil {
					t.Errorf("writer %d, change %d: %v", w, i, err)
				}
			}
		})
	}
	all.Wait()
	for i, n := range order {
		if n != int64(i+1) {
			t.Fatalf("the %dth to be published is number %d", i+1, n)
		}
	}
	if got := s.settings().counts.matched; got != 16*8 {
		t.Errorf("counted %d, want %d", got, 16*8)
	}
}

func TestAFailingCallerHarmsNobody(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	broken := errors.New("broken")
	published := 0
	calls := []*call{
		{grow: true, fn: func(t *tx) error {
			t.after(func() { published++ })
			return t.put(t.bucket(bucketReported), []byte("a"), nil)
		}},
		{grow: true, fn: func(t *tx) error {
			t.after(func() { published += 100 })
			return errors.Join(t.put(t.bucket(bucketReported), []byte("b"), nil), broken)
		}},
		{grow: true, fn: func(t *tx) error { return t.put(t.bucket(bucketReported), []byte("c"), nil) }},
	}
	s.commitBatch(calls)
	if calls[0].err != nil || calls[2].err != nil {
		t.Errorf("the others were answered %v and %v", calls[0].err, calls[2].err)
	}
	if !errors.Is(calls[1].err, broken) {
		t.Errorf("the failing one was answered %v", calls[1].err)
	}
	if !stored(t, s, "a") || stored(t, s, "b") || !stored(t, s, "c") {
		t.Error("want a and c stored, and b not")
	}
	if published != 1 {
		t.Errorf("published %d, want 1: once for a, never for b", published)
	}
	if err := s.Err(); err != nil {
		t.Errorf("an error of a caller latched the store: %v", err)
	}
}

func TestNothingChangedCommitsNothing(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	ran := false
	mustDo(t, s.update(false, func(t *tx) error {
		t.after(func() { ran = true })
		return t.delete(t.bucket(bucketReported), []byte("never there"))
	}))
	if got := s.commitNumber.Load(); got != 0 {
		t.Errorf("%d commits, want 0", got)
	}
	if !ran {
		t.Error("what was to follow the transaction did not run")
	}
}

func TestAPanicLatches(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	err := s.update(true, func(*tx) error { panic("page 7 is nonsense") })
	if !errors.Is(err, ErrLatched) {
		t.Fatalf("answered %v, want ErrLatched", err)
	}
	if err := write(s, "after", true); !errors.Is(err, ErrLatched) {
		t.Errorf("the next caller was answered %v, want ErrLatched", err)
	}
	if stored(t, s, "after") {
		t.Error("a latched store was written")
	}
	if err := s.Close(); !errors.Is(err, ErrLatched) {
		t.Errorf("close says %v, want ErrLatched", err)
	}
}

// A damaged page makes a reader panic; what was read is then not to be trusted, and nothing is written on top of it.
func TestAPanicOfAReaderLatches(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	err := s.view(func(*tx) error { panic("page 7 is nonsense") })
	if !errors.Is(err, ErrLatched) || !errors.Is(err, ErrDamaged) {
		t.Fatalf("answered %v, want ErrLatched and ErrDamaged", err)
	}
	mustName(t, err, o.Path, "newest copy")
	if err := write(s, "after", true); !errors.Is(err, ErrLatched) {
		t.Errorf("the next writer was answered %v, want ErrLatched", err)
	}
}

func TestALatchedStoreTouchesNothing(t *testing.T) {
	o := optionsIn(t)
	fail := false
	o.Fault = func(string) error {
		if fail {
			return errors.New("input/output error")
		}
		return nil
	}
	s := mustOpen(t, o)
	mustDo(t, write(s, "kept", true))
	before := fileState(t, o.Path)
	fail = true
	if err := write(s, "lost", true); !errors.Is(err, ErrLatched) {
		t.Fatalf("answered %v, want ErrLatched", err)
	}
	select {
	case <-s.Failed():
	default:
		t.Error("Failed is not closed")
	}
	fail = false
	if err := write(s, "more", false); !errors.Is(err, ErrLatched) {
		t.Errorf("the next caller was answered %v, want ErrLatched", err)
	}
	if !stored(t, s, "kept") {
		t.Error("reading does not go on")
	}
	if err := s.Close(); !errors.Is(err, ErrLatched) {
		t.Errorf("close says %v, want ErrLatched", err)
	}
	if after := fileState(t, o.Path); after != before {
		t.Errorf("the files changed from %s to %s", before, after)
	}
}

// fileState is the content of the state file and its side file.
func fileState(t *testing.T, path string) string {
	t.Helper()
	state, err := os.ReadFile(path)
	side, err2 := os.ReadFile(sidePath(path))
	mustDo(t, err, err2)
	return fmt.Sprintf("%d bytes, sum %x, side %s", len(state), checksum(nil, state), side)
}

func TestARemovedOrReplacedFileLatches(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, []byte("x"), 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			o := optionsIn(t)
			s := mustOpen(t, o)
			mustDo(t, write(s, "a", true), damage(o.Path))
			err := write(s, "b", true)
			if !errors.Is(err, ErrLatched) {
				t.Fatalf("answered %v, want ErrLatched", err)
			}
			mustName(t, err, o.Path, name)
		})
	}
}

// changes are all writes of this half of the package; each is failed in both ways.
func changes() map[string]func(s *Store) error {
	return map[string]func(s *Store) error{
		"baseline":     func(s *Store) error { _, err := s.SetBaseline(noon()); return err },
		"paired":       func(s *Store) error { return s.SetPaired() },
		"pause itself": func(s *Store) error { return s.PauseItself(noon(), "tests") },
		"act":          func(s *Store) error { return s.Act(noon(), "a tester", "replay", 3) },
		"pause":        func(s *Store) error { _, err := s.Pause(noon(), "tests", "a tester"); return err },
		"import": func(s *Store) error {
			_, _, err := s.Import(noon(), []Sighting{{ID: "evt_i", Proof: Import}}, ManualAct{Who: "a tester", What: "seen add"})
			return err
		},
		"walk": func(s *Store) error { return s.FinishWalk(walk(24*time.Hour, 0)) },
		"checkpoint": func(s *Store) error {
			return s.update(true, func(t *tx) error {
				return t.setCheckpoint(heygen.Query{}, Sweep, Checkpoint{Segments: []Segment{{Token: "next", Limit: 100}}})
			})
		},
		"type": func(s *Store) error {
			return s.update(true, func(t *tx) error { _, err := t.typeNumber("avatar_video.success"); return err })
		},
		"prune": func(s *Store) error {
			_, err := s.Prune(noon().AddDate(1, 0, 0))
			return err
		},
		"close": func(s *Store) error {
			return errors.Join(s.NotePass(Pass{Kind: "poll", Start: noon()}), s.Close())
		},
	}
}

func TestEveryWriteFailedTwice(t *testing.T) {
	for name, change := range changes() {
		for _, point := range []string{"before", "after"} {
			t.Run(name+" "+point, func(t *testing.T) {
				o := optionsIn(t)
				mustClose(t, oldState(t, o))
				armed := false
				o.Fault = func(at string) error {
					if armed && at == point {
						return errors.New("input/output error")
					}
					return nil
				}
				s := mustOpen(t, o)
				generation := s.generation.Load()
				armed = true
				if err := change(s); !errors.Is(err, ErrLatched) {
					t.Fatalf("answered %v, want ErrLatched", err)
				}
				s.Close()

				// The next start recovers by the normal path: all of the change is there or nothing, and it can be made again.
				o.Fault = nil
				s = mustOpen(t, o)
				mustBeClean(t, s)
				want := generation
				if point == "after" {
					want++
				}
				if got := s.generation.Load(); got != want {
					t.Errorf("generation is %d, want %d", got, want)
				}
				mustDo(t, change(s), s.Close())
				mustBeClean(t, mustOpen(t, o))
			})
		}
	}
}

// oldState is a state with a mark a year after noon, and one ledger day that may be pruned then.
func oldState(t *testing.T, o Options) *Store {
	t.Helper()
	s := mustOpen(t, o)
	addLine(t, s, "old", noon())
	e := walk(0, 0)
	e.Query, e.Mark, e.To = heygen.Query{Type: "avatar_video.fail"}, noon().AddDate(1, 0, 0), noon().AddDate(1, 0, 0)
	e.Start = e.Mark
	mustDo(t, s.FinishWalk(e))
	return s
}

// addLine puts a finished event into the ledger.
func addLine(t *testing.T, s *Store, id string, created time.Time) {
	t.Helper()
	mustDo(t, s.update(true, func(t *tx) error {
		return t.putLine(created, place{created: created, id: id}, nil, line{status: Seen, proof: Report, at: created})
	}))
}
