package engine

import (
	"backstop/internal/config"
	"backstop/reconcile"
	"backstop/state"
)

// Tap is what passes pushes on to the receiver; nil when none is configured. It
// outlives reloads, and Record must be possible until its Run has returned.
func (e *Engine) Tap() *reconcile.Tap { return e.tap }

// newTap makes the tap where the configuration has one.
func (e *Engine) newTap(cfg *config.Config) *reconcile.Tap {
	if _, configured := cfg.Tap(); !configured || e.store == nil {
		return nil
	}
	return reconcile.NewTap(reconcile.TapOptions{
		Target:    func() string { return e.current().cfg.Receiver.URL },
		Record:    func(seen []state.Sighting) error { _, err := e.Record(seen); return err },
		Now:       e.Now,
		Transport: e.options.Receiver,
		Logger:    e.log,
	})
}
