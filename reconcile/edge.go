package reconcile

import "sync"

// edge tells when a repeating failure starts, changes and ends, so that it is
// logged then and not each time. The zero edge has seen no failure. Its methods
// may be called side by side.
type edge struct {
	mu       sync.Mutex
	why      string // of the failure that lasts; "": none does
	failures int
}

// failed notes a failure and reports whether it is a new one. why is not empty.
func (e *edge) failed(why string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	fresh := e.why != why
	e.why = why
	e.failures++
	return fresh
}

// worked notes that it works, and gives the failures that this ended.
func (e *edge) worked() (failures int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	failures = e.failures
	e.why, e.failures = "", 0
	return failures
}
