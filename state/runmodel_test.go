package state

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	"backstop/internal/heygen"
)

// byRun queues events as a run.
func (m *model) byRun(t *rapid.T) {
	m.t = t
	r, err := m.s.BeginRun(m.now, Run{Kind: RunReplay, Who: "ann", Chosen: rapid.SampledFrom([]Selection{
		{Dead: true}, {Missed: true}, {Limit: 2}, {Entity: "vid_1"}, {Since: noon().Add(-m.now.Sub(noon()))},
	}).Draw(t, "chosen")}, nil)
	m.must(err)
	if rapid.Bool().Draw(t, "and stops") {
		return
	}
	_, done, err := m.s.QueueRun(m.now, r.ID)
	m.must(err)
	if !done {
		t.Fatal("a bite is not all")
	}
	m.asked(r.ID)
}

// asked notes that a person has asked for what a run has queued.
func (m *model) asked(id uint64) {
	for _, e := range m.pool {
		if row, _ := m.s.Event(e.ID); row != nil && row.Run == id && row.Manual {
			delete(m.held, e.ID)
		}
	}
}

func (m *model) anyRun(t *rapid.T) (Run, bool) {
	m.t = t
	runs, err := m.s.Runs()
	m.must(err)
	if len(runs) == 0 {
		return Run{}, false
	}
	return rapid.SampledFrom(runs).Draw(t, "run"), true
}

func (m *model) cancelRun(t *rapid.T) {
	r, ok := m.anyRun(t)
	if !ok {
		return
	}
	_, err := m.s.CancelRun(m.now, r.ID, "ann")
	m.must(err)
	for _, e := range m.pool {
		if row, _ := m.s.Event(e.ID); row != nil && row.Withheld {
			m.held[e.ID] = true
		}
	}
}

func (m *model) resumeRun(t *rapid.T) {
	r, ok := m.anyRun(t)
	if !ok {
		return
	}
	r, resumed, err := m.s.ResumeRun(m.now, r.ID, "ann")
	m.must(err)
	if resumed && r.Kind == RunReplay {
		_, _, err := m.s.QueueRun(m.now, r.ID)
		m.must(err)
	}
	m.asked(r.ID)
}

// byForce finds events for a forced or shadow run; one that was cancelled finds them anew.
func (m *model) byForce(t *rapid.T) {
	r, ok := m.anyRun(t)
	if !ok || r.Kind == RunReplay || !r.Ended.IsZero() || !r.Ready.IsZero() || !r.Cancelled.IsZero() {
		var err error
		kind := rapid.SampledFrom([]RunKind{RunForced, RunShadow}).Draw(t, "kind")
		r, err = m.s.BeginRun(m.now, Run{Kind: kind, Who: "ann"}, nil)
		m.must(err)
	}
	var events []heygen.Event
	for range rapid.IntRange(0, 5).Draw(t, "rows") {
		events = append(events, m.pick("row"))
	}
	_, err := m.s.PlanResends(ResendPages{Run: r.ID, Events: events, Now: m.now})
	m.must(err)
	if rapid.Bool().Draw(t, "and stops") {
		return
	}
	_, err = m.s.WalkedRun(m.now, r.ID)
	m.must(err)
	_, err = m.s.ConfirmRun(m.now, r.ID)
	m.must(err)
	if r.Kind == RunForced {
		m.queues[r.ID] = m.s.Resends(r)
	}
}

// resend claims an event of a forced run.
func (m *model) resend(t *rapid.T) {
	m.t = t
	if len(m.queues) == 0 {
		return
	}
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(m.queues))).Draw(t, "run")
	c, _, err := m.queues[id].Claim(ClaimRules{Now: m.now})
	m.must(err)
	m.asked(id)
	if c == nil {
		return
	}
	for _, flying := range []map[string]*Claim{m.flying, m.resent} {
		for other, f := range flying {
			if e := c.Event.Entity(); other == c.Event.ID || e != "" && e == f.Event.Entity() {
				t.Fatalf("claimed %s beside %s", c.Event.ID, other)
			}
		}
	}
	m.resent[c.Event.ID], m.of[c.Event.ID] = c, m.queues[id]
}

// land settles what was sent by force.
func (m *model) land(t *rapid.T) {
	m.t = t
	for id, c := range m.resent {
		q := m.of[id]
		delete(m.resent, id)
		status := rapid.SampledFrom([]Status{0, Replaying, Dead, Seen}).Draw(t, "outcome")
		if status == 0 {
			m.must(q.Release(id, m.now))
			return
		}
		_, err := q.Settle(Outcome{ID: id, Now: m.now, Status: status, Why: "model", Due: m.now, Attempt: Attempt{At: m.now, Status: 204, Seq: c.Seq}})
		m.must(err)
		if known, _ := statusOf(t, m.s, id); status == Seen && known != 0 {
			m.proven[id] = true
			delete(m.held, id)
		}
		return
	}
}
