package doctor

import "time"

// Replaying is how the sending stands.
type Replaying struct {
	Paused, PausedBy string // why and by whom; "": it is not
	Misconfigured    string // what the receiver answers to everything
	Failing          string // the last answer of an outage
	Since            time.Time
	Held             string // any other reason why nothing is sent
	Accepted         time.Time
	Missed, Dead     int64 // missed and replaying together, without the withheld
	Withheld         int64
	Oldest           time.Time // created_at of the oldest missed
}

// waitsLong is from when a missed event is worth a word.
const waitsLong = time.Hour

// judge gives nothing without a state.
func (r *Replaying) judge(now time.Time) []Check {
	if r == nil {
		return nil
	}
	sending := r.judgeSending(now)
	all := []Check{sending, r.judgeMissed(now, sending.Status == OK)}
	if r.Dead > 0 {
		all = append(all, warn("dead", "`backstop events --status dead` says why; then `backstop replay ID` or `backstop ignore ID`", "%d were given up", r.Dead))
	}
	if r.Withheld > 0 {
		all = append(all, warn("withheld", "import what the receiver has (`backstop seen import`), then `backstop replay --missed` or `backstop ignore ID`",
			"%d may have reached the receiver in the time that a restore lost", r.Withheld))
	}
	return all
}

// judgeMissed tells of what waits, and whether that is for what the line before says.
func (r *Replaying) judgeMissed(now time.Time, sent bool) Check {
	age := time.Duration(0)
	if !r.Oldest.IsZero() {
		age = now.Sub(r.Oldest).Round(time.Second)
	}
	switch {
	case r.Missed == 0 || sent && age <= waitsLong:
		return ok("missed", "%d wait to be replayed", r.Missed)
	case !sent && age == 0:
		return warn("missed", "mend that", "%d wait to be replayed, because of the line above", r.Missed)
	case !sent:
		return warn("missed", "mend that", "%d wait to be replayed, because of the line above; the oldest is %s old", r.Missed, age)
	}
	return warn("missed", "mend what holds replaying back; `backstop explain ID` tells of one, `backstop replay --missed` tries all now",
		"%d wait, the oldest is %s old", r.Missed, age)
}

func (r *Replaying) judgeSending(now time.Time) Check {
	switch {
	case r.Paused != "":
		return warn("replaying", "`backstop resume`", "paused by %s: %s", r.PausedBy, r.Paused)
	case r.Misconfigured != "":
		return fail("replaying", "mend the receiver, or receiver.url and receiver.secret (and reload); then `backstop resume` tries at once, without it the next probe does", "the receiver is misconfigured: %s", r.Misconfigured)
	case r.Failing != "":
		return fail("replaying", "mend the receiver; it is tried again by itself", "the receiver fails since %s: %s", now.Sub(r.Since).Round(time.Second), r.Failing)
	case r.Held != "":
		return warn("replaying", "mend what it names", "nothing is sent: %s", r.Held)
	case r.Accepted.IsZero():
		return ok("replaying", "nothing holds it back; nothing has been replayed yet")
	}
	return ok("replaying", "nothing holds it back; the last one was accepted %s ago", now.Sub(r.Accepted).Round(time.Second))
}
