package state

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
)

// Backup is a copy of the state as of one commit. It is a file without a name, which is gone when it is closed; nobody but
// its reader owns it.
type Backup struct {
	*os.File
	Size       int64
	Generation uint64 // of the state that was copied
	Sum        [sha256.Size]byte
}

// Backup copies the state, in one read transaction: until it ends the file grows with every commit. So the copy is made
// beside the state, as fast as the disk allows, and may then be read as slowly as its reader likes. The directory needs room
// for it. The caller closes it.
func (s *Store) Backup(ctx context.Context) (*Backup, error) {
	s.copying.Lock()
	defer s.copying.Unlock()
	dir, name := filepath.Split(s.options.Path)
	// A kill between the two leaves a name, which the next start clears away; after them it leaves nothing.
	file, err := os.CreateTemp(filepath.Clean(dir), "."+name+copyDraft+"*") // 0600
	if err != nil {
		return nil, fmt.Errorf("copy the state: %w; user id %d needs write permission on %s", err, os.Geteuid(), filepath.Clean(dir))
	}
	b := &Backup{File: file}
	err = os.Remove(file.Name())
	if err == nil {
		err = s.view(func(t *tx) error { return t.copyInto(ctx, b) })
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("copy the state: %w", err)
	}
	return b, nil
}

// copyInto writes all pages of the transaction.
func (t *tx) copyInto(ctx context.Context, b *Backup) error {
	dir := filepath.Dir(t.s.options.Path)
	if err := roomFor(dir, t.bolt.Size(), t.s.space.free); err != nil {
		return err
	}
	_, generation, err := t.readMeta()
	if err != nil {
		return damaged(t.s.options.Path, err.Error())
	}
	sum := sha256.New()
	b.Generation = generation
	b.Size, err = t.bolt.WriteTo(writerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		sum.Write(p) // never fails
		return b.Write(p)
	}))
	sum.Sum(b.Sum[:0])
	if ctx.Err() != nil {
		return ctx.Err() // bbolt keeps the text of an error and not always the error
	}
	return err
}

// roomFor refuses to write a file that would leave a file system with less than bbolt must have.
func roomFor(dir string, size int64, measure func(dir string) (uint64, error)) error {
	free, err := measure(dir)
	if err != nil || free >= uint64(size)+minFree {
		return nil // what can't be measured is tried
	}
	return fmt.Errorf("%s and %s to spare are needed beside the state, and the file system of %s has %s left; free some space",
		humanize.IBytes(uint64(size)), humanize.IBytes(minFree), dir, humanize.IBytes(free))
}

// writerFunc makes a function a writer.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
