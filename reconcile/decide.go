package reconcile

import (
	"fmt"
	"slices"
	"time"

	"backstop/state"
)

// Decide says what an answer means: what the event is now, when it is tried
// again, and what the receiver is now. It is pure but for o.Jitter.
func Decide(c state.Claim, a Answer, rec state.Receiver, o Limits, now time.Time) state.Outcome {
	d := &decision{claim: c, answer: a, receiver: rec, limits: o.withDefaults(), now: now}
	d.receiver.Refusals = slices.Clone(rec.Refusals)
	d.out = state.Outcome{ID: c.Event.ID, Now: now, Attempt: attempt(c, a, now)}
	switch {
	case a.Class == OK:
		d.accepted()
	case rec.Misconfigured != "":
		d.probed()
	case a.Class == Misconfigured:
		d.trip(misconfiguredWhy(a))
	case a.Class == Refused:
		d.refused()
	default:
		d.failed()
	}
	if d.changed {
		d.out.Receiver = &d.receiver
	}
	return d.out
}

// decision is the workspace of Decide.
type decision struct {
	claim    state.Claim
	answer   Answer
	receiver state.Receiver // a copy, changed as the answer asks
	changed  bool           // the receiver did change
	limits   Limits
	now      time.Time
	out      state.Outcome
}

func attempt(c state.Claim, a Answer, now time.Time) state.Attempt {
	return state.Attempt{
		At: a.began(now), Status: a.Status, Error: a.Err, Latency: a.Latency,
		Seq: c.Seq, RetryAfter: a.RetryAfter, Answer: a.Body, Note: a.Note,
	}
}

// accepted: the receiver has the event, and works.
func (d *decision) accepted() {
	d.out.Status = state.Seen
	d.out.Why = fmt.Sprintf("the receiver answered %s to attempt %d", d.answer, d.claim.Attempt)
	if d.claim.Seq >= d.receiver.OKSeq { // an older attempt may be answered later
		d.receiver.OKSeq, d.receiver.OKID, d.receiver.OKAt = d.claim.Seq, d.claim.Event.ID, d.now
	}
	d.receiver.Refusals = nil
	d.receiver.Misconfigured = ""
	d.receiver.Since, d.receiver.NextProbe, d.receiver.Probes = time.Time{}, time.Time{}, 0
	d.changed = true
}

// refused: the receiver does not want this event. One event refused three times
// is poison; three events refused in a row are a receiver that refuses all.
func (d *decision) refused() {
	d.streak()
	if len(d.receiver.Refusals) >= refusals {
		d.trip(fmt.Sprintf("it refused %d different events in a row, the last with %s: check that it is HeyGen's receiver and its log",
			refusals, d.answer))
		return
	}
	d.out.Attempt.Counted = true
	if n := d.refusedBefore() + 1; n >= refusals {
		d.die(fmt.Sprintf("the receiver refused it %d times, the last with %s", n, d.answer))
		return
	}
	d.count()
}

// streak adds the event to those refused since the last 2xx.
func (d *decision) streak() {
	if slices.Contains(d.receiver.Refusals, d.claim.Event.ID) {
		return
	}
	d.receiver.Refusals = append(d.receiver.Refusals, d.claim.Event.ID)
	d.changed = true
}

// failed: it did not work this time.
func (d *decision) failed() {
	d.out.Attempt.Counted = d.answer.Err != wordStopped && d.othersAccepted()
	d.count()
}

// othersAccepted reports whether another event got a 2xx since this event's
// last attempt. Only then the failure is the event's and not the receiver's, so
// that an outage, however long, kills nothing. A first attempt has none before
// it; for it only a 2xx to an attempt that began later tells that the receiver
// was up meanwhile: a success from before may just be the last one before an
// outage.
func (d *decision) othersAccepted() bool {
	since := d.claim.Seq
	if n := len(d.claim.History); n > 0 {
		since = d.claim.History[n-1].Seq
	}
	return d.receiver.OKSeq > since && d.receiver.OKID != d.claim.Event.ID
}

// count ends the event when its attempts are used up, and else times the next.
func (d *decision) count() {
	n := d.countedBefore()
	if d.out.Attempt.Counted {
		n++
	}
	if n >= d.limits.MaxAttempts {
		d.die(fmt.Sprintf("gave up after %d attempts that count, the last with %s", n, d.answer))
		return
	}
	d.again(d.limits.wait(d.failures(n), d.answer.RetryAfter))
}

// failures is how far the backoff has grown. For what a person asked for it
// begins anew, with the attempts that count: the person waits for it, and the
// attempts from before are no longer counted.
func (d *decision) failures(counted int) int {
	if d.claim.Reason == state.ReasonDead || d.claim.Reason == state.ReasonForced {
		return max(counted, 1)
	}
	return d.claim.Attempt
}

func (d *decision) again(wait time.Duration) {
	d.out.Status = state.Replaying
	d.out.Due = d.now.Add(wait)
	d.out.Why = fmt.Sprintf("attempt %d: %s; next at %s", d.claim.Attempt, d.answer, stamp(d.out.Due))
}

func (d *decision) die(why string) {
	d.out.Status = state.Dead
	d.out.Why = why
}

// trip: nothing would be accepted. Replaying pauses, and the attempt that
// showed it does not count.
func (d *decision) trip(why string) {
	d.receiver.Misconfigured = why
	d.receiver.Since = d.now
	d.receiver.Probes = 0
	d.receiver.NextProbe = d.now.Add(d.limits.wait(1, d.answer.RetryAfter))
	d.changed = true
	d.hold()
}

// probed: an attempt ended without a 2xx while the receiver is misconfigured.
// Only a probe moves the next one: an attempt that was in flight when the
// receiver was found misconfigured says nothing new.
func (d *decision) probed() {
	if !d.out.Attempt.At.Before(d.receiver.NextProbe) {
		d.receiver.Probes++
		d.receiver.NextProbe = d.now.Add(d.limits.wait(d.receiver.Probes+1, d.answer.RetryAfter))
		if d.answer.Class == Misconfigured {
			d.receiver.Misconfigured = misconfiguredWhy(d.answer)
		}
		d.changed = true
	}
	d.hold()
}

// hold leaves the event due: the pause of the receiver is what it waits for.
func (d *decision) hold() {
	d.out.Status = state.Replaying
	d.out.Due = d.now
	d.out.Why = fmt.Sprintf("attempt %d: %s; not counted, the receiver is misconfigured", d.claim.Attempt, d.answer)
}

func (d *decision) countedBefore() int {
	n := 0
	for _, a := range d.claim.History {
		if a.Counted {
			n++
		}
	}
	return n
}

func (d *decision) refusedBefore() int {
	n := 0
	for _, a := range d.claim.History {
		if a.Counted && classOf(a.Status) == Refused {
			n++
		}
	}
	return n
}

// misconfiguredWhy says what to look at.
func misconfiguredWhy(a Answer) string {
	switch {
	case a.Status == 401 || a.Status == 403:
		return fmt.Sprintf("it answered %d: check receiver.secret, receiver.headers and the token in receiver.url", a.Status)
	case a.Status == 405:
		return "it answered 405: receiver.url does not take a POST"
	case a.Status == 410:
		return "it answered 410: receiver.url is gone"
	}
	return fmt.Sprintf("it answered %s: set receiver.url to the final address, redirects are not followed", a)
}
