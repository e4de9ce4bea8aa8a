package engine

import (
	"context"

	"backstop/state"
)

// Record keeps what the receiver has. It returns once that is durable, with the
// number of items that are now kept, known ones included.
func (e *Engine) Record(seen []state.Sighting) (int, error) {
	now := e.Now()
	n, err := e.store.Record(now, seen)
	if err == nil && len(seen) > 0 {
		p := e.current()
		p.sources.Heard(seen[0].Proof, now)
		p.replayer.Wake() // the first report pairs
	}
	return n, explain(err)
}

// Forget takes back that the receiver has the events, and gives the ids that
// were known. A forgotten event is judged again when a walk lists it again.
func (e *Engine) Forget(ids []string, why, who string) ([]string, error) {
	found, err := e.store.Forget(e.Now(), ids, why, who)
	return found, explain(err)
}

// Import keeps what a person says that the receiver has, and notes that as an
// act: a new one, or the one of its number, which goes on. It gives the number
// of items that are now kept, and that of the act.
func (e *Engine) Import(seen []state.Sighting, act state.ManualAct) (int, uint64, error) {
	now := e.Now()
	n, seq, err := e.store.Import(now, seen, act)
	if err == nil && len(seen) > 0 {
		p := e.current()
		p.sources.Heard(seen[0].Proof, now)
		p.replayer.Wake() // the first import pairs
	}
	return n, seq, explain(err)
}

// Export gives every event that the receiver has.
func (e *Engine) Export(ctx context.Context, yield func(state.SeenRecord) error) error {
	return explain(e.store.Export(ctx, yield))
}
