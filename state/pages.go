package state

import (
	"time"

	"backstop/internal/heygen"
)

// Pages is what a walk has read since its last commit.
type Pages struct {
	Query      heygen.Query
	Kind       Kind
	Walk       uint64 // this walk, unique in the process; see Judgeable
	Events     []heygen.Event
	Bad        []heygen.BadRow
	Checkpoint Checkpoint // the position behind these pages; no segments: none is needed
	Now        time.Time
	First      bool // the first walk of this state: its undated rows are baseline
}

// Tally counts what CommitPages did with the rows of some pages. Listed is all
// readable rows; New those never met before, of which Seen, Baseline and
// Settling are parts; Known the rest.
type Tally struct {
	Listed, New, Known       int
	Seen, Baseline, Settling int
	Undated, Bad             int
	Types                    map[string]int // new events by type
}
