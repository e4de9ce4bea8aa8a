package state

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestSideFileRules(t *testing.T) {
	const uuid = "a"
	cases := map[string]struct {
		side       *sideFile
		generation uint64
		want       error
	}{
		"none":             {nil, 7, nil},
		"level":            {&sideFile{State: uuid, Generation: 7}, 7, nil},
		"lagging":          {&sideFile{State: uuid, Generation: 3}, 7, nil},
		"one ahead":        {&sideFile{State: uuid, Generation: 8}, 7, ErrRolledBack},
		"of another state": {&sideFile{State: "b", Generation: 1}, 7, ErrRolledBack},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := judgeSide("/var/lib/backstop/backstop.db", c.side, uuid, c.generation)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil {
				mustName(t, err, "/var/lib/backstop/backstop.db", "newest copy back", "state init --force", "not judged")
			}
		})
	}
}

func TestAnOlderCopyIsRefused(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	mustDo(t, write(s, "a", true))
	mustClose(t, s)
	older, err := os.ReadFile(o.Path)
	mustDo(t, err)
	s = mustOpen(t, o)
	mustDo(t, write(s, "b", true))
	mustClose(t, s)
	replaceFile(t, o.Path, older)
	if _, err := Open(o); !errors.Is(err, ErrRolledBack) {
		t.Fatalf("open says %v, want ErrRolledBack", err)
	}

	// The remedy works, and nothing is thrown away.
	if err := Init(o, false); !errors.Is(err, ErrExists) {
		t.Errorf("init without force says %v, want ErrExists", err)
	}
	mustDo(t, Init(o, true))
	s = mustOpen(t, o)
	if stored(t, s, "a") {
		t.Error("the new state holds what the old one knew")
	}
	mustBeClean(t, s)
	kept, err := filepath.Glob(o.Path + "*.old-*")
	mustDo(t, err)
	if len(kept) != 2 {
		t.Errorf("moved aside: %v, want the state and its side file", kept)
	}
}

func TestALostFileIsNoFirstRun(t *testing.T) {
	for name, open := range map[string]func(Options) (*Store, error){"open": Open, "open existing": OpenExisting} {
		t.Run(name, func(t *testing.T) {
			o := optionsIn(t)
			mustClose(t, mustOpen(t, o))
			mustDo(t, os.Remove(o.Path))
			_, err := open(o)
			if !errors.Is(err, ErrLost) {
				t.Fatalf("got %v, want ErrLost", err)
			}
			mustName(t, err, o.Path, "state init --force")
			if err := Init(o, false); !errors.Is(err, ErrExists) {
				t.Errorf("init without force says %v, want ErrExists", err)
			}
			mustDo(t, Init(o, true))
			mustOpen(t, o)
		})
	}
}

func TestOpenExistingMakesNothing(t *testing.T) {
	o := optionsIn(t)
	if _, err := OpenExisting(o); !errors.Is(err, ErrMissing) {
		t.Fatalf("got %v, want ErrMissing", err)
	}
	if _, err := os.Stat(o.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state file: %v, want none", err)
	}
}

func TestInitMakesAnEmptyState(t *testing.T) {
	o := optionsIn(t)
	mustDo(t, Init(o, false))
	s, err := OpenExisting(o)
	mustDo(t, err)
	defer s.Close()
	mustBeClean(t, s)
}

func TestTheSideFileIsWrittenOnceAMinute(t *testing.T) {
	o := optionsIn(t)
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, o)
		generations := func() uint64 {
			side, err := readSide(o.Path)
			mustDo(t, err)
			return side.Generation
		}
		mustDo(t, write(s, "a", true), write(s, "b", true))
		if got := generations(); got != 0 {
			t.Errorf("within the minute the side file says %d, want 0: from before the first commit", got)
		}
		time.Sleep(sideEvery)
		mustDo(t, write(s, "c", true))
		if got := generations(); got != 3 {
			t.Errorf("after a minute it says %d, want 3", got)
		}
		mustDo(t, write(s, "d", true))
		mustClose(t, s)
		side, err := readSide(o.Path)
		mustDo(t, err)
		if side.Generation != 4 || !side.Clean {
			t.Errorf("after the end it says %+v, want generation 4 and clean", side)
		}
	})
}

func TestADamagedSideFileIsNamed(t *testing.T) {
	o := optionsIn(t)
	mustClose(t, mustOpen(t, o))
	for text, want := range map[string]error{
		"":                            ErrDamaged,
		"{":                           ErrDamaged,
		"{}":                          ErrDamaged,
		`{"format":99,"state":"any"}`: ErrVersion,
	} {
		replaceFile(t, sidePath(o.Path), []byte(text))
		_, err := Open(o)
		if !errors.Is(err, want) {
			t.Errorf("%q: open says %v, want %v", text, err, want)
			continue
		}
		mustName(t, err, sidePath(o.Path))
	}
}

func TestADeepLookFollowsAnUncleanStop(t *testing.T) {
	broken := Damaged("backstop.db", "exit status 2")
	cases := map[string]struct {
		clean bool
		deep  func(ctx context.Context, path string) error
		looks int
		want  error
	}{
		"clean stop":         {true, func(context.Context, string) error { return broken }, 0, nil},
		"unclean, fine":      {false, func(context.Context, string) error { return nil }, 1, nil},
		"unclean, broken":    {false, func(context.Context, string) error { return broken }, 1, ErrDamaged},
		"unclean, held":      {false, func(context.Context, string) error { return ErrHeld }, 1, ErrHeld},
		"unclean, too large": {false, func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }, 1, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := optionsIn(t)
			mustClose(t, mustOpen(t, o))
			side, err := readSide(o.Path)
			mustDo(t, err)
			side.Clean = c.clean
			mustDo(t, side.write(o.Path))
			synctest.Test(t, func(t *testing.T) {
				looks := 0
				o.Deep = func(ctx context.Context, path string) error {
					looks++
					return c.deep(ctx, path)
				}
				start := time.Now()
				s, err := Open(o)
				if !errors.Is(err, c.want) {
					t.Errorf("open says %v, want %v", err, c.want)
				}
				if err == nil {
					mustClose(t, s)
				}
				if looks != c.looks {
					t.Errorf("it looked %d times, want %d", looks, c.looks)
				}
				if took := time.Since(start); took > deepLook {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A side file that can't be written is a warning: commits go on.
func TestAnUnwritableSideFileStopsNothing(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	mustDo(t, os.Remove(sidePath(o.Path)), os.MkdirAll(filepath.Join(sidePath(o.Path), "in the way"), 0o700))
	mustDo(t, write(s, "a", true))
	if !s.side.failing {
		t.Error("it was not noticed")
	}
	mustDo(t, os.RemoveAll(sidePath(o.Path)))
	mustClose(t, s)
	if s.side.failing {
		t.Error("it was not noticed that it can be written again")
	}
	text, err := os.ReadFile(sidePath(o.Path))
	mustDo(t, err)
	if !json.Valid(text) {
		t.Errorf("it holds %q", text)
	}
}
