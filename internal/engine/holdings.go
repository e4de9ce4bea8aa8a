package engine

import (
	"errors"
	"runtime"
	"sync"

	"backstop/reconcile"
)

// holdings is what sources hold open: connections to databases. It is let go of
// when nobody uses the sources any more, which may be long after a reload has
// replaced them: a pass that is under way asks them to its end. What is left at
// the end of the Engine is closed then.
type holdings struct {
	mu   sync.Mutex
	open map[*holding]bool // guarded by mu
}

// holding is what some sources hold. It must not lead to them: they are found to
// be used by nobody only then.
type holding struct{ closers []func() error }

func newHoldings() *holdings { return &holdings{open: map[*holding]bool{}} }

// keep takes over what sources hold.
func (h *holdings) keep(sources *reconcile.Sources, closers []func() error) {
	if len(closers) == 0 {
		return
	}
	one := &holding{closers}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[one] = true
	runtime.AddCleanup(sources, h.drop, one)
}

// drop closes what nobody uses any more. That it fails matters to nobody: it was
// only read from.
func (h *holdings) drop(one *holding) {
	h.mu.Lock()
	open := h.open[one]
	delete(h.open, one)
	h.mu.Unlock()
	if open {
		_ = one.close()
	}
}

// close closes all that is left; whoever asks a source then finds it failing.
func (h *holdings) close() error {
	h.mu.Lock()
	left := h.open
	h.open = map[*holding]bool{}
	h.mu.Unlock()
	var errs []error
	for one := range left {
		errs = append(errs, one.close())
	}
	return errors.Join(errs...)
}

func (h *holding) close() error {
	var errs []error
	for _, closer := range h.closers {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}
