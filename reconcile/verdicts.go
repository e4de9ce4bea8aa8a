package reconcile

import (
	"context"
	"slices"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// Verdicts judges events, of each of which something is known. The oracles are asked only about those that would else be
// missed; what they know is put into known. Everybody who judges does it here: a pass, a diff, a backfill.
//
// A source that can't answer is no error: its events stay listed. An error is that of ctx alone.
func (s *Sources) Verdicts(ctx context.Context, now time.Time, events []heygen.Event, known []state.Known, p Policy) ([]Verdict, Answers, error) {
	verdicts := make([]Verdict, len(events))
	var open []int
	var asked []heygen.Event
	for i, e := range events {
		verdicts[i] = Judge(e, known[i], now, p)
		if undecided(known[i], verdicts[i]) {
			open, asked = append(open, i), append(asked, e)
		}
	}
	answers, err := s.Ask(ctx, asked)
	if err != nil {
		return nil, answers, err
	}
	p.SourceFailed = also(slices.Clone(p.SourceFailed), answers.Failed...)
	for _, i := range open {
		if proof := answers.Has[events[i].ID]; proof != state.None {
			known[i].Reported, known[i].ReportedAt = proof, now
		}
		verdicts[i] = Judge(events[i], known[i], now, p)
	}
	return verdicts, answers, nil
}

// undecided reports whether an oracle may still tell where the event stands: nothing proves it, and nobody has decided yet.
// That goes for the second id of a fact, too, while the first is not seen: the receiver may have the one and not the other.
func undecided(k state.Known, v Verdict) bool {
	switch k.Status {
	case 0, state.Settling, state.Listed:
		return v.Status == state.Missed || v.Status == state.Listed || v.Twin != "" && k.TwinStatus != state.Seen
	}
	return false
}
