// Package metrics counts what backstop does and shows it as Prometheus text. It is told of things by the rooms that do them,
// asks for the state of things at each scrape, and decides nothing. It is the only importer of Prometheus' client.
package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "backstop"

// Metrics are the metrics of one process. Its methods may be called by many goroutines.
type Metrics struct {
	registry *prometheus.Registry
	events   events
	listing  listing
	replays  replays
}

// New makes metrics whose counters all are 0, with every label that is known beforehand.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		events:   newEvents(),
		listing:  newListing(),
		replays:  newReplays(),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the version of this build.",
	}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.events.register(m.registry)
	m.listing.register(m.registry)
	m.replays.register(m.registry)
	return m
}

// Show adds what is read anew at each scrape. It is called once, before the first scrape.
func (m *Metrics) Show(read func() Readings) {
	m.registry.MustRegister(newGauges(read))
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
}

// counters makes a counter with one label, at 0 for each of the values.
func counters(name, help, label string, values ...string) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, []string{label})
	for _, value := range values {
		vec.WithLabelValues(value)
	}
	return vec
}

func histogram(name, help string, buckets ...float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
}
