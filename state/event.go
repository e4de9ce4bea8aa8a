package state

import (
	"time"

	"backstop/internal/heygen"
)

// Row is one event as the state knows it.
type Row struct {
	Event    heygen.Event // Data is nil unless it was asked for
	Status   Status
	Proof    Proof
	Lane     Lane
	Reason   Reason
	Why      string    // for people
	Listed   time.Time // first listing; zero: only reported so far
	Due      time.Time // next attempt; zero: none
	At       time.Time // of the last change of status
	Attempts []Attempt
	Entity   string
	Twin     string // the kept event of the same fact
	Manual   bool   // queued by a person
}

// Attempt is one POST of an event to the receiver.
type Attempt struct {
	At         time.Time
	Status     int    // HTTP; 0: there was no answer
	Error      string // timeout, refused, reset …; "": there was an answer
	Latency    time.Duration
	Counted    bool   // it counts towards the attempts after which an event is dead
	Seq        uint64 // the store's running number, for "since that attempt"
	Open       bool   // no outcome yet
	RetryAfter time.Duration
}
