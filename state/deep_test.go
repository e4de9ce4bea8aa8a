package state

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

// A file is looked at closely once: when it is not the one that a clean stop left, until it was found whole as it is.
func TestADeepLookIsOncePerChange(t *testing.T) {
	o := optionsIn(t)
	looks := 0
	o.Deep = func(context.Context, string) error { looks++; return nil }
	open := func(want int, why string) {
		t.Helper()
		looks = 0
		s := mustOpen(t, o)
		mustClose(t, s)
		if looks != want {
			t.Errorf("%s: it looked %d times, want %d", why, looks, want)
		}
	}
	open(0, "a new one")
	s := mustOpen(t, o)
	mustDo(t, write(s, "a", true))
	mustClose(t, s)
	open(0, "closed cleanly")
	mustDo(t, os.Chtimes(o.Path, time.Time{}, noon()))
	open(1, "written to by somebody")
	open(0, "looked at before")
	text, err := os.ReadFile(o.Path)
	mustDo(t, err)
	replaceFile(t, o.Path+".copy", text)
	mustDo(t, os.Rename(o.Path+".copy", o.Path))
	open(1, "another file")
	open(0, "looked at before, too")
	side, err := readSide(o.Path)
	mustDo(t, err)
	side.Imprint = imprint{}
	mustDo(t, side.write(o.Path))
	open(1, "a side file of an older program")
	mustDo(t, os.Remove(sidePath(o.Path)))
	open(1, "no side file")
}

// What was not looked at to its end is looked at again.
func TestALookThatIsNotDoneCountsForNothing(t *testing.T) {
	o := optionsIn(t)
	mustClose(t, mustOpen(t, o))
	for name, deep := range map[string]func(context.Context, string) error{
		"written to meanwhile": func(context.Context, string) error { return os.Chtimes(o.Path, time.Time{}, time.Now()) },
		"out of time":          func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() },
	} {
		mustDo(t, os.Chtimes(o.Path, time.Time{}, noon()))
		o.Deep = deep
		mustClose(t, mustOpen(t, o))
		looks := 0
		o.Deep = func(context.Context, string) error { looks++; return errors.New("stop here") }
		if s, err := OpenExisting(o); err == nil {
			s.Close()
		}
		if looks != 1 {
			t.Errorf("%s: it looked %d times, want 1", name, looks)
		}
	}
}

// A file that is cut off under the process faults where bbolt begins a transaction, with bbolt's locks taken. Nothing may
// wait for them, neither a reader nor the end.
func TestAFileCutOffUnderUs(t *testing.T) {
	for name, use := range map[string]func(s *Store) error{
		"read":  func(s *Store) error { _, err := s.Quarantined(0); return err },
		"write": func(s *Store) error { return write(s, "b", true) },
	} {
		t.Run(name, func(t *testing.T) {
			o := optionsIn(t)
			s, err := Open(o)
			mustDo(t, err, write(s, "a", true), os.Truncate(o.Path, 0))
			for range 2 {
				err := use(s)
				if !errors.Is(err, ErrLatched) || !errors.Is(err, ErrDamaged) {
					t.Fatalf("it says %v, want that the state is damaged", err)
				}
				mustName(t, err, o.Path, "state init --force")
			}
			if _, err := s.Quarantined(0); !errors.Is(err, ErrDamaged) {
				t.Errorf("a reader is told %v", err)
			}
			if err := s.Close(); !errors.Is(err, ErrLatched) {
				t.Errorf("close says %v", err)
			}
		})
	}
}
