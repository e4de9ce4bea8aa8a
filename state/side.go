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

// sideEvery is how often the side file is written at most while commits are made. What was committed since it was written
// last can be rolled back without being noticed.
const sideEvery = 5 * time.Second

// sideFormat is the version of the side file.
const sideFormat = 1

const remedyOlder = "put the newest copy back with `backstop state restore FILE`, or start anew with `backstop state init --force`, which " +
	"forgets every report and makes that moment the baseline: what was missed before it is then not judged"

// sideFile is what lies beside the state. It may lag behind the state, by some seconds of commits; ahead of it, it
// proves that the state was rolled back or lost.
type sideFile struct {
	Format     int     `json:"format"`
	State      string  `json:"state"`              // uuid of the state it belongs to
	Generation uint64  `json:"generation"`         // of a commit that was made
	Clean      bool    `json:"clean"`              // the store was closed
	Restored   int64   `json:"restored,omitempty"` // time of the last restore in unix nanoseconds; 0: there was none
	Imprint    imprint `json:"imprint,omitzero"`
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
	if !w.running {
		w.write(s, false)
		w.running = true
	}
}

// tell writes the side file at once: what lies in the place of the state now may be older than what was committed.
func (w *sideWriter) tell(s *Store) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.write(s, false)
}

// refresh writes the side file again when it is old enough.
func (w *sideWriter) refresh(s *Store, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Sub(w.written) >= sideEvery {
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

// moved notes that the same state lies in another file now, which was looked at closely.
func (w *sideWriter) moved(s *Store) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.write(s, true)
	w.running = false
}

// trust notes that a file was looked at closely after an unclean stop, and found whole as it is.
func (w *sideWriter) trust(s *Store, looked imprint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running && looked == s.imprint() {
		w.write(s, true)
	}
}

// write does not fail: the side file may lag, it only says so when that begins and when it ends.
func (w *sideWriter) write(s *Store, clean bool) {
	if s.options.copied {
		return // what is known beside a copy is not about it
	}
	m := s.settings()
	side := sideFile{Format: sideFormat, State: m.uuid, Generation: s.generation.Load(), Clean: clean, Restored: restoredAt(m.lost)}
	if clean {
		side.Imprint = s.imprint()
	}
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
