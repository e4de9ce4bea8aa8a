package state

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"context"

	"go.etcd.io/bbolt"
)

// Options say where the state is and what bounds it.
type Options struct {
	Path           string        // of the state file; its side file and lock live beside it
	APIBase        string        // the API the state is bound to; "": the binding is not checked
	MaxSize        int64         // bytes; 0: 4 GiB
	Retention      time.Duration // of finished records; 0: 90 days
	CollapseWindow time.Duration // 0: nothing is collapsed
	LockTimeout    time.Duration // how long to wait for another process to let go; 0: 1 s
	Logger         *slog.Logger  // nil: silent

	// Deep looks at a file closely, in another process, because a damaged page can hang or kill the one that reads it. Open
	// calls it after an unclean stop, for at most two seconds; running out of time is no failure. nil: no deep look.
	Deep func(ctx context.Context, path string) error

	// Fault is for tests: called with "before" (its error means that nothing was written) and "after" (its error means
	// written, but reported failed) around every commit.
	Fault func(point string) error
}

// Store is the open state. All methods may be called from several goroutines.
type Store struct {
	options Options
	log     *slog.Logger
	db      *bbolt.DB
	opened  fileIdentity

	commits      committer
	commitNumber atomic.Int64 // commits made since opening
	types        typeTable
	notes        notes
	rows         rows
	side         sideWriter
	space        spaceGuard

	mu     sync.Mutex
	counts counts        // of the last commit
	failed chan struct{} // closed by latch
	cause  error         // why it was latched
	closed bool
}
