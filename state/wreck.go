package state

import (
	"fmt"
	"runtime"
	"strings"

	"go.etcd.io/bbolt"
)

// panicked latches the store after a panic in a transaction: only a damaged page, a file that was cut off under us, or a bug
// panics. Where the transaction did not end, bbolt has kept its locks: it is not called again, not even to close the file.
func (s *Store) panicked(doing string, p any, ended bool) error {
	if !ended {
		s.wrecked.Store(true)
	}
	s.log.Error("the state can't be used any more", "while", doing, "cause", fmt.Sprint(p), "at", callers())
	return s.latch(damaged(s.options.Path, fmt.Sprintf("%s failed (%v)", doing, p)))
}

// release ends a transaction that panicked, so that Close does not wait for it, and reports whether that worked: it may panic
// again. One that never began can't be ended.
func release(bolt *bbolt.Tx) (ended bool) {
	defer func() { _ = recover() }()
	if bolt == nil {
		return false
	}
	_ = bolt.Rollback()
	return true
}

// callers names the functions that panicked, the innermost first, on one line.
func callers() string {
	var pcs [24]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs[:])])
	var names []string
	for len(names) < 8 {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") {
			names = append(names, fmt.Sprintf("%s:%d", frame.Function, frame.Line))
		}
		if !more {
			break
		}
	}
	return strings.Join(names, " < ")
}
