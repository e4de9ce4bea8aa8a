package state

import (
	"fmt"
	"time"

	"backstop/internal/heygen"
)

// Counts are the numbers of events by status. Status[Seen] includes baseline
// and imports that were listed.
type Counts struct {
	Status       map[Status]int64
	Baseline     int64     // of the seen ones, those older than the first run
	Quarantined  int64     // rows that could not be read
	Unlisted     int64     // ids that recorders reported and no page listed yet; imports are not counted
	Credits      int64     // anonymous pushes that account for no event yet
	Withheld     int64     // of the missed ones, those that are not sent before a person asks for it
	OldestMissed time.Time // created_at of the oldest dated missed or replaying event; zero: none
}

// Counts returns the numbers of events, as of the last commit. While the file cannot be read they are zero.
func (s *Store) Counts() Counts {
	c := Counts{Status: make(map[Status]int64)}
	err := s.view(func(t *tx) error {
		n := t.counts()
		for status := Settling; status <= Ignored; status++ {
			c.Status[status] = n.status[status]
		}
		c.Baseline, c.Quarantined, c.Unlisted, c.Credits = n.baseline, n.quarantined, n.unlisted, n.credits
		c.Withheld = n.withheld
		c.OldestMissed = t.oldestMissed()
		return nil
	})
	if err != nil {
		return Counts{Status: make(map[Status]int64)}
	}
	return c
}

func (t *tx) oldestMissed() (oldest time.Time) {
	for _, stage := range []byte{stageLive, stageOld} {
		t.stageRows(stage, place{created: time.Unix(1, 0)}, func(p place, _ entry) bool {
			if oldest.IsZero() || p.created.Before(oldest) {
				oldest = p.created
			}
			return false
		})
	}
	return oldest
}

// Event returns all that is known of one event, in whatever stage it is, with its data while that is kept; nil when nothing
// is known. An id that is only reported has a zero Listed and a zero created_at. An id that is not among the unfinished ones
// is looked for in the whole ledger, newest day first: also a reported one, for a report that comes after its event was
// finished by an earlier process waits until the two meet.
func (s *Store) Event(id string) (*Row, error) {
	row, err := s.event(id)
	if err != nil {
		return nil, fmt.Errorf("event %q: %w", id, err)
	}
	return row, nil
}

func (s *Store) event(id string) (*Row, error) {
	one, reported := s.rows.reported(id) // before the transaction: what leaves memory later is in the ledger by then
	row, err := s.openEvent(id)
	if row != nil || err != nil {
		return row, err
	}
	places, err := s.locate([]string{id})
	if err != nil {
		return nil, err
	}
	err = s.view(func(t *tx) error {
		if p, ok := places[id]; ok {
			l, found, err := t.ledgerLine(p)
			if reported { // they have not met yet; this is how they will
				l, _ = l.strengthened(one.proof, one.at())
			}
			if found || err != nil {
				found := t.lineRow(p, l, "")
				row = &found
				return err
			}
		}
		if reported {
			row = reportedRow(id, one.proof, one.at())
			return nil
		}
		o, ok, err := t.reportedOf(id)
		if ok {
			row = reportedRow(id, o.proof, o.at)
		}
		return err
	})
	return row, err
}

func (s *Store) openEvent(id string) (row *Row, err error) {
	err = s.view(func(t *tx) error {
		r, err := t.open(id)
		if r != nil {
			found := r.row()
			row = &found
		}
		return err
	})
	return row, err
}

func reportedRow(id string, proof Proof, at time.Time) *Row {
	return &Row{
		Event: heygen.Event{ID: id}, Status: Seen, Proof: proof, At: at,
		Why: lineWhy(line{status: Seen, proof: proof, at: at}, story{}) + "; not listed yet",
	}
}
