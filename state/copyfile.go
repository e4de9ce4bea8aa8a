package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// SaveCopy puts a copy of a state at a path, or leaves what was there. fill writes the copy, look says whether a file holds a
// sound one. It is written beside the path, synced, looked at, and renamed: a crash leaves the old file or the whole new one,
// and perhaps a draft, which the next call for the same path clears away.
func SaveCopy(ctx context.Context, path string, fill func(io.Writer) error, look func(ctx context.Context, draft string) error) error {
	dir, name := filepath.Split(path)
	dir = filepath.Clean(dir)
	clearDrafts(dir, "."+name+backupDraft)
	draft, err := os.CreateTemp(dir, "."+name+backupDraft+"*") // 0600
	if err != nil {
		return fmt.Errorf("write %s: %w; name a file in a directory that user id %d may write to", path, err, os.Geteuid())
	}
	defer os.Remove(draft.Name()) // once it is renamed there is nothing of that name
	err = fill(draft)
	if syncErr := errors.Join(draft.Sync(), draft.Close()); err == nil && syncErr != nil {
		err = fmt.Errorf("write %s: %w; see that there is room", path, syncErr)
	}
	if err != nil {
		return err
	}
	if err := look(ctx, draft.Name()); err != nil {
		return err
	}
	if err := os.Rename(draft.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w; name a file that may be replaced, and write one copy at a time", path, err)
	}
	if err := syncDirectory(dir); err != nil {
		return fmt.Errorf("write %s: %w; it may not survive a power cut, write it again", path, err)
	}
	return nil
}

// CheckFile looks at a state file that no process has open, as Store.Check with deep does. The problems that it returns are
// those of a file that could be opened. A damaged page may end this process, or make it hang.
//
// A copy is looked at as it is: it may lie anywhere, and a side file beside it says nothing about it.
func CheckFile(ctx context.Context, path string, isCopy bool) ([]Problem, error) {
	o := Options{Path: path, copied: isCopy}
	open := OpenExisting
	if isCopy {
		open = openCopy
	}
	s, err := open(o)
	if err != nil {
		return nil, err
	}
	found, err := s.Check(ctx, true)
	err = errors.Join(err, s.Close())
	if errors.Is(err, ErrDamaged) { // it could be opened, and reading on failed
		return append(found, Problem{What: "a page of it is unusable"}), nil
	}
	return found, err
}

// DamagedCopy is Damaged for a copy, which is nobody's state: nothing is lost with it where there is another one.
func DamagedCopy(path, what string) error {
	return fmt.Errorf("%w: it is a copy, %s: %s; use another copy", ErrDamaged, path, what)
}

// openCopy opens a copy that is nobody's state.
func openCopy(o Options) (*Store, error) {
	o = o.withDefaults()
	f, err := openLocked(o.Path, o.LockTimeout)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; name a copy that is there", err)
	}
	if err != nil {
		return nil, ofCopy(err)
	}
	s, err := openStore(f, nil, o)
	return s, ofCopy(err)
}

// ofCopy says of a damaged copy what to do about that.
func ofCopy(err error) error {
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	text := strings.ReplaceAll(err.Error(), remedyDamaged, "use another copy; the state itself was not touched")
	return copyError{strings.Replace(text, ErrDamaged.Error(), "the copy is damaged", 1)}
}

type copyError struct{ text string }

func (e copyError) Error() string { return e.text }

func (copyError) Unwrap() error { return ErrDamaged }
