package state

import (
	"errors"
	"fmt"
)

// What a caller may have to tell apart. The text of every error that wraps one of them says which file and what to do.
var (
	// ErrFull says that nothing is added until there is room. The store works on, and heals by itself.
	ErrFull = errors.New("the state is full")
	// ErrLatched says that it is unknown what is on disk: the store writes no more, and the process must be started again.
	ErrLatched = errors.New("the state may or may not have been written, so nothing more is written until a restart")
	// ErrHeld says that another process has the file.
	ErrHeld = errors.New("the state is in use")
	// ErrRolledBack says that the file is older than what was known of it, or the copy of another.
	ErrRolledBack = errors.New("the state is not the newest")
	// ErrLost says that there was a state file, and is none.
	ErrLost = errors.New("the state file is lost")
	// ErrDamaged says that the file can't be read as a state.
	ErrDamaged = errors.New("the state file is damaged")
	// ErrForeign says that the state belongs to another API.
	ErrForeign = errors.New("the state belongs to another API")
	// ErrVersion says that a newer backstop wrote the file.
	ErrVersion = errors.New("the state is of a newer format")
	// ErrMissing says that there is no state, where none is made.
	ErrMissing = errors.New("there is no state")
	// ErrExists says that there is a state already, where a new one was to be made.
	ErrExists = errors.New("there is a state already")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the state was closed")
)

// latch makes the store write no more, because it is unknown what is on disk: bbolt may have committed, and writing on after
// a failed sync ruins the file. Reading goes on. The next start recovers by the normal path.
func (s *Store) latch(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		s.cause = fmt.Errorf("%w: %w", ErrLatched, err)
		close(s.failed)
	}
	return s.cause
}

// Failed is closed when the store latches: the process should then end with an error and be started again.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err returns why the store latched, nil while it has not.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// usable reports why nothing may be written any more, nil while it may.
func (s *Store) usable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return s.cause
}

// closedError is ErrClosed once the store was closed. Reading goes on while it is latched.
func (s *Store) closedError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return nil
}
