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
func (e *Engine) Forget(ids []string, who string) ([]string, error) {
	found, err := e.store.Forget(e.Now(), ids, who)
	return found, explain(err)
}

// Export gives every event that the receiver has.
func (e *Engine) Export(ctx context.Context, yield func(state.SeenRecord) error) error {
	return explain(e.store.Export(ctx, yield))
}
