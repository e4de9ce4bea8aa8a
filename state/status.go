package state

import (
	"errors"
	"fmt"
	"time"
)

// Status is where an event stands. The zero Status means that the state holds
// no record of the event. The numbers are stored: they never change.
type Status uint8

// The statuses, in the order in which an event usually meets them.
const (
	Settling  Status = iota + 1 // listed, too young to be judged
	Listed                      // settled, but a source could not answer
	Missed                      // settled and not seen: to be replayed
	Replaying                   // an attempt was made or is under way
	Seen                        // the receiver has it
	Dead                        // replay gave up; kept until a person acts
	Ignored                     // given up by a person, or below the floor
)

var errStatus = errors.New("is no status; use settling, listed, missed, replaying, seen, dead or ignored")

// String returns the word that people read, "" for the zero Status.
func (s Status) String() string {
	switch s {
	case Settling:
		return "settling"
	case Listed:
		return "listed"
	case Missed:
		return "missed"
	case Replaying:
		return "replaying"
	case Seen:
		return "seen"
	case Dead:
		return "dead"
	case Ignored:
		return "ignored"
	}
	return ""
}

// MarshalText writes the word.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word; the empty text is the zero Status.
func (s *Status) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*s = 0
		return nil
	}
	v, err := ParseStatus(string(b))
	*s = v
	return err
}

// Terminal reports whether nothing more happens to the event by itself.
func (s Status) Terminal() bool { return s == Seen || s == Dead || s == Ignored }

// ParseStatus reads the word of a status.
func ParseStatus(word string) (Status, error) {
	for s := Settling; s <= Ignored; s++ {
		if s.String() == word {
			return s, nil
		}
	}
	return 0, fmt.Errorf("%q %w", word, errStatus)
}

// Proof says how it is known that the receiver has an event. A lower number is
// a stronger proof, except None, which proves nothing. The numbers are stored.
type Proof uint8

// The proofs, strongest first.
const (
	None Proof = iota
	Query
	Tap
	Replay
	Report
	Command
	Log
	Mirror
	Import
	Baseline
)

var errProof = errors.New("is no proof; use query, tap, replay, report, command, log, mirror, import or baseline")

// String returns the word that people read, "" for None.
func (p Proof) String() string {
	switch p {
	case Query:
		return "query"
	case Tap:
		return "tap"
	case Replay:
		return "replay"
	case Report:
		return "report"
	case Command:
		return "command"
	case Log:
		return "log"
	case Mirror:
		return "mirror"
	case Import:
		return "import"
	case Baseline:
		return "baseline"
	}
	return ""
}

// MarshalText writes the word.
func (p Proof) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the word; the empty text is None.
func (p *Proof) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*p = None
		return nil
	}
	v, err := ParseProof(string(b))
	*p = v
	return err
}

// Stronger reports whether p proves more than q.
func (p Proof) Stronger(q Proof) bool { return p != None && (q == None || p < q) }

// ParseProof reads the word of a proof.
func ParseProof(word string) (Proof, error) {
	for p := Query; p <= Baseline; p++ {
		if p.String() == word {
			return p, nil
		}
	}
	return None, fmt.Errorf("%q %w", word, errProof)
}

// Kind is the kind of a walk.
type Kind uint8

// The kinds of walks that move a mark.
const (
	Poll  Kind = iota // a walk with the short lookback
	Sweep             // a walk with the long one
)

// String returns the word that people read.
func (k Kind) String() string {
	if k == Sweep {
		return "sweep"
	}
	return "poll"
}

// Reason says why a replay is sent; it is the value of a header.
type Reason string

// The reasons.
const (
	ReasonMissed   Reason = "missed"
	ReasonDead     Reason = "dead"
	ReasonForced   Reason = "forced"
	ReasonBackfill Reason = "backfill"
)

// Lane is the queue in which a missed event waits.
type Lane uint8

// The lanes.
const (
	Live Lane = iota // all but what a backfill queued
	Old              // queued by a backfill
)

// String returns the word that people read.
func (l Lane) String() string {
	if l == Old {
		return "old"
	}
	return "live"
}

// Why tells in words how and since when it is known that the receiver has an event; a zero time is left out.
func (p Proof) Why(at time.Time) string {
	since := ""
	if !at.IsZero() {
		since = " at " + at.UTC().Format(time.RFC3339)
	}
	switch p {
	case Query:
		return "the receiver's database has it, asked" + since
	case Tap:
		return "passed through the tap, answered 2xx" + since
	case Replay:
		return "the receiver accepted a replay" + since
	case Report:
		return "reported by the receiver" + since
	case Command:
		return "the receiver's command has it, asked" + since
	case Log:
		return "in the receiver's log" + since
	case Mirror:
		return "mirrored by the receiver" + since
	case Import:
		return "imported as seen" + since
	case Baseline:
		return "baseline: older than the first run"
	}
	return "the receiver has it" + since
}
