package engine

import "sync"

// turn lets one walk run at a time and lets whoever is in a hurry go first: a
// long sweep asks to give way between two pages. The zero turn is free.
type turn struct {
	mu      sync.Mutex
	free    *sync.Cond // made on first use; signalled whenever busy or hurried changes
	busy    bool       // guarded by mu
	hurried int        // walks in a hurry that wait, guarded by mu
}

// take waits until no walk runs; one that is not in a hurry also lets those
// that are go first.
func (t *turn) take(hurry bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.initLocked()
	if hurry {
		t.hurried++
	}
	for t.busy || (!hurry && t.hurried > 0) {
		t.free.Wait()
	}
	if hurry {
		t.hurried--
	}
	t.busy = true
}

// give ends a turn.
func (t *turn) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.initLocked()
	t.busy = false
	t.free.Broadcast()
}

// yield gives way to whoever is in a hurry and takes the turn again. It returns
// at once when nobody waits.
func (t *turn) yield() {
	t.mu.Lock()
	waiting := t.hurried > 0
	t.mu.Unlock()
	if !waiting {
		return
	}
	t.give()
	t.take(false)
}

func (t *turn) initLocked() {
	if t.free == nil {
		t.free = sync.NewCond(&t.mu)
	}
}
