package reconcile

import (
	"context"

	"backstop/internal/heygen"
	"backstop/state"
)

// Source is one way of knowing what the receiver has. A source either is asked (Oracle), or writes down by itself what it
// learns (Recorder). One with neither waits to be told: what comes in is recorded by whoever receives it.
type Source struct {
	Name     string // for people, unique: "query", or "log 2" for the second of its kind
	What     string // for people, which one it is: a path, a driver; "" where the name says it all
	Proof    state.Proof
	Oracle   Oracle
	Recorder Recorder
}

// Oracle is a source that is asked.
type Oracle interface {
	// Have gives the ids of those events that the receiver has. It is asked about 500 events at most, with id, type and
	// data; a question about none is a trial. An error means that nothing is known of any of them, and says why in one line for people.
	Have(ctx context.Context, events []heygen.Event) (map[string]bool, error)
}

// Recorder is a source that writes what it learns to the state.
type Recorder interface {
	// Sync makes durable all that the source knows by now. An error means that it may know more, and says why in one line
	// for people.
	Sync(ctx context.Context) error
	// Peek tells what Sync would record, and records nothing.
	Peek(ctx context.Context, tell func(state.Sighting)) error
}

// noticer is a source that has something to tell although it does not fail: "" when it has not.
type noticer interface{ Notice() string }

// notice is what a source has to tell.
func (s Source) notice() string {
	for _, part := range []any{s.Oracle, s.Recorder} {
		if n, ok := part.(noticer); ok {
			return n.Notice()
		}
	}
	return ""
}

// mostAsked is how many events an oracle is asked about at once.
const mostAsked = 500
