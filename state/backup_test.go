package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// sound looks at a copy as a child process would.
func sound(ctx context.Context, path string) error {
	found, err := CheckFile(ctx, path, true)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%+v", found)
	}
	return err
}

// trustAll is a look that finds nothing.
func trustAll(context.Context, string) error { return nil }

// mustBeAlone fails the test when a directory holds anything else than these files.
func mustBeAlone(t *testing.T, dir string, names ...string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	mustDo(t, err)
	var got []string
	for _, f := range files {
		got = append(got, f.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("the directory holds %q, want %q", got, names)
	}
}

// A backup is the state as of one commit, however slowly it is read and whatever is written meanwhile.
func TestABackupIsOneCommit(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	mustDo(t, leaveRoom(s))
	generation := s.generation.Load()
	b, err := s.Backup(t.Context())
	mustDo(t, err)
	defer b.Close()
	mustBeAlone(t, filepath.Dir(o.Path), "backstop.db", "backstop.db.side")
	mustDo(t, s.Act(noon(), "ann", "later", 1))
	path := filepath.Join(t.TempDir(), "copy.db")
	mustDo(t, SaveCopy(t.Context(), path, func(w io.Writer) error {
		n, err := io.Copy(w, b)
		if n != b.Size {
			t.Errorf("%d bytes, want %d", n, b.Size)
		}
		return err
	}, sound))
	mustBeAlone(t, filepath.Dir(path), "copy.db")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy is %v, %v", info.Mode(), err)
	}
	copied, err := openCopy(Options{Path: path})
	mustDo(t, err)
	defer copied.Close()
	if got := copied.generation.Load(); got != generation || b.Generation != generation {
		t.Errorf("the copy is of commit %d, says %d, want %d", got, b.Generation, generation)
	}
	if got := actsOf(t, copied); got != 1 {
		t.Error("the copy is not of the moment it was made")
	}
}

// leaveRoom writes and deletes enough to leave free pages.
func leaveRoom(s *Store) error {
	each := func(do func(t *tx, key []byte) error) error {
		return s.update(true, func(t *tx) error {
			for i := range 300 {
				if err := do(t, appendNumber(nil, uint64(i))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return errors.Join(
		s.Act(noon(), "ann", "before", 1),
		each(func(t *tx, key []byte) error { return t.put(t.bucket(bucketQuarantine), key, make([]byte, 4000)) }),
		each(func(t *tx, key []byte) error { return t.delete(t.bucket(bucketQuarantine), key) }),
	)
}

// actsOf counts what a person did by hand.
func actsOf(t *testing.T, s *Store) (n int) {
	t.Helper()
	mustDo(t, s.view(func(t *tx) error {
		n = t.bucket(bucketActs).Stats().KeyN
		return nil
	}))
	return n
}

func TestABackupNeedsRoom(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	s.space.free = func(string) (uint64, error) { return minFree + 10_000, nil }
	_, err := s.Backup(t.Context())
	if err == nil {
		t.Fatal("it was copied")
	}
	mustName(t, err, filepath.Dir(o.Path), "free some space", "64 MiB")
	mustBeAlone(t, filepath.Dir(o.Path), "backstop.db", "backstop.db.side")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.space.free = freeBytes
	if _, err := s.Backup(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("it says %v, want that it was interrupted", err)
	}
}

// Whatever goes wrong while a copy is saved, the older one stays and no draft is left.
func TestSavingACopyFailsWhole(t *testing.T) {
	broken := errors.New("the answer broke off")
	whole := func(w io.Writer) error { _, err := w.Write([]byte("new")); return err }
	cases := map[string]struct {
		fill func(io.Writer) error
		look func(context.Context, string) error
	}{
		"broken off": {func(w io.Writer) error { return errors.Join(whole(w), broken) }, trustAll},
		"not sound":  {whole, func(context.Context, string) error { return broken }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "copy.db")
			replaceFile(t, path, []byte("old"))
			if err := SaveCopy(t.Context(), path, c.fill, c.look); !errors.Is(err, broken) {
				t.Errorf("it says %v, want %v", err, broken)
			}
			mustBeAlone(t, filepath.Dir(path), "copy.db")
			if text, err := os.ReadFile(path); err != nil || string(text) != "old" {
				t.Errorf("the file holds %q (%v)", text, err)
			}
		})
	}
	dir := t.TempDir()
	replaceFile(t, filepath.Join(dir, ".copy.db.backup-123"), []byte("left by a kill"))
	replaceFile(t, filepath.Join(dir, ".copy.db.backup-mine"), []byte("no draft"))
	mustDo(t, SaveCopy(t.Context(), filepath.Join(dir, "copy.db"), whole, trustAll))
	mustBeAlone(t, dir, ".copy.db.backup-mine", "copy.db")
}

// compaction keeps all that is known: records, sequences, commits, and the side file's trust.
func TestCompactKeepsTheState(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	mustDo(t, leaveRoom(s))
	generation, uuid := s.generation.Load(), s.settings().uuid
	mustClose(t, s)
	sequences := sequencesOf(t, o.Path)
	looks := 0
	o.Deep = func(context.Context, string) error { looks++; return nil }
	c, err := Compact(t.Context(), o, sound)
	mustDo(t, err)
	if c.After >= c.Before {
		t.Errorf("%d bytes became %d", c.Before, c.After)
	}
	if info, err := os.Stat(o.Path); err != nil || info.Size() != c.After || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, want %d bytes of mode 0600 (%v)", info, c.After, err)
	}
	mustBeAlone(t, filepath.Dir(o.Path), "backstop.db", "backstop.db.side")
	if got := sequencesOf(t, o.Path); fmt.Sprint(got) != fmt.Sprint(sequences) || got[bucketActs] == 0 {
		t.Errorf("the sequences are %v, want %v", got, sequences)
	}
	looks = 0
	s = mustOpen(t, o)
	if looks != 0 {
		t.Error("the new file is not trusted")
	}
	mustBeClean(t, s)
	if actsOf(t, s) != 1 || s.generation.Load() != generation || s.settings().uuid != uuid {
		t.Errorf("it is commit %d of %s, want %d of %s", s.generation.Load(), s.settings().uuid, generation, uuid)
	}
	mustDo(t, write(s, "after", true))
}

func sequencesOf(t *testing.T, path string) map[string]uint64 {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	mustDo(t, err)
	defer db.Close()
	all := map[string]uint64{}
	mustDo(t, db.View(func(bolt *bbolt.Tx) error {
		return bolt.ForEach(func(name []byte, b *bbolt.Bucket) error {
			all[string(name)] = b.Sequence()
			return nil
		})
	}))
	return all
}

// What can't be compacted stays as it is.
func TestCompactRefusesAndLeavesTheStateAlone(t *testing.T) {
	broken := fmt.Errorf("%w: page 7", ErrDamaged)
	refuse := func(context.Context, string) error { return broken }
	for name, c := range map[string]struct {
		deep, look func(context.Context, string) error
		held       bool
		want       error
	}{
		"damaged":         {refuse, trustAll, false, ErrDamaged},
		"the copy is not": {trustAll, refuse, false, ErrDamaged},
		"held":            {trustAll, trustAll, true, ErrHeld},
	} {
		t.Run(name, func(t *testing.T) {
			o := optionsIn(t)
			s := mustOpen(t, o)
			mustDo(t, leaveRoom(s))
			if !c.held {
				mustClose(t, s)
			}
			before, err := os.ReadFile(o.Path)
			mustDo(t, err)
			o.Deep = c.deep
			if _, err := Compact(t.Context(), o, c.look); !errors.Is(err, c.want) {
				t.Errorf("it says %v, want %v", err, c.want)
			}
			after, err := os.ReadFile(o.Path)
			mustDo(t, err)
			if !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
			mustBeAlone(t, filepath.Dir(o.Path), "backstop.db", "backstop.db.side")
		})
	}
}

// Whoever waits for the lock while the file is replaced goes on with the new one, not with what is left of the old.
func TestWhoWaitsForTheLockFindsTheNewFile(t *testing.T) {
	o := optionsIn(t)
	o.LockTimeout = 10 * time.Second
	mustClose(t, mustOpen(t, o))
	old, err := openLocked(o.Path, time.Second)
	mustDo(t, err)
	waiting := make(chan *os.File)
	go func() {
		f, err := openLocked(o.Path, o.LockTimeout)
		if err != nil {
			t.Error(err)
		}
		waiting <- f
	}()
	waitForWaiter(t, o.Path)
	text, err := os.ReadFile(o.Path)
	mustDo(t, err)
	replaceFile(t, o.Path+".next", text)
	mustDo(t, os.Rename(o.Path+".next", o.Path), old.Close())
	f := <-waiting
	defer f.Close()
	if !names(o.Path, f) {
		t.Error("it holds the file that was replaced")
	}
}

// waitForWaiter waits until this process has a file open twice: once by its holder, once by who waits.
func waitForWaiter(t *testing.T, path string) {
	t.Helper()
	want, err := os.Stat(path)
	mustDo(t, err)
	for t.Context().Err() == nil {
		open := 0
		entries, err := os.ReadDir("/proc/self/fd")
		mustDo(t, err)
		for _, e := range entries {
			if info, err := os.Stat("/proc/self/fd/" + e.Name()); err == nil && os.SameFile(want, info) {
				open++
			}
		}
		if open > 1 {
			return
		}
		runtime.Gosched()
	}
}
