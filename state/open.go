package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// What the zero values of Options mean.
const (
	defaultMaxSize     = 4 << 30
	defaultRetention   = 90 * 24 * time.Hour
	defaultLockTimeout = time.Second
)

// Options say where the state is and what bounds it.
type Options struct {
	Path           string        // of the state file; its side file lies beside it
	APIBase        string        // the API the state is bound to; "": the binding is not checked
	MaxSize        int64         // bytes; 0: 4 GiB
	Retention      time.Duration // of finished records; 0: 90 days
	CollapseWindow time.Duration // 0: nothing is collapsed
	LockTimeout    time.Duration // how long to wait for another process to let go; 0: 1 s
	Logger         *slog.Logger  // nil: silent

	// Deep looks at a file closely, in another process, because a damaged page can hang or kill the one that reads it. Open
	// calls it where the file is not as a clean stop left it, for at most two seconds; running out of time is no failure,
	// and any error is returned. nil: no deep look.
	Deep func(ctx context.Context, path string) error

	// Observe is told, after each successful commit and before its callers are answered, how events have moved in it. It
	// must be quick: the next commit waits for it. The slice is its to keep. nil: nobody is told.
	Observe func([]Change)

	copied bool // the file is a copy that is nobody's state: no side file is read or written

	// Fault is for tests: called with "before" (its error means that nothing was written) and "after" (its error means
	// written, but reported failed) around every commit, and every other step of Restore.
	Fault func(point string) error

	link func(old, name string) error // for tests; nil: os.Link
}

func (o Options) withDefaults() Options {
	o.MaxSize = cmp.Or(o.MaxSize, defaultMaxSize)
	o.Retention = cmp.Or(o.Retention, defaultRetention)
	o.LockTimeout = cmp.Or(o.LockTimeout, defaultLockTimeout)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) fault(point string) error {
	if o.Fault == nil {
		return nil
	}
	return o.Fault(point)
}

func (o Options) linkFile(old, name string) error {
	if o.link != nil {
		return o.link(old, name)
	}
	return os.Link(old, name)
}

// Store is the open state. All methods may be called from several goroutines.
type Store struct {
	options Options
	log     *slog.Logger
	db      *bbolt.DB
	opened  fileIdentity

	commits      committer
	commitNumber atomic.Int64  // commits made since opening
	generation   atomic.Uint64 // of the last commit
	found        time.Time     // of the last commit when the file was opened; zero: it does not tell
	types        typeTable
	notes        notes
	rows         rows
	side         sideWriter
	space        spaceGuard
	copying      sync.Mutex  // one copy at a time: each needs its own room
	wrecked      atomic.Bool // bbolt panicked: nothing of it is touched any more

	mu     sync.Mutex
	meta   settings
	failed chan struct{} // closed by latch
	cause  error         // why it was latched
	closed bool
}

// Open opens the state, and makes a new one where there never was any. It refuses with ErrLost where the side file says
// that there was one, and with the other errors of this package what must not be used as it is.
func Open(o Options) (*Store, error) {
	s, err := OpenExisting(o)
	if !errors.Is(err, ErrMissing) {
		return s, err
	}
	// Another process may be doing the same: whoever links its new file first wins, and both open that one.
	if err := create(o.withDefaults()); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return OpenExisting(o)
}

// OpenExisting opens the state, and returns ErrMissing where there is none.
func OpenExisting(o Options) (*Store, error) {
	o = o.withDefaults()
	if err := checkDirectory(filepath.Dir(o.Path)); err != nil {
		return nil, err
	}
	return openExisting(o)
}

func openExisting(o Options) (*Store, error) {
	f, err := openLocked(o.Path, o.LockTimeout)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(o.Path)
	}
	if err != nil {
		return nil, err
	}
	side, err := readSide(o.Path)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if o.Deep == nil || side.trusts(f) {
		return openStore(f, side, o)
	}
	f, looked, err := lookDeep(f, o)
	if err != nil {
		return nil, err
	}
	s, err := openStore(f, side, o)
	if err == nil && side != nil {
		s.side.trust(s, looked)
	}
	return s, err
}

func missing(path string) error {
	side, err := readSide(path)
	switch {
	case err != nil:
		return err
	case side != nil:
		return lostError(path)
	}
	return fmt.Errorf("%w at %s; `backstop run` makes it, or set state.path", ErrMissing, path)
}

// openStore opens what passed the guards. f is closed with the store.
func openStore(f *os.File, side *sideFile, o Options) (*Store, error) {
	s := &Store{options: o, log: o.Logger, failed: make(chan struct{})}
	s.space.free = freeBytes
	var err error
	if s.opened, err = identify(f); err != nil {
		return nil, errors.Join(fmt.Errorf("state file: %w; try again", err), f.Close())
	}
	s.warnLoose(f)
	clearLeftovers(o.Path)
	if s.db, err = openBolt(f, o); err != nil {
		return nil, err
	}
	if err := s.load(side); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// warnLoose warns about a file that others may read: it holds the customers' data.
func (s *Store) warnLoose(f *os.File) {
	if info, err := f.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
		s.log.Warn("others may read the state file; close it with chmod 0600", "path", s.options.Path, "mode", info.Mode().Perm().String())
	}
}

// openBolt hands the locked file to bbolt. Should bbolt stumble over a damaged page all the same, the fault becomes an error.
func openBolt(f *os.File, o Options) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = errors.Join(damaged(o.Path, fmt.Sprintf("a page of it is unusable (%v)", p)), f.Close())
		}
	}()
	db, err = bbolt.Open(o.Path, 0o600, &bbolt.Options{
		Timeout:      o.LockTimeout,
		FreelistType: bbolt.FreelistMapType,
		// bbolt refuses to grow one step before its limit. The step more is the room in which pruning can free pages, and
		// the outcome of what is under way can be kept, while the store is full.
		MaxSize:  int(o.MaxSize) + growStep,
		OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil },
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w; %s", ErrDamaged, o.Path, err, remedyDamaged)
	}
	db.AllocSize = growStep
	return db, nil
}

// Close makes durable what waited in memory, notes in the side file that the end was clean, and closes the file. A latched
// store writes nothing, and Close returns why. Closing again does nothing.
func (s *Store) Close() error {
	if s.wrecked.Load() {
		return s.Err() // bbolt holds its locks for ever; the end of the process lets go of the file
	}
	err := s.update(false, func(t *tx) error {
		if s.notes.waiting() {
			t.dirty()
		}
		t.after(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.closed = true
		})
		return nil
	})
	if errors.Is(err, ErrClosed) {
		return nil
	}
	if err == nil {
		s.side.finish(s)
	}
	return errors.Join(err, s.db.Close())
}
