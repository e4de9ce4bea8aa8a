package command

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"backstop/internal/engine"
	"backstop/state"
)

// replayShow prints what a replay tells: the plan, each event of a small one, and
// how far a large one is.
type replayShow struct {
	app   *app
	dry   bool
	quiet bool      // only the plan: the rest comes when somebody has agreed
	shown bool      // the plan was
	large bool      // too many events to tell of each
	run   uint64    // 0: none yet
	kind  string    // of the run; "": not known yet
	to    string    // the other receiver; "": the receiver
	named bool      // the events were named, one by one
	looks bool      // it only follows a run
	bar   *progress // nil: none
}

func (a *app) newReplayShow(r engine.ReplayRequest) *replayShow {
	s := &replayShow{app: a, dry: r.DryRun, named: len(r.IDs) > 0}
	switch { // until the plan says so
	case r.To != "":
		s.kind = string(state.RunShadow)
	case r.Force:
		s.kind = string(state.RunForced)
	}
	return s
}

// where is what is sent to, in words.
func (s *replayShow) where() string {
	if s.to != "" {
		return s.to
	}
	return "the receiver"
}

// nothing says why there is nothing to send.
func (s *replayShow) nothing() string {
	switch s.kind {
	case string(state.RunForced):
		return "nothing of what was chosen was found; what has not settled is left out"
	case string(state.RunShadow):
		return "nothing of what was chosen was found"
	}
	if s.named {
		return "none of these is missed or dead; --force sends what is seen again"
	}
	return "nothing of what was chosen is missed, replaying or dead; --force sends what is seen again"
}

func (s *replayShow) end() {
	if s.bar != nil {
		s.bar.end()
		s.bar = nil
	}
}

// row takes in one line of what a replay tells.
func (s *replayShow) row(row engine.ReplayRow) error {
	switch {
	case row.Plan != nil:
		return s.plan(*row.Plan)
	case row.Progress != nil:
		return s.progress(*row.Progress)
	case s.quiet:
		return nil
	case s.app.json:
		return s.app.printJSON(row)
	case s.bar != nil && s.bar.bars != nil:
		s.end() // it would stand in the middle of the line
	}
	what := row.Status
	switch {
	case row.Queued && s.dry:
		what = "would be sent (it is " + row.Status + ")"
	case row.Queued:
		what = "queued (it was " + row.Status + ")"
	case row.HTTP > 0 || row.Latency > 0:
		what = answered(row)
	case row.Note == "":
		what = "nothing to do: it is " + row.Status
	}
	return s.app.printf("%s  %s\n", row.ID, strings.TrimSpace(what+"  "+row.Note))
}

// answered says what the receiver answered, and how fast.
func answered(row engine.ReplayRow) string {
	word := fmt.Sprint(row.HTTP)
	if row.HTTP == 0 {
		word = "no answer"
	}
	return fmt.Sprintf("%s  %s in %s", row.Status, word, row.Latency.Round(time.Microsecond))
}

func (s *replayShow) progress(p engine.BackfillProgress) error {
	if s.bar == nil {
		s.bar = s.app.newProgress()
		if p.Phase == "send" && !s.large && !p.Down {
			s.bar.last = time.Now() // each event is told of: a line only where it takes long
		}
	}
	return s.bar.show(p)
}

// plan is shown once: data of a dry run, else a word before the work.
func (s *replayShow) plan(p engine.ReplayPlan) error {
	s.run, s.kind, s.to, s.large = p.Run, p.Kind, p.To, p.Events > engine.RowsMost
	if s.shown {
		return nil
	}
	s.shown = true
	s.end()
	if p.Warning != "" {
		fmt.Fprintln(s.app.Err, "warning: "+p.Warning)
	}
	if s.app.json {
		return s.app.printJSON(map[string]engine.ReplayPlan{"plan": p})
	}
	if s.dry {
		return s.app.printf("%s", replayPlanText(p))
	}
	_, err := fmt.Fprint(s.app.Err, s.app.cut(replayPlanText(p)))
	return written(err)
}

func replayPlanText(p engine.ReplayPlan) string {
	var b strings.Builder
	if p.Run > 0 {
		fmt.Fprintf(&b, "run %d: ", p.Run)
	}
	fmt.Fprintf(&b, "%s to send: %s\n", plural(p.Events, "event"), counted(p.Statuses))
	for _, name := range slices.Sorted(maps.Keys(p.Types)) {
		fmt.Fprintf(&b, "  %s  %d\n", name, p.Types[name])
	}
	fmt.Fprintf(&b, "created from %s to %s; %d of them hold links that have expired%s\n", stamp(p.Oldest), stamp(p.Newest), p.Expired, sentStale(p.Stale))
	if p.Skipped > 0 {
		fmt.Fprintf(&b, "%s left out: not settled yet, the push may be in flight\n", plural(p.Skipped, "event"))
	}
	switch {
	case p.Held != "":
		fmt.Fprintf(&b, "nothing goes out now: %s\n", p.Held)
	case p.Seconds > 0:
		took := time.Duration(p.Seconds * float64(time.Second)).Round(time.Second)
		fmt.Fprintf(&b, "sending takes %s at %.3g a second\n", max(took, time.Second), float64(p.Events)/p.Seconds)
	}
	return b.String()
}

func sentStale(stale bool) string {
	if !stale {
		return ""
	}
	return freshOrNot(stale)
}

// counted gives "3 missed, 1 dead".
func counted(counts map[string]int) string {
	var parts []string
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[word], word))
	}
	return strings.Join(parts, ", ")
}

// shadowText sums up how another receiver answered.
func shadowText(r engine.ShadowReport) string {
	short := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	var parts []string
	for _, word := range r.Words() {
		parts = append(parts, fmt.Sprintf("%d × %s", r.Answers[word], word))
	}
	return fmt.Sprintf("answers: %s; latency p50 %s, p95 %s, max %s", strings.Join(parts, ", "), short(r.P50), short(r.P95), short(r.Max))
}
