package metrics

import (
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"backstop/state"
)

// Event types come from the listing, and every one is a series that Prometheus keeps: beyond the first hundred all are other.
const (
	mostTypes = 100
	otherType = "other"
)

// Results of a replay, from its first attempt to its end.
const (
	resultSeen       = "seen"       // the receiver took it
	resultDead       = "dead"       // given up
	resultIgnored    = "ignored"    // a person gave the event up
	resultSuperseded = "superseded" // the event was found to be there already, or to be another's twin, and no attempt was taken
)

type events struct {
	listed, seen, missed, replays *prometheus.CounterVec
	delay                         prometheus.Histogram
	proofs                        map[state.Proof]prometheus.Counter // those of seen: a walk may count a million

	mu    *sync.Mutex
	types map[string]kind // guarded by mu; those with a label of their own, and other
}

// kind holds the counters of one event type.
type kind struct{ listed, missed prometheus.Counter }

func newEvents() events {
	e := events{
		listed: counters("events_listed_total", "Events that the listing showed for the first time.", "event_type"),
		seen:   counters("events_seen_total", "Events found to be at the receiver, by the proof that said so first.", "proof"),
		missed: counters("events_missed_total", "Events found missed.", "event_type"),
		replays: counters("replays_total", "Replays that ended, whatever number of attempts they took.", "result",
			resultSeen, resultDead, resultIgnored, resultSuperseded),
		delay: histogram("push_delay_seconds", "Time from the creation of an event to its push's arrival, of events that arrived without a replay.",
			0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 2*3600, 6*3600, 12*3600, 24*3600),
		proofs: map[state.Proof]prometheus.Counter{},
		mu:     new(sync.Mutex),
		types:  map[string]kind{},
	}
	for p := state.Query; p <= state.Baseline; p++ {
		e.proofs[p] = e.seen.WithLabelValues(p.String())
	}
	e.types[otherType] = e.newKind(otherType)
	return e
}

func (e events) register(r prometheus.Registerer) {
	r.MustRegister(e.listed, e.seen, e.missed, e.replays, e.delay)
}

// Types gives event types that are known beforehand their labels, at 0.
func (m *Metrics) Types(names []string) {
	m.events.mu.Lock()
	defer m.events.mu.Unlock()
	for _, name := range names {
		m.events.kindLocked(name)
	}
}

// Changed counts the changes of one transaction; it is for state.Options.
func (m *Metrics) Changed(changes []state.Change) {
	m.events.mu.Lock()
	defer m.events.mu.Unlock()
	for _, c := range changes {
		m.events.countLocked(c)
	}
}

func (e events) countLocked(c state.Change) {
	if c.From == 0 && c.To != 0 {
		e.kindLocked(c.Type).listed.Inc()
	}
	if result := resultOf(c); result != "" {
		e.replays.WithLabelValues(result).Inc()
	}
	switch {
	case c.From == c.To: // an attempt is over, and nothing else changed
	case c.To == state.Missed && !c.Missed:
		e.kindLocked(c.Type).missed.Inc()
	case c.To == state.Seen:
		if n, ok := e.proofs[c.Proof]; ok { // a commit must not fail for what is only counted
			n.Inc()
		}
		if pushed(c) {
			e.delay.Observe(max(0, c.At.Sub(c.Created)).Seconds()) // clocks differ: below 0 is at once
		}
	}
}

// resultOf says how a replay ended; "": it goes on, or there was none. While an attempt is under way nobody knows: our own
// replay may be what the receiver reports, and what came of it is told when it is over. That an event was dead before was told
// then.
func resultOf(c state.Change) string {
	switch {
	case c.Flying || c.TakenBack || c.From != state.Replaying && c.Landed == 0:
		return ""
	case c.GaveUp:
		return resultDead
	case c.Landed == state.Seen, c.To == state.Seen && c.Proof == state.Replay && !c.Twin:
		return resultSeen
	case c.To == state.Replaying || c.To == state.Missed:
		return ""
	case c.To == state.Dead:
		return resultDead
	case c.To == state.Ignored:
		return resultIgnored
	}
	return resultSuperseded
}

// pushed reports whether it is known when an event's push arrived: by a proof that is of that moment, and without an attempt
// of ours that it could be of.
func pushed(c state.Change) bool {
	momentary := c.Proof == state.Tap || c.Proof == state.Report || c.Proof == state.Mirror
	return momentary && !c.Twin && !c.Tried && c.From != state.Ignored && !c.Created.IsZero() && !c.At.IsZero()
}

// kindLocked gives the counters of an event type.
func (e events) kindLocked(name string) kind {
	if k, ok := e.types[name]; ok {
		return k
	}
	if name == "" || !utf8.ValidString(name) || len(e.types) > mostTypes { // other is among them
		return e.types[otherType]
	}
	k := e.newKind(name)
	e.types[name] = k
	return k
}

func (e events) newKind(name string) kind {
	return kind{listed: e.listed.WithLabelValues(name), missed: e.missed.WithLabelValues(name)}
}

// seconds is a time as Prometheus has it; 0 for the zero time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
