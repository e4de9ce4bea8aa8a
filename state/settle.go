package state

import "time"

// Outcome is what became of an attempt.
type Outcome struct {
	ID       string
	Now      time.Time
	Attempt  Attempt
	Status   Status // Seen, Replaying or Dead
	Why      string
	Due      time.Time // of the next attempt, where Status is Replaying
	Receiver *Receiver // nil: unchanged
}
