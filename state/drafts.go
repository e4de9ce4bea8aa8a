package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockPresent locks what lies in the place of the state, damaged or not; nil when there is nothing.
func lockPresent(o Options) (*os.File, error) {
	for {
		info, err := os.Lstat(o.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil
		case err != nil:
			return nil, openError(o.Path, err)
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("state file %s is not a regular file; move it away, or set state.path to another name", o.Path)
		}
		f, err := os.Open(o.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it went away just now
		}
		if err != nil {
			return nil, openError(o.Path, err)
		}
		if err = checkOurs(f); err == nil {
			err = lockIdle(f, o.LockTimeout)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		// Whoever held the lock before may have put another file here.
		opened, openErr := f.Stat()
		named, nameErr := os.Lstat(o.Path)
		if openErr == nil && nameErr == nil && os.SameFile(opened, named) {
			return f, nil
		}
		if err := f.Close(); err != nil {
			return nil, openError(o.Path, err)
		}
	}
}

// sideIsOurs refuses to restore a state for another user, who could not open it: where the state is gone, its side file tells.
func sideIsOurs(path string) error {
	info, err := os.Lstat(sidePath(path))
	if err != nil {
		return nil // there is none, or reading it will say more
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != uint32(os.Geteuid()) {
		return fmt.Errorf("side file %s belongs to user id %d, and this is user id %d; run backstop as its owner", sidePath(path), owner, os.Geteuid())
	}
	return nil
}

func lockIdle(f *os.File, wait time.Duration) error {
	err := lock(f, wait)
	if errors.Is(err, ErrHeld) {
		return fmt.Errorf("%w; stop it first: a restore needs a state that nobody uses", err)
	}
	return err
}

// draftOf copies the file to a draft beside the state, and returns its name. A kill leaves a draft that the next opening
// of the state clears away.
func draftOf(ctx context.Context, o Options, file Copy, present *os.File) (name string, err error) {
	from := file.From
	if from == nil {
		source, err := openSource(file.Name, o.LockTimeout, present)
		if err != nil {
			return "", err
		}
		if source != present {
			defer source.Close()
		}
		if err := checkShape(source); err != nil { // before gigabytes of something else are copied
			return "", err
		}
		from = io.NewSectionReader(source, 0, math.MaxInt64)
	}
	name, err = writeDraft(o.Path, &patient{ctx: ctx, r: from})
	if err != nil {
		return "", fmt.Errorf("copy %s: %w; see that %s is writable and has room for it", file.Name, err, filepath.Dir(o.Path))
	}
	return name, nil
}

// writeDraft writes a draft beside the state, 0600, and makes it durable.
func writeDraft(path string, r io.Reader) (name string, err error) {
	draft, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+newDraft+"*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(draft, r)
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return "", errors.Join(err, os.Remove(draft.Name()))
	}
	return draft.Name(), nil
}

// openSource opens and locks the copy for reading; where it is the state itself, that is open and locked.
func openSource(file string, wait time.Duration, present *os.File) (*os.File, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("copy of the state: %w; name the file to restore", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file; name the copy of a state file", file)
	}
	if present != nil {
		if here, err := present.Stat(); err == nil && os.SameFile(info, here) {
			return present, nil
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("copy of the state: %w; make it readable for user id %d", err, os.Geteuid())
	}
	if err := lockIdle(f, wait); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// patient reads until ctx ends.
type patient struct {
	ctx context.Context
	r   io.Reader
}

func (w *patient) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(p)
}
