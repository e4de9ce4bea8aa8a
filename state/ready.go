package state

import (
	"backstop/internal/heygen"
)

// meeting is what is found out about a listed event before anything is done about it.
type meeting struct {
	known    bool // it has a record, or is older than all records; then the rest is not filled in
	reported bool
	proof    sorted // what the bucket reported has of it
	entity   string
	fact     heygen.Fact
}

// Ready is what Prepare found out about the events of one page.
type Ready struct {
	tx   int // the transaction whose outcome it was read from
	list []meeting
}

// Prepare finds out what CommitPages has to know of the events of a page, while the walk waits for the next one. It changes
// nothing. What it tells is used as long as nothing was committed since, and found out again otherwise; so it is no failure
// when it can tell nothing.
func (s *Store) Prepare(events []heygen.Event) (r Ready) {
	err := s.view(func(t *tx) error {
		list := make([]meeting, len(events))
		for i, e := range events {
			var err error
			if list[i], err = t.recognise(e); err != nil {
				return err
			}
		}
		if !t.damaged { // a writer moves what is damaged to the quarantine
			r = Ready{t.bolt.ID(), list}
		}
		return nil
	})
	if err != nil {
		return Ready{} // whoever commits meets the same, and says it
	}
	return r
}

// recognise finds out about one event. Most are finished, or were reported; an event that was reported is not open, so that is
// looked up last.
func (t *tx) recognise(e heygen.Event) (m meeting, err error) {
	if t.belowFloor(e) {
		return meeting{known: true}, nil
	}
	if _, m.known, err = t.ledgerLine(place{e.CreatedAt, e.ID}); m.known || err != nil {
		return m, err
	}
	if m.proof, m.reported, err = t.reportedOf(e.ID); err != nil {
		return m, err
	}
	if !m.reported {
		r, err := t.readOpen(e.ID, false)
		if r != nil || err != nil {
			return meeting{known: r != nil}, err
		}
	}
	m.entity, m.fact = t.keys.Of(e)
	return m, nil
}

// meetings gives what is to be known of the events of some pages, one by one.
type meetings struct {
	t     *tx
	ready []meeting       // of the first events; the others are to be found out
	used  map[string]bool // ids that this transaction has met: what was prepared of them holds no more
}

// meeting begins to meet the events of pages. What was prepared is of use when this transaction follows directly on the one
// that was read, and nobody has written in it yet.
func (t *tx) meeting(p Pages) *meetings {
	read := t.bolt.ID()
	if t.bolt.Writable() {
		read--
	}
	m := &meetings{t: t}
	for _, r := range p.Ready {
		if r.tx != read || t.changed {
			return &meetings{t: t}
		}
		m.ready = append(m.ready, r.list...)
	}
	m.used = make(map[string]bool, len(m.ready))
	return m
}

// of gives what is to be known of the event with the index i.
func (m *meetings) of(i int, e heygen.Event) (meeting, error) {
	if len(m.ready) == 0 {
		return m.t.recognise(e)
	}
	met := m.used[e.ID]
	m.used[e.ID] = true
	if met || i >= len(m.ready) {
		return m.t.recognise(e)
	}
	return m.ready[i], nil
}
