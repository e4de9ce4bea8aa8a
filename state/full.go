package state

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
)

const (
	// minFree is how much of the file system is left alone: bbolt must never meet its end.
	minFree = 64 << 20
	// growStep is by how much bbolt makes the file longer. Below one step under the largest size nothing is added any more;
	// what is left of it, and one step more, are for what frees space and for the outcomes of what is under way.
	growStep = 16 << 20
	// fullAgain is how often a full store looks whether it still is.
	fullAgain = time.Minute
)

// spaceGuard knows whether the store is full. Full is not broken: it heals by itself when space returns.
type spaceGuard struct {
	mu      sync.Mutex
	err     error // nil: there is room
	checked time.Time
	free    func(dir string) (uint64, error) // bytes that the file system has left for us
}

// Full returns nil while there is room, or says what to do. It looks now.
func (s *Store) Full() error {
	return s.lookForRoom(time.Now(), 0)
}

// roomToGrow is asked before rows are added. While there is room it looks every time, for one minute of reports can be more
// than what is left; once full, each minute.
func (s *Store) roomToGrow() error {
	return s.lookForRoom(time.Now(), fullAgain)
}

func (s *Store) lookForRoom(now time.Time, again time.Duration) error {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	if s.space.err != nil && now.Sub(s.space.checked) < again {
		return s.space.err
	}
	s.space.note(s, now, s.measure())
	return s.space.err
}

// setFull is told by a commit that bbolt refused.
func (s *Store) setFull(err error) error {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	s.space.note(s, time.Now(), err)
	return err
}

// note keeps what was found and logs where it begins and ends.
func (g *spaceGuard) note(s *Store, now time.Time, err error) {
	switch {
	case err != nil && g.err == nil:
		s.log.Warn("the state is full: nothing is added until there is room", "error", err)
	case err == nil && g.err != nil:
		s.log.Info("the state has room again")
	}
	g.err, g.checked = err, now
}

// measure compares what is used and what is free with what there may be. What can't be measured is not full: a commit would
// say so.
func (s *Store) measure() error {
	dir := filepath.Dir(s.options.Path)
	if free, err := s.space.free(dir); err == nil && free < minFree {
		// How much is left changes with every look; the text must not.
		return fmt.Errorf("%w: the file system of %s has less than %s left; free some space", ErrFull, dir, humanize.IBytes(minFree))
	}
	if used, err := s.used(); err == nil && used > s.options.MaxSize-min(growStep, s.options.MaxSize/2) {
		return fullSize(s.options.Path, s.options.MaxSize)
	}
	return nil
}

func fullSize(path string, size int64) error {
	return fmt.Errorf("%w: %s has reached state.max_size (%s); raise it, or lower state.retention", ErrFull, path, humanize.IBytes(uint64(size)))
}

// Free is how many bytes the state's file system has left for us.
func (s *Store) Free() (uint64, error) { return s.space.free(filepath.Dir(s.options.Path)) }

// used is how many bytes of the file hold something. Pages freed by the last commit count as free: the next one takes them.
func (s *Store) used() (int64, error) {
	var size int64
	var pageSize int
	err := s.view(func(t *tx) error {
		size, pageSize = t.bolt.Size(), t.bolt.DB().Info().PageSize
		return nil
	})
	stats := s.db.Stats()
	return size - int64(stats.FreePageN+stats.PendingPageN)*int64(pageSize), err
}

func freeBytes(dir string) (uint64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, errors.Join(errors.New("measure the free space"), err)
	}
	return uint64(stat.Bavail) * uint64(stat.Bsize), nil
}
