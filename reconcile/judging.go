package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

const (
	// judgeBatch bounds the memory of a pass and the length of its
	// transactions.
	judgeBatch = 500

	// strangers is how many reported ids must never have been listed, with
	// none that matched, before the ids are taken for different ones.
	strangers = 20
)

// Judged counts what a pass found. Seen, Missed, Listed and Ignored are changes
// made by this pass; Settling is what it left alone.
type Judged struct {
	Settling, Listed, Missed, Seen, Ignored int
	Types                                   map[string]int // newly missed events by type
	Mismatch                                string         // why reported ids cannot be the listing's; "" fine
	Failed                                  []string       // names of the sources that could not answer
}

// Judging judges what walks have listed. One pass runs at a time.
type Judging struct {
	store   *state.Store
	sources *Sources
	policy  Policy
	log     *slog.Logger
	linked  bool // it was said that pushes have other ids than the listing
}

// NewJudging judges the events of s by what s and sources know and by p, whose
// Baseline, Floor and Lost are taken anew from s at each pass. A nil log discards.
func NewJudging(s *state.Store, sources *Sources, p Policy, log *slog.Logger) *Judging {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Judging{store: s, sources: sources, policy: p, log: log}
}

// Pass judges every event that no unfinished walk holds back, oldest first, and
// writes the verdicts down. Newly missed events are queued in the live lane.
// now is the time of the whole pass; walking are the walks under way. A source
// that fails is no error, but Judged.Failed says so.
//
// ctx ends what is asked of sources; what is on record is judged to the end, in
// the little time that it takes. A pass that ends early leaves the rest for the
// next one: each batch is decided in a transaction of its own, and judging an
// event again gives the same verdict.
func (j *Judging) Pass(ctx context.Context, now time.Time, walking map[uint64]bool) (Judged, error) {
	sum := Judged{Types: map[string]int{}}
	p, began := j.current(), time.Now()
	var err error
	if p.SourceFailed, err = j.sources.Sync(ctx); err != nil {
		return sum, err
	}
	sum.Failed = p.SourceFailed
	look := j.store.Look(state.Policy{Settle: p.Settle, CollapseWindow: p.CollapseWindow})
	for after := ""; ; {
		rows, next, err := j.store.Judgeable(now, walking, after, judgeBatch)
		if err != nil {
			return sum, fmt.Errorf("judge: %w", err)
		}
		if err := j.batch(ctx, look, rows, now, p, &sum); err != nil {
			return sum, fmt.Errorf("judge: %w", err)
		}
		if next == "" {
			break
		}
		after = next
	}
	probed, err := j.sources.Probe(ctx, began)
	if err != nil {
		return sum, err
	}
	sum.Failed = also(sum.Failed, probed.Failed...)
	if err := probed.pair(j.store); err != nil {
		return sum, err
	}
	return sum, j.mismatch(now, &sum)
}

// current is the policy with the bounds that the state moves.
func (j *Judging) current() Policy {
	p := j.policy
	p.Baseline, _ = j.store.Baseline()
	p.Floor = j.store.Floor()
	p.Lost = j.store.Lost()
	return p
}

func (j *Judging) batch(ctx context.Context, look *state.Look, rows []state.Row, now time.Time, p Policy, sum *Judged) error {
	if len(rows) == 0 {
		return nil
	}
	events := eventsOf(rows)
	known, err := look.Events(now, events)
	if err != nil {
		return err
	}
	all, answers, err := j.sources.Verdicts(ctx, now, events, known, p)
	if err != nil {
		return err
	}
	if err := answers.pair(j.store); err != nil {
		return err
	}
	sum.Failed = also(sum.Failed, answers.Failed...)
	var verdicts []state.Verdict
	for i, row := range rows {
		v := all[i]
		if v.Status == state.Settling {
			sum.Settling++
		}
		if changes(row, v) {
			verdicts = append(verdicts, stored(row, v))
		}
	}
	return j.decide(now, rows, verdicts, sum)
}

func (j *Judging) decide(now time.Time, rows []state.Row, verdicts []state.Verdict, sum *Judged) error {
	if len(verdicts) == 0 {
		return nil
	}
	// A crash before this commit leaves the rows as they were, one after it
	// has the verdicts: the next pass goes on from either.
	applied, err := j.store.Decide(now, verdicts)
	if err != nil {
		return err
	}
	types := make(map[string]string, len(rows))
	for _, row := range rows {
		types[row.Event.ID] = row.Event.Type
	}
	for _, v := range applied {
		sum.count(v.Status, types[v.ID])
		j.warnLinked(v)
	}
	return nil
}

// warnLinked says, once, that pushes come with other ids than the listing has.
func (j *Judging) warnLinked(v state.Verdict) {
	if v.Linked == "" || j.linked {
		return
	}
	j.linked = true
	j.log.Warn("a push came with another event id than the listing has; such pushes are matched by content", "event_id", v.ID, "pushed_as", v.Linked)
}

func (s *Judged) count(status state.Status, eventType string) {
	switch status {
	case state.Listed:
		s.Listed++
	case state.Missed:
		s.Missed++
		s.Types[eventType]++
	case state.Seen:
		s.Seen++
	case state.Ignored:
		s.Ignored++
	}
}

// mismatch pauses replaying when the reported ids cannot be those of the
// listing: everything would look missed, and everything would be sent twice.
func (j *Judging) mismatch(now time.Time, sum *Judged) error {
	unlisted, matched, err := j.store.Mismatch(now)
	if err != nil {
		return fmt.Errorf("compare reported ids: %w", err)
	}
	if unlisted < strangers || matched > 0 {
		return nil
	}
	sum.Mismatch = fmt.Sprintf("%d reported ids were never listed and none ever matched: "+
		"the receiver must report the Heygen-Event-Id of the push; correct it, then run backstop resume", unlisted)
	if receiver := j.store.Receiver(); receiver.Paused != "" || receiver.Overruled {
		return nil
	}
	if err := j.store.PauseItself(now, sum.Mismatch); err != nil {
		return fmt.Errorf("pause replaying: %w", err)
	}
	j.log.Warn("replaying paused: reported ids match nothing that is listed", "unlisted", unlisted)
	return nil
}

// changes reports whether a verdict is worth a write.
func changes(row state.Row, v Verdict) bool {
	if v.Status == state.Settling {
		return false
	}
	return v.Status != row.Status || v.Why != row.Why
}

func stored(row state.Row, v Verdict) state.Verdict {
	s := state.Verdict{ID: row.Event.ID, Status: v.Status, Proof: v.Proof, Why: v.Why, Credit: v.Credit, Twin: v.Twin, Withheld: v.Withheld}
	switch {
	case v.Status != state.Missed:
	case row.Backfill != 0:
		s.Lane, s.Reason = state.Old, state.ReasonBackfill
	default:
		s.Lane, s.Reason = state.Live, state.ReasonMissed
	}
	return s
}

func eventsOf(rows []state.Row) []heygen.Event {
	events := make([]heygen.Event, len(rows))
	for i, row := range rows {
		events[i] = row.Event
	}
	return events
}
