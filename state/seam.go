package state

import (
	"errors"
	"time"
)

const metaCounts = "counts"

type (
	fileIdentity struct{}
	notes        struct{}
	sideWriter   struct{}
	spaceGuard   struct{}
)

// Problem is one thing that Check found wrong.
type Problem struct {
	Bucket string // where; "" for the file as a whole
	Key    string // of the record, printable; "" when it is about no single one
	What   string // what is wrong, for people
}

var ErrFull, ErrLatched = errors.New("full"), errors.New("latched")

func (s *Store) usable() error              { return nil }
func (s *Store) roomToGrow() error          { return nil }
func (s *Store) latch(err error) error      { return err }
func (s *Store) setFull(err error) error    { return err }
func (s *Store) stillOurs() error           { return nil }
func (s *Store) refreshSide(now time.Time)  {}
func (s *Store) setCounts(c counts)         {}
func fullSize(path string, max int64) error { return ErrFull }
func (t *tx) writeNotes() error             { return nil }
func (t *tx) nextGeneration() error         { return nil }

// touchDay notes that an event of a ledger day was handled now, which keeps the day from being pruned too early. To be
// called wherever a ledger record is written.
func (t *tx) touchDay(day uint32, now time.Time) error { return nil }
