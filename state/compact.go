package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

const (
	// compactBite is about how many bytes of records one transaction of a compaction writes.
	compactBite = 4 << 20
	// compactStep is by how much the new file grows: what is left of the last step is the only room in it.
	compactStep = 1 << 20
)

// Compacted is what a compaction came to, in bytes of the file.
type Compacted struct {
	Before, After int64
}

// Compact writes the state anew, without the room that deleted records left in it, and puts the new file in its place. It is
// the same state still: commits, sequences and side file go on. look says whether the new file holds a sound copy; options.Deep
// looks at the old one first, as long as it takes. The lock is held until the new file is in its place, and whoever waited
// for it finds that one.
//
// A crash leaves the old file or the whole new one, and perhaps a draft, which the next opening clears away.
func Compact(ctx context.Context, o Options, look func(ctx context.Context, draft string) error) (c Compacted, err error) {
	if err := o.Deep(ctx, o.Path); err != nil {
		return c, err
	}
	o.Deep = nil
	s, err := OpenExisting(o)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if c.Before, err = s.Size(); err != nil {
		return c, err
	}
	draft, err := s.compactDraft()
	if err != nil {
		return c, err
	}
	defer os.Remove(draft) // once it is renamed there is nothing of that name
	if err := look(ctx, draft); err != nil {
		return c, fmt.Errorf("the state written anew is not sound, the old one stays: %w", err)
	}
	file, err := s.replaceBy(draft)
	if err != nil {
		return c, fmt.Errorf("compact %s: %w; see that its directory is writable", o.Path, err)
	}
	defer file.Close() // with it goes the lock of the new file, after the side file tells of it
	if c.After, err = s.Size(); err != nil {
		return c, err
	}
	s.side.moved(s)
	return c, nil
}

// compactDraft writes a draft of the new file beside the old one.
func (s *Store) compactDraft() (name string, err error) {
	dir := filepath.Dir(s.options.Path)
	used, err := s.used()
	if err != nil {
		return "", err
	}
	if err := roomFor(dir, used+compactStep, s.space.free); err != nil {
		return "", fmt.Errorf("compact: %w", err)
	}
	draft, err := os.CreateTemp(dir, "."+filepath.Base(s.options.Path)+anewDraft+"*") // 0600
	if err != nil {
		return "", fmt.Errorf("compact: %w; user id %d needs write permission on %s", err, os.Geteuid(), dir)
	}
	if err := errors.Join(draft.Close(), s.writeAnew(draft.Name())); err != nil {
		return "", errors.Join(fmt.Errorf("compact %s: %w", s.options.Path, err), os.Remove(draft.Name()))
	}
	return draft.Name(), nil
}

// writeAnew copies every record, bucket and sequence to an empty file and syncs it. Pages are filled up in all buckets; those
// whose keys come in any order are split again where something is added.
func (s *Store) writeAnew(name string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked("copying it", p, true)
		}
	}()
	to, err := bbolt.Open(name, 0o600, &bbolt.Options{NoSync: true, FreelistType: bbolt.FreelistMapType, Timeout: s.options.LockTimeout})
	if err != nil {
		return err
	}
	to.AllocSize = compactStep
	err = bbolt.Compact(to, s.db, compactBite)
	if err == nil {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
}

// replaceBy locks the draft and gives it the name of the state. The lock of the old file is held meanwhile, and that of the
// new one until the file is closed.
func (s *Store) replaceBy(draft string) (*os.File, error) {
	file, err := openLocked(draft, s.options.LockTimeout)
	if err != nil {
		return nil, err
	}
	opened, err := identify(file)
	if err == nil {
		err = s.stillOurs(0)
	}
	if err == nil {
		err = os.Rename(draft, s.options.Path)
	}
	if err == nil {
		err = syncDirectory(filepath.Dir(s.options.Path))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	s.opened = opened
	return file, nil
}
