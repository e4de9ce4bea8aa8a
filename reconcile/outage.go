package reconcile

import (
	"cmp"
	"fmt"
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
	alike    alike
	hinted   string // what the log has of what to look at
}

// Outage is a receiver that does not answer, or not as it should.
type Outage struct {
	Answer string    // the last one, for people; "": there is no outage
	Why    string    // what to look at, where it is there and answers the same 5xx each time; "": it does not
	Since  time.Time // of the first failure in a row
	Next   time.Time // of the next probe
}

// String tells what the receiver does, for people; "" when there is no outage.
func (o Outage) String() string { return cmp.Or(o.Why, o.Answer) }

// Outage tells of the outage of the receiver that goes on now; the zero Outage
// says that there is none.
func (r *Replayer) Outage() Outage {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.outage.down {
		return Outage{}
	}
	return Outage{Answer: r.outage.answer, Why: r.outage.alike.why(), Since: r.outage.since, Next: r.outage.next}
}

// note takes in what an event was answered and logs the edges.
func (o *outage) note(id string, a Answer, l Limits, now time.Time, log *slog.Logger) {
	if a.Class != Retry {
		o.end(a, now, log)
		return
	}
	if o.failures == 0 {
		o.since = now
	}
	o.failures++
	o.answer = a.String()
	o.alike.add(id, a.Status)
	switch {
	case !o.down && o.failures >= outageAfter:
		o.down = true
		o.next = now.Add(o.interval(l))
		log.Warn("receiver unreachable or failing: one probe at a time until it works", append([]any{"answer", a.String(), "failures", o.failures}, o.hint()...)...)
	case o.down && !a.began(now).Before(o.next): // a probe, not an attempt from before
		o.probes++
		o.next = now.Add(o.interval(l))
		o.changed(log)
	}
}

// changed logs that a receiver which was out of reach, or failed in many ways or
// for one event, is there and fails in one way.
func (o *outage) changed(log *slog.Logger) {
	if hint := o.hint(); hint != nil {
		log.Warn("receiver reachable, and failing", append([]any{"failures", o.failures}, hint...)...)
	}
}

// hint is what the log says of what to look at, when it is news.
func (o *outage) hint() []any {
	why := o.alike.why()
	if why == "" || why == o.hinted {
		return nil
	}
	o.hinted = why
	return []any{"reason", why}
}

func (o *outage) end(a Answer, now time.Time, log *slog.Logger) {
	if o.down {
		text := "receiver works again"
		if a.Class != OK {
			text = "receiver answers again, and refuses"
		}
		log.Info(text, "answer", a.String(), "failures", o.failures, "after", now.Sub(o.since).Round(time.Second))
	}
	*o = outage{}
}

// interval is the time from one probe to the next.
func (o *outage) interval(l Limits) time.Duration {
	l.BackoffMax = max(min(l.BackoffMax, outageProbe), l.BackoffMin)
	return l.backoff(o.probes + 1)
}

// alike is a run of answers with one and the same 5xx. A receiver that checks
// the signature and fails where it does not match looks like this, and so does
// one whose database is gone; a machine that is off does not. The zero alike
// has met none.
type alike struct {
	status  int // of all of them
	times   int
	first   string // the event that was answered so first
	several bool   // events were
}

func (r *alike) add(id string, status int) {
	if status/100 != 5 {
		*r = alike{}
		return
	}
	if r.status != status {
		*r = alike{status: status, first: id}
	}
	r.times++
	r.several = r.several || id != r.first
}

// why says what to look at, "" while it is too early to tell. One event that
// fails alone may itself be the reason.
func (r alike) why() string {
	switch {
	case r.times < outageAfter:
		return ""
	case !r.several:
		return fmt.Sprintf("it answers %d to the one event that was tried: look at its log; an event that it can't take looks like this, "+
			"and at some receivers a wrong receiver.secret", r.status)
	}
	return fmt.Sprintf("it answers %d to everything: look at its log; a wrong receiver.secret looks like this at some receivers", r.status)
}
