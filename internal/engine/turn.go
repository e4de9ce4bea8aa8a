package engine

import "sync"

// turn lets one walk run at a time and lets whoever is in a hurry go first: a
// long sweep asks to give way between two pages. The zero turn is free.
type turn struct {
	mu      sync.Mutex
	free    *sync.Cond // made on first use; signalled whenever a turn ends
	busy    bool       // guarded by mu
	hurried int        // walks in a hurry that wait, guarded by mu
	rushes  bool       // the walk that runs is in a hurry, guarded by mu
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
	t.busy, t.rushes = true, hurry
}

// give ends a turn.
func (t *turn) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.initLocked()
	t.busy, t.rushes = false, false
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

// letPass waits while a walk in a hurry waits or runs. It is for walks that run
// beside the one that has the turn.
func (t *turn) letPass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.initLocked()
	for t.hurried > 0 || t.rushes {
		t.free.Wait()
	}
}

func (t *turn) initLocked() {
	if t.free == nil {
		t.free = sync.NewCond(&t.mu)
	}
}
