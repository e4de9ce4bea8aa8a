package state

import (
	"time"

	"backstop/internal/heygen"
)

// ClaimRules say which event may be claimed, and when its next attempt is.
type ClaimRules struct {
	Now                    time.Time
	Lane                   Lane            // preferred; the other is used when it has nothing due
	Manual                 bool            // only events that a person asked for
	Exclude                map[string]bool // ids
	BackoffMin, BackoffMax time.Duration   // used when Next is nil
	Next                   func(attempt int) time.Duration
	Probe                  bool // prefer the event whose last attempt is longest ago
}

// Claim is the permission to send one event once. It ends with Settle or Release.
type Claim struct {
	Event   heygen.Event // with Data
	Attempt int          // 1 for the first; every attempt is counted, also those that do not count towards dead
	Seq     uint64       // the number of this attempt, for Attempt.Seq
	Reason  Reason
	Lane    Lane
	Why     string
	Listed  time.Time
	History []Attempt // the attempts before this one, oldest first
}
