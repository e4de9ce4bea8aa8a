package reconcile

import (
	"fmt"
	"time"

	"backstop/state"
)

// lookAgain is after how long a hold is looked at again although nobody said
// that anything changed.
const lookAgain = time.Minute

// permit says whether an attempt may be made now, and which.
type permit struct {
	hold    string        // why nothing may be sent until somebody acts; "" it may
	blocked bool          // not now, but by itself later: a probe is not due or under way, or the one that goes first after a rest is
	wait    time.Duration // until it is worth another look; 0: until the probe has landed, or somebody acts
	manual  bool          // only what a person asked for: unpaired
	probe   bool          // one at a time, another event each time
	secrets []string      // for the signature
}

// may reports whether an attempt may be made now.
func (p permit) may() bool { return p.hold == "" && !p.blocked }

// permit looks at everything that can hold replaying back, first at what a
// person must see to. A probe that is asked for need not wait for its time.
func (r *Replayer) permit(now time.Time, probe bool) permit {
	p := r.receiverPermit(now, probe)
	if !p.may() {
		return p
	}
	secrets, err := r.secrets()
	if err != nil {
		p.hold = "the receiver's secret cannot be read, and nothing is sent unsigned: " + err.Error()
	}
	p.secrets = secrets
	return p
}

func (r *Replayer) receiverPermit(now time.Time, probe bool) permit {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !now.Before(r.stopped.till) {
		r.stopped = stopped{}
	}
	rec := r.home.Receiver()
	if why := r.holdWhy(rec); why != "" {
		return permit{hold: why, wait: max(0, r.stopped.till.Sub(now))}
	}
	p := permit{manual: !r.home.Paired()}
	switch {
	case probe && r.flying == 0:
		p.probe = rec.Misconfigured != "" || r.outage.down
	case rec.Misconfigured != "":
		p.probing(rec.NextProbe, now, r.flying)
	case r.outage.down:
		p.probing(r.outage.next, now, r.flying)
	}
	if r.flying > 0 && r.pace.resting() { // one goes first, and the pace says when
		p.blocked = true
	}
	return p
}

// probing lets one attempt at a time pass, from next on, with another event
// each time.
func (p *permit) probing(next, now time.Time, flying int) {
	p.probe = true
	switch {
	case flying > 0:
		p.blocked = true
	case now.Before(next):
		p.blocked, p.wait = true, next.Sub(now)
	}
}

// holdWhy is why nothing at all may be sent, "" when nothing forbids it. It
// needs r.mu.
func (r *Replayer) holdWhy(rec state.Receiver) string {
	switch {
	case r.options.URL == "":
		return "watching only: receiver.url is empty"
	case r.unusable != nil:
		return r.unusable.Error()
	case rec.Paused != "":
		return "paused by " + rec.PausedBy + ": " + rec.Paused
	}
	return r.stopped.why
}

// Paused says for people why replaying is held back now: watch only, paused by
// a person or by backstop, without a secret, misconfigured, unpaired; "" when it
// is not. A receiver that does not answer is no pause.
func (r *Replayer) Paused() string {
	now := time.Now()
	p, rec := r.permit(now, false), r.home.Receiver()
	switch {
	case p.hold != "":
		return p.hold
	case rec.Misconfigured != "":
		return fmt.Sprintf("the receiver is misconfigured: %s; next probe at %s", rec.Misconfigured, stamp(rec.NextProbe))
	case p.manual:
		return "unpaired: no source has ever said what the receiver has; see `backstop status`, import what it has, or replay by hand"
	}
	return ""
}

// Hold says why nothing at all may be sent, also of what a person asks for, until
// somebody acts; "" when nothing forbids it.
func (r *Replayer) Hold() string { return r.permit(time.Now(), false).hold }

func (r *Replayer) secrets() ([]string, error) {
	if r.options.Secrets == nil {
		return nil, nil
	}
	return r.options.Secrets()
}
