package reconcile

import (
	"fmt"
	"strings"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// Policy is what the verdict on an event depends on, beside the event and what
// is known of it.
type Policy struct {
	Settle         time.Duration // age below which an event is not judged: its push may be in flight
	CollapseWindow time.Duration // two ids of one fact within it count once; 0: never
	Baseline       time.Time     // older events are not judged; zero: all are
	Floor          time.Time     // older events have no records any more; zero: all have
	Lost           state.Range   // the time that the last restore lost; zero: there was none
	SourceFailed   []string      // names of the sources that could not answer; none: all did
}

// Verdict is what Judge says about one event.
type Verdict struct {
	Status state.Status
	Proof  state.Proof // how it is known that the receiver has it; None unless Status is Seen
	Why    string      // one sentence for people; never empty
	Credit uint64      // the push that accounts for the event by its content; 0: none
	Twin   string      // the kept event of the same fact; "": none

	Withheld bool // missed, but not to be sent before a person asks: what became of it was lost
}

// Judge decides where an event stands. It is pure: the same arguments give the
// same verdict, so diff, dry runs, the page and the daemon cannot disagree.
//
// Proof comes first, whatever the event was before: late proof turns even a
// dead event seen. Then what was already decided stands. Only what is left is
// judged by its age and by the absence of proof.
func Judge(e heygen.Event, k state.Known, now time.Time, p Policy) Verdict {
	if v, ok := proven(k); ok {
		return v
	}
	if v, ok := decided(k); ok {
		return v
	}
	if v, ok := collapsed(k); ok {
		return v
	}
	if v, ok := exempt(e, k, p); ok {
		return v
	}
	if v, ok := young(e, k, now, p); ok {
		return v
	}
	if len(p.SourceFailed) > 0 {
		return Verdict{Status: state.Listed, Why: "settled, but a source could not answer: " + strings.Join(p.SourceFailed, ", ") + flag(k)}
	}
	v := Verdict{Status: state.Missed, Why: missedWhy(k) + flag(k)}
	if v.Withheld = lost(e, k, p.Lost); v.Withheld {
		v.Why += "; " + state.LostWhy(p.Lost)
	}
	return v
}

// proven is the verdict on an event that the receiver is known to have.
func proven(k state.Known) (Verdict, bool) {
	switch {
	case k.Status == state.Seen:
		return Verdict{Status: state.Seen, Proof: k.Proof, Why: seenWhy(k)}, true
	case k.Reported != state.None:
		return Verdict{Status: state.Seen, Proof: k.Reported, Why: k.Reported.Why(k.ReportedAt)}, true
	case k.Credit != 0:
		return Verdict{
			Status: state.Seen, Proof: k.CreditBy, Credit: k.Credit,
			Why: state.CreditWhy(k.CreditBy, k.Linked, k.CreditAt),
		}, true
	}
	return Verdict{}, false
}

// decided is the verdict on an event of which something else than its age
// decides now: the replayer or a person.
func decided(k state.Known) (Verdict, bool) {
	switch k.Status {
	case state.Missed, state.Replaying, state.Dead, state.Ignored:
		return Verdict{Status: k.Status, Why: storedWhy(k), Withheld: k.Withheld}, true
	}
	return Verdict{}, false
}

// collapsed is the verdict on the second id of one fact. Where the kept event
// ended without reaching the receiver, or is only baseline, which is no
// receipt, the second is judged by itself.
func collapsed(k state.Known) (Verdict, bool) {
	if k.Twin == "" || k.TwinStatus == state.Dead || k.TwinStatus == state.Ignored {
		return Verdict{}, false
	}
	if k.TwinStatus == state.Seen && k.TwinProof == state.Baseline {
		return Verdict{}, false
	}
	return Verdict{Status: state.Seen, Proof: k.TwinProof, Twin: k.Twin, Why: "same fact as " + k.Twin}, true
}

// exempt is the verdict on an event that is too old to be judged. An undated
// event has no age and is never exempt, nor is one that a backfill found: a
// person asked for it.
func exempt(e heygen.Event, k state.Known, p Policy) (Verdict, bool) {
	switch {
	case e.CreatedAt.IsZero(), k.Backfill:
		return Verdict{}, false
	case e.CreatedAt.Before(p.Baseline):
		return Verdict{Status: state.Seen, Proof: state.Baseline, Why: state.Baseline.Why(p.Baseline)}, true
	case e.CreatedAt.Before(p.Floor):
		return Verdict{Status: state.Ignored, Why: "older than the floor" + comma(p.Floor) + ": its records were pruned"}, true
	}
	return Verdict{}, false
}

// young is the verdict on an event whose push may still be in flight, or whose
// walk may still find older events of its entity.
func young(e heygen.Event, k state.Known, now time.Time, p Policy) (Verdict, bool) {
	if k.Walking {
		return Verdict{Status: state.Settling, Why: "the walk that found it has not ended"}, true
	}
	born := e.CreatedAt
	if born.IsZero() { // undated: only the listing says how old it can be
		born = k.Listed
	}
	if born.IsZero() {
		return Verdict{Status: state.Settling, Why: "undated: it settles from its first listing"}, true
	}
	if settled := born.Add(p.Settle); now.Before(settled) {
		return Verdict{Status: state.Settling, Why: "settling until " + stamp(settled)}, true
	}
	return Verdict{}, false
}

// undatedFor is how long after a restore an undated event may be one that was
// listed before it, and is met again by the daily sweep.
const undatedFor = 25 * time.Hour

// lost reports whether an event may have reached the receiver in the time that
// a restore lost. There is no lower bound: a state that does not know an event
// can't tell whether a sweep found and replayed it in that time, however old it
// is. What was listed by then is as old, whatever its date says.
func lost(e heygen.Event, k state.Known, gone state.Range) bool {
	switch {
	case gone.To.IsZero():
		return false
	case !k.Listed.IsZero() && k.Listed.Before(gone.To):
		return true
	case e.CreatedAt.IsZero():
		return k.Listed.Before(gone.To.Add(undatedFor))
	}
	return e.CreatedAt.Before(gone.To)
}

func missedWhy(k state.Known) string {
	if k.Listed.IsZero() {
		return "listed, settled, no proof that the receiver has it"
	}
	return "listed at " + stamp(k.Listed) + ", settled, no proof that the receiver has it"
}

// flag warns that a replay would bring the receiver an older word after a newer
// one of the same entity.
func flag(k state.Known) string {
	if k.Newer == "" {
		return ""
	}
	return "; a newer event of its entity was already seen: " + k.Newer
}

func seenWhy(k state.Known) string {
	why := k.Why
	if why == "" {
		why = k.Proof.Why(k.At)
	}
	if k.Elsewhere {
		why += "; it was listed with another created_at before"
	}
	return why
}

func storedWhy(k state.Known) string {
	if k.Why != "" {
		return k.Why
	}
	return fmt.Sprintf("%s%s", k.Status, comma(k.At))
}

func comma(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", " + stamp(t)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
