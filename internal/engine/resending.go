package engine

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"backstop/internal/heygen"
	"backstop/reconcile"
	"backstop/state"
)

// ShadowReport says how another receiver answered.
type ShadowReport struct {
	Answers map[string]int `json:"answers"` // events by the status of the last answer, or by the word for what came in its place
	P50     time.Duration  `json:"p50_ns"`  // of the latencies of those answers
	P95     time.Duration  `json:"p95_ns"`
	Max     time.Duration  `json:"max_ns"`
}

// newResending makes the following of a run that this request sends itself.
func (e *Engine) newResending(run state.Run, r ReplayRequest, rows []ReplayRow, yield func(ReplayRow) error) *following {
	f := e.newFollowing(run, yield)
	f.stays, f.then = resumeHint(run), ", then `"+ResumeCommand(run.ID, run.Kind)+"`"
	for _, row := range rows {
		f.open = append(f.open, row.ID)
	}
	if f.each = len(rows) <= RowsMost; !f.each {
		f.open = nil
	}
	f.tell = f.resent
	q := e.store.Resends(run)
	if run.Kind == state.RunShadow {
		f.shadow(q, e.shadowReplayer(q, r), r.Secret != "")
		return f
	}
	f.work = func(ctx context.Context, probe bool) error {
		replayer := e.current().replayer
		if _, err := replayer.DrainFrom(ctx, q, probe); err != nil {
			return err
		}
		_, err := replayer.DrainManual(ctx, probe) // what was handed over to the ordinary queue
		return err
	}
	return f
}

// shadow has the run sent by a replayer of its own: nothing of it touches the
// receiver, what is known of that, or its limits.
func (f *following) shadow(q *state.Resends, r *reconcile.Replayer, signed bool) {
	f.down, f.shut = r.Down, r.Hold
	f.work = func(ctx context.Context, probe bool) error {
		_, err := r.DrainManual(ctx, probe)
		return err
	}
	f.held = func() string {
		why, _, _ := strings.Cut(q.Receiver().Misconfigured, ": ") // what follows is about the configured one
		if why != "" {
			why = "the other receiver refuses everything: " + why + signedWords(signed)
		}
		return cmp.Or(r.Hold(), why)
	}
}

// signedWords tells what may be wrong with the signature.
func signedWords(signed bool) string {
	if signed {
		return " to what --secret-file signs; check --secret-file"
	}
	return " to what was sent unsigned; --secret-file FILE signs it"
}

// shadowReplayer makes the replayer of a shadow run. The configured headers stay
// at home: they may hold what only the receiver may know.
func (e *Engine) shadowReplayer(q *state.Resends, r ReplayRequest) *reconcile.Replayer {
	p := e.current()
	o := e.sending(p.cfg)
	o.URL, o.Links, o.Logger = r.To, p.links, e.log.With("replay", "shadow")
	o.Secrets = func() ([]string, error) { return []string{r.Secret}, nil }
	return reconcile.NewShadow(q, o)
}

// resent tells of the events that the run has done with since the last look.
func (f *following) resent() error {
	if len(f.open) == 0 {
		return nil
	}
	done := map[string]state.Row{}
	err := f.e.eachResent(f.id, func(row state.Row) error { done[row.Event.ID] = row; return nil })
	if err != nil {
		return err
	}
	var rest []string
	for _, id := range f.open {
		row, ok := done[id]
		if ok && row.Status == state.Missed { // handed over to the ordinary queue
			row, ok, err = f.handedOver(id)
		}
		if err != nil {
			return err
		}
		if !ok {
			rest = append(rest, id)
			continue
		}
		if err := f.yield(resentRow(row)); err != nil {
			return err
		}
	}
	f.open = rest
	return nil
}

// handedOver gives an event that the ordinary queue sends, once it has ended.
func (f *following) handedOver(id string) (row state.Row, ended bool, err error) {
	found, err := f.e.store.Event(id)
	if err != nil || found == nil {
		return row, false, err
	}
	return *found, found.Status == state.Seen || found.Status == state.Dead || found.Status == state.Ignored, nil
}

func resentRow(row state.Row) ReplayRow {
	told := ReplayRow{ID: row.Event.ID, Status: row.Status.String(), Note: heygen.CutURLs(row.Why)}
	if n := len(row.Attempts); n > 0 {
		told.HTTP, told.Latency = row.Attempts[n-1].Status, row.Attempts[n-1].Latency
	}
	return told
}

// eachResent calls fn with all that a run has done with, oldest first.
func (e *Engine) eachResent(id uint64, fn func(state.Row) error) error {
	return eachOf(e.store.Resent, id, fn)
}

// eachOf calls fn with all that a list of a run has, a bite at a time: no
// transaction is open while it runs.
func eachOf(list func(id uint64, after []byte) ([]state.Row, []byte, error), id uint64, fn func(state.Row) error) error {
	for after := []byte(nil); ; {
		rows, next, err := list(id, after)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := fn(row); err != nil {
				return err
			}
		}
		if after = next; next == nil {
			return nil
		}
	}
}

// closing tells in the end of a run of many events what was not told of each: all
// of a shadow run, and what of a forced one is dead.
func (f *following) closing(ctx context.Context, run state.Run) error {
	if f.each {
		return nil
	}
	err := f.e.eachResent(run.ID, func(row state.Row) error {
		if row.Status == state.Dead || run.Kind == state.RunShadow {
			return f.yield(resentRow(row))
		}
		return ctx.Err()
	})
	if err != nil || run.Dead == 0 || run.Kind == state.RunShadow {
		return err
	}
	return f.dead(ctx)
}

// reported adds to the result of a shadow run how the other receiver answered.
func (e *Engine) reported(run state.Run, result Replayed) Replayed {
	if run.Kind != state.RunShadow {
		return result
	}
	report := ShadowReport{Answers: map[string]int{}}
	var latencies []time.Duration
	err := e.eachResent(run.ID, func(row state.Row) error {
		if n := len(row.Attempts); n > 0 {
			last := row.Attempts[n-1]
			report.Answers[answerWord(last)]++
			latencies = append(latencies, last.Latency)
		}
		return nil
	})
	if err == nil && len(latencies) > 0 {
		slices.Sort(latencies)
		report.P50, report.P95, report.Max = quantile(latencies, 0.5), quantile(latencies, 0.95), latencies[len(latencies)-1]
		result.Shadow = &report
	}
	return result
}

func answerWord(a state.Attempt) string {
	if a.Status == 0 {
		return a.Error
	}
	return strconv.Itoa(a.Status)
}

// quantile is the smallest of sorted latencies that a share of them does not
// exceed.
func quantile(sorted []time.Duration, share float64) time.Duration {
	at := int(share*float64(len(sorted)) + 0.999999)
	return sorted[min(max(at, 1), len(sorted))-1]
}

// Words are the answers of a report in their order.
func (r ShadowReport) Words() []string { return slices.Sorted(maps.Keys(r.Answers)) }
