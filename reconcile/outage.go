package reconcile

import (
	"log/slog"
	"time"
)

const (
	// outageAfter is how many failures in a row, with no answer that shows a
	// working receiver between them, are an outage.
	outageAfter = 3

	// outageProbe is the longest time between two probes of an outage: it is
	// how late the end of one is noticed while events are due.
	outageProbe = time.Minute
)

// outage notices that the receiver as a whole does not work, so that a backlog
// is not thrown at it: one probe at a time until it answers. It is kept in
// memory only. After a restart the events' own backoff stands until three
// failures have shown the outage again.
type outage struct {
	failures int       // in a row
	since    time.Time // of the first of them
	next     time.Time // of the next probe
	probes   int
	down     bool
	answer   string // the last failure, for people
}

// Outage is a receiver that does not answer, or not as it should.
type Outage struct {
	Answer string    // the last one, for people; "": there is no outage
	Since  time.Time // of the first failure in a row
	Next   time.Time // of the next probe
}

// Outage tells of the outage of the receiver that goes on now; the zero Outage
// says that there is none.
func (r *Replayer) Outage() Outage {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.outage.down {
		return Outage{}
	}
	return Outage{Answer: r.outage.answer, Since: r.outage.since, Next: r.outage.next}
}

// note takes an answer in and logs the two edges.
func (o *outage) note(a Answer, l Limits, now time.Time, log *slog.Logger) {
	if a.Class != Retry {
		o.end(now, log)
		return
	}
	if o.failures == 0 {
		o.since = now
	}
	o.failures++
	o.answer = a.String()
	switch {
	case !o.down && o.failures >= outageAfter:
		o.down = true
		o.next = now.Add(o.pace(l))
		log.Warn("receiver unreachable or failing: one probe at a time until it works", "answer", a.String(), "failures", o.failures)
	case o.down && !now.Add(-a.Latency).Before(o.next): // a probe, not an attempt from before
		o.probes++
		o.next = now.Add(o.pace(l))
	}
}

func (o *outage) end(now time.Time, log *slog.Logger) {
	if o.down {
		log.Info("receiver works again", "failures", o.failures, "after", now.Sub(o.since).Round(time.Second))
	}
	*o = outage{}
}

func (o *outage) pace(l Limits) time.Duration {
	l.BackoffMax = max(min(l.BackoffMax, outageProbe), l.BackoffMin)
	return l.backoff(o.probes + 1)
}
