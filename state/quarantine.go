package state

import (
	"time"

	"backstop/internal/heygen"
)

// QuarantinedRow is a row of the listing, or a record of our own, that could
// not be read.
type QuarantinedRow struct {
	heygen.BadRow
	Query string // the walk that met it, or "state" for a record of our own
	At    time.Time
}
