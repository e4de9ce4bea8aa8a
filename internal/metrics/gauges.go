package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Readings is how things stand now.
type Readings struct {
	Pending      int64     // events missed or replaying
	Dead         int64     // events
	OldestMissed time.Time // created_at of the oldest pending event; zero: none, or undated
	Mark         time.Time // zero: there is none
	LastPass     time.Time // end of the last pass, clean or not; zero: there was none
	LastPassTook time.Duration
	LastClean    time.Time      // end of the last clean pass; zero: there was none
	Gap          float64        // seconds of created_at that should have been walked and were not
	Paused       bool           // replaying is paused, by a person or because the receiver is misconfigured
	Unpaired     bool           // no source has ever spoken
	Rate         float64        // attempts a second that the receiver bears now; 0: no limit
	Configured   float64        // attempts a second, at most; 0: no limit
	StateSize    int64          // bytes
	Sources      []SourceHealth // the reader's to keep
}

// SourceHealth is how a source of what the receiver has fares.
type SourceHealth struct {
	Name     string
	Asked    time.Time // when it answered, or failed to, last; zero: never
	Failing  string    // why it failed then; "": it did not
	Failures int64     // how often it has failed; from 0 again where a reload has made it anew
}

// gauges reads how things stand at each scrape.
type gauges struct {
	single   []gauge
	up       *prometheus.Desc
	failures *prometheus.Desc

	mu     sync.Mutex
	read   func() Readings  // called with mu held
	failed map[string]tally // guarded by mu; by source
}

// gauge is one number of the readings.
type gauge struct {
	desc *prometheus.Desc
	of   func(Readings, time.Time) float64
}

func newGauges(read func() Readings) *gauges {
	g := &gauges{
		read:     read,
		up:       describe("source_up", "Whether the last answer of a source was good; absent before it was asked.", "source"),
		failures: describe("source_failures_total", "Times that a source could not answer.", "source"),
		failed:   map[string]tally{},
	}
	add := func(name, help string, of func(Readings, time.Time) float64) {
		g.single = append(g.single, gauge{describe(name, help), of})
	}
	add("events_pending", "Events missed or replaying.", func(r Readings, _ time.Time) float64 { return float64(r.Pending) })
	add("events_dead", "Events that replaying gave up and that wait for a person.", func(r Readings, _ time.Time) float64 { return float64(r.Dead) })
	add("oldest_missed_age_seconds", "Age of the oldest event missed or replaying; 0 where there is none.", Readings.oldest)
	add("mark_timestamp_seconds", "Everything listed up to this creation time has been walked; 0 before the first walk.",
		func(r Readings, _ time.Time) float64 { return seconds(r.Mark) })
	add("last_pass_timestamp_seconds", "End of the last pass, clean or not; 0 before the first.",
		func(r Readings, _ time.Time) float64 { return seconds(r.LastPass) })
	add("last_pass_duration_seconds", "Time that the last pass took.", func(r Readings, _ time.Time) float64 { return r.LastPassTook.Seconds() })
	add("last_clean_pass_timestamp_seconds", "End of the last clean pass of this process; 0 before the first.",
		func(r Readings, _ time.Time) float64 { return seconds(r.LastClean) })
	add("coverage_gap_seconds", "Total of the gaps in what complete walks have read, from the baseline to the start of the last of them.",
		func(r Readings, _ time.Time) float64 { return r.Gap })
	add("receiver_paused", "Whether replaying is paused, by a person or because the receiver is misconfigured.",
		func(r Readings, _ time.Time) float64 { return truth(r.Paused) })
	add("unpaired", "Whether no source has ever said what the receiver has, so that nothing is replayed.",
		func(r Readings, _ time.Time) float64 { return truth(r.Unpaired) })
	add("replay_rate", "Attempts a second that are made at most now; 0: no limit.", func(r Readings, _ time.Time) float64 { return r.Rate })
	add("replay_rate_configured", "Attempts a second that are configured; 0: no limit.", func(r Readings, _ time.Time) float64 { return r.Configured })
	add("state_size_bytes", "Size of the state file.", func(r Readings, _ time.Time) float64 { return float64(r.StateSize) })
	return g
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

func (r Readings) oldest(now time.Time) float64 {
	if r.OldestMissed.IsZero() {
		return 0
	}
	return max(0, now.Sub(r.OldestMissed).Seconds())
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, one := range g.single {
		to <- one.desc
	}
	to <- g.up
	to <- g.failures
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	r, now := g.readings(), time.Now()
	for _, one := range g.single {
		to <- prometheus.MustNewConstMetric(one.desc, prometheus.GaugeValue, one.of(r, now))
	}
	for _, s := range r.Sources {
		to <- prometheus.MustNewConstMetric(g.failures, prometheus.CounterValue, float64(s.Failures), s.Name)
		if !s.Asked.IsZero() {
			to <- prometheus.MustNewConstMetric(g.up, prometheus.GaugeValue, truth(s.Failing == ""), s.Name)
		}
	}
}

// readings reads how things stand, one scrape after the other, with failures that never go back.
func (g *gauges) readings() Readings {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.read()
	for i, s := range r.Sources {
		t := g.failed[s.Name].plus(s.Failures)
		g.failed[s.Name], r.Sources[i].Failures = t, t.before+t.last
	}
	return r
}

// tally adds up a count that may begin anew.
type tally struct{ before, last int64 }

func (t tally) plus(now int64) tally {
	if now < t.last {
		t.before += t.last
	}
	t.last = now
	return t
}
