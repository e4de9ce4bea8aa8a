package state

import (
	"time"

	"backstop/internal/heygen"
)

// Seen is one thing that the receiver has: an event by its id, or, without an
// id, an anonymous push by its content.
type Seen struct {
	ID    string
	Fact  heygen.Fact // used only when ID is ""
	At    time.Time   // when the receiver got it; zero: now
	Proof Proof
}
