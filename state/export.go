package state

import "time"

// SeenRecord is one event that the receiver has.
type SeenRecord struct {
	ID        string
	CreatedAt time.Time // zero: not listed yet, or undated
	SeenAt    time.Time
	Proof     Proof
}
