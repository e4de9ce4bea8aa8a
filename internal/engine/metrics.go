package engine

import (
	"net/http"

	"backstop/internal/heygen"
	"backstop/internal/metrics"
	"backstop/reconcile"
	"backstop/state"
)

// Metrics answers scrapes; nil where nobody counts.
func (e *Engine) Metrics() http.Handler {
	if e.options.Metrics == nil {
		return nil
	}
	return e.options.Metrics.Handler()
}

// observer tells the metrics how events move.
func observer(m *metrics.Metrics) func([]state.Change) {
	if m == nil {
		return nil
	}
	return m.Changed
}

// watch tells the metrics what HeyGen is asked.
func watch(m *metrics.Metrics) heygen.Watch {
	if m == nil {
		return heygen.Watch{}
	}
	return heygen.Watch{Request: m.Request, Page: m.Page}
}

// attempts tells the metrics what is sent to the receiver.
func attempts(m *metrics.Metrics) func(reconcile.Answer) {
	if m == nil {
		return nil
	}
	return func(a reconcile.Answer) { m.Attempt(a.Status, a.Err, a.Latency) }
}

// show lets the metrics ask how things stand.
func (e *Engine) show() {
	if e.options.Metrics == nil || e.store == nil {
		return
	}
	e.options.Metrics.Types(e.store.Types())
	e.options.Metrics.Show(e.readings)
}

// readings is how things stand now. What can't be read is left at zero: a state
// that can't be read ends the process.
func (e *Engine) readings() metrics.Readings {
	counts, receiver, last := e.store.Counts(), e.store.Receiver(), e.lastPass()
	r := metrics.Readings{
		Pending:      counts.Status[state.Missed] + counts.Status[state.Replaying],
		Dead:         counts.Status[state.Dead],
		OldestMissed: counts.OldestMissed,
		LastClean:    last.clean,
		Gap:          e.store.Gap(queries(e.current().cfg)).Seconds(),
		Paused:       receiver.Paused != "" || receiver.Misconfigured != "",
		Unpaired:     !e.store.Paired(),
		Sources:      e.sourceHealth(),
	}
	pace := e.current().replayer.Pace()
	r.Rate, r.Configured = pace.Rate, pace.Configured
	r.StateSize, _ = e.store.Size()
	var s Status
	if e.walkStatus(&s) == nil {
		r.Mark = s.Mark
	}
	if e.passStatus(&s) == nil && s.LastPass != nil {
		r.LastPass, r.LastPassTook = s.LastPass.End, s.LastPass.End.Sub(s.LastPass.Start)
	}
	return r
}

// sourceHealth is how the sources of what the receiver has fare.
func (e *Engine) sourceHealth() []metrics.SourceHealth {
	var all []metrics.SourceHealth
	for _, h := range e.current().sources.Health() {
		asked := h.Spoke
		if h.Failing != "" {
			asked = h.Since
		}
		all = append(all, metrics.SourceHealth{Name: h.Name, Asked: asked, Failing: h.Failing, Failures: h.Failures})
	}
	return all
}
