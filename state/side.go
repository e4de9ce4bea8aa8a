package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/renameio/v2"
)

// sideEvery is how often the side file is written at most while commits are made.
const sideEvery = time.Minute

// sideFormat is the version of the side file.
const sideFormat = 1

const remedyOlder = "put the newest copy back with `backstop state restore FILE`, or start anew with `backstop state init --force`, which " +
	"forgets every report and makes that moment the baseline: what was missed before it is then not judged"

// sideFile is what lies beside the state. It may lag behind the state, by a minute of commits or a kill; ahead of it, it
// proves that the state was rolled back or lost.
type sideFile struct {
	Format     int    `json:"format"`
	State      string `json:"state"`              // uuid of the state it belongs to
	Generation uint64 `json:"generation"`         // of a commit that was made
	Clean      bool   `json:"clean"`              // the store was closed
	Restored   int64  `json:"restored,omitempty"` // time of the last restore in unix nanoseconds; 0: there was none
}

func sidePath(path string) string { return path + ".side" }

// readSide returns the side file of a state file, nil where there is none.
func readSide(path string) (*sideFile, error) {
	text, err := os.ReadFile(sidePath(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("side file: %w; make it readable for user id %d", err, os.Geteuid())
	}
	var side sideFile
	if err := json.Unmarshal(text, &side); err != nil || side.State == "" {
		return nil, fmt.Errorf("%w: %s is not what backstop writes there; if %s is the newest copy of the state, remove the side file",
			ErrDamaged, sidePath(path), path)
	}
	if side.Format > sideFormat {
		return nil, fmt.Errorf("%w: %s has version %d, this backstop knows %d; use the backstop that wrote it",
			ErrVersion, sidePath(path), side.Format, sideFormat)
	}
	return &side, nil
}

func (f sideFile) write(path string) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	// The draft lies beside the state, where the next opening clears it away, and not in the directory for temporary files.
	return renameio.WriteFile(sidePath(path), append(text, '\n'), 0o600, renameio.WithTempDir(filepath.Dir(path)))
}

// judgeSide compares the state with what lies beside it. A missing side file proves nothing.
func judgeSide(path string, side *sideFile, uuid string, generation uint64) error {
	switch {
	case side == nil:
		return nil
	case side.State != uuid:
		return fmt.Errorf("%w: %s is not the state that %s was written beside; %s", ErrRolledBack, path, sidePath(path), remedyOlder)
	case side.Generation > generation:
		return fmt.Errorf("%w: %s ends at commit %d, but commit %d was made (%s); %s",
			ErrRolledBack, path, generation, side.Generation, sidePath(path), remedyOlder)
	}
	return nil
}

// lostError says that a side file stands alone.
func lostError(path string) error {
	return fmt.Errorf("%w: %s is gone, but %s says that it was there; %s", ErrLost, path, sidePath(path), remedyOlder)
}

// sideWriter writes the side file. The leader of a commit is the only one that calls it, until Close.
type sideWriter struct {
	off     bool // the store is the draft of a restore, which has no side file
	mu      sync.Mutex
	written time.Time
	running bool // the side file says that a process has the state open
	failing bool
}

// begin makes the side file say that commits are being made, before the first one: a process that is killed then was not
// closed. A process that commits nothing leaves the file alone.
func (w *sideWriter) begin(s *Store) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running && !w.off {
		w.write(s, false)
		w.running = true
	}
}

// refresh writes the side file again when it is old enough.
func (w *sideWriter) refresh(s *Store, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.off && now.Sub(w.written) >= sideEvery {
		w.write(s, false)
	}
}

// finish notes a clean end, where anything was committed. A process that only looked says nothing about the one before it.
func (w *sideWriter) finish(s *Store) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running {
		w.write(s, true)
	}
}

// write does not fail: the side file may lag, it only says so when that begins and when it ends.
func (w *sideWriter) write(s *Store, clean bool) {
	m := s.settings()
	side := sideFile{Format: sideFormat, State: m.uuid, Generation: s.generation.Load(), Clean: clean, Restored: restoredAt(m.lost)}
	err := side.write(s.options.Path)
	switch {
	case err != nil && !w.failing:
		s.log.Warn("the side file of the state can't be written; without it a state that was rolled back is not noticed", "error", err)
	case err == nil && w.failing:
		s.log.Info("the side file of the state can be written again")
	}
	w.failing = err != nil
	w.written = time.Now()
}
