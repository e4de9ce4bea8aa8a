package engine

import (
	"sync"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// BackfillProgress is how far a backfill has come.
type BackfillProgress struct {
	Phase   string    `json:"phase"`             // walk, find (the walk of a forced or shadow replay), send or mark
	Pages   int       `json:"pages,omitempty"`   // walk: since its beginning, also by processes before this one
	Events  int       `json:"events,omitempty"`  // walk: listed on them
	Planned int       `json:"planned,omitempty"` // walk: of these, not seen
	Reached time.Time `json:"reached,omitzero"`  // walk: the oldest created_at read
	Done    int       `json:"done,omitempty"`    // send: events seen or dead
	Total   int       `json:"total,omitempty"`   // send: events to be sent
	Down    bool      `json:"down,omitempty"`    // send: the receiver does not work now
	Share   float64   `json:"share"`             // of the phase that is done, from 0 to 1; 0 also where nobody can tell
	Rate    float64   `json:"rate"`              // events a second in this phase, by this process
	ETA     float64   `json:"eta_seconds"`       // -1: nobody can tell
}

// meterEvery is how often progress is told.
const meterEvery = time.Second

// meter tells how far a backfill has come, not too often. Walks side by side
// share one.
type meter struct {
	yield func(BackfillProgress) error

	mu    sync.Mutex
	began time.Time // of the phase
	told  time.Time
	last  BackfillProgress
	first int // events at the start of the phase, done by processes before this one
	walks map[heygen.Query]reading
}

// reading is how far one walk has come.
type reading struct {
	segment state.Segment
	planned int
	left    float64 // share of the range that is still to be read; -1: unknown
}

func newMeter(yield func(BackfillProgress) error) *meter {
	return &meter{yield: yield, walks: map[heygen.Query]reading{}}
}

// walked takes in a commit of a walk.
func (m *meter) walked(q heygen.Query, since, upper time.Time, s state.Segment, planned int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.walks[q] = reading{s, planned, unread(since, upper, s)}
	p := BackfillProgress{Phase: "walk"}
	left := 0.0
	for _, w := range m.walks {
		p.Pages, p.Events, p.Planned = p.Pages+w.segment.Pages, p.Events+w.segment.Events, p.Planned+w.planned
		if p.Reached.IsZero() || w.segment.Lowest.Before(p.Reached) {
			p.Reached = w.segment.Lowest
		}
		if left = max(left, w.left); w.left < 0 {
			left = 1
		}
	}
	return m.tell(p, p.Events, left, since.IsZero())
}

// unread is the share of the range that a walk has not read; -1 where there is
// no lower end.
func unread(since, upper time.Time, s state.Segment) float64 {
	whole := upper.Sub(since)
	switch {
	case since.IsZero() || whole <= 0 || s.Lowest.IsZero():
		return -1
	case s.Token == "":
		return 0
	}
	return min(1, max(0, float64(s.Lowest.Sub(since))/float64(whole)))
}

// sent takes in how many events were finished, in a phase, and whether the
// receiver does not work now.
func (m *meter) sent(phase string, done, total int, down bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	left := 0.0
	if total > 0 {
		left = float64(total-done) / float64(total)
	}
	return m.tell(BackfillProgress{Phase: phase, Done: done, Total: total, Down: down}, done, left, total == 0)
}

// tell adds rate and ETA, and yields when it is time. It needs m.mu.
func (m *meter) tell(p BackfillProgress, events int, left float64, unknown bool) error {
	now := time.Now()
	if p.Phase != m.last.Phase {
		m.began, m.first, m.told = now, events, time.Time{}
	}
	m.last = p
	if now.Sub(m.told) < meterEvery {
		return nil
	}
	m.told = now
	p.ETA = -1
	if !unknown {
		p.Share = 1 - left
	}
	if seconds := now.Sub(m.began).Seconds(); seconds > 0 && events > m.first {
		p.Rate = float64(events-m.first) / seconds
		if !unknown && left < 1 {
			p.ETA = float64(events) * left / (1 - left) / p.Rate
		}
	}
	return m.yield(p)
}
