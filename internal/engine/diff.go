package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"backstop/internal/config"
	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/reconcile"
	"backstop/state"
)

// DiffRequest asks what is missed now.
type DiffRequest struct {
	Since time.Time `json:"since,omitzero"` // zero: the mark less the lookback
	Until time.Time `json:"until,omitzero"` // zero: now
	All   bool      `json:"all,omitempty"`  // also what is seen but not listed
}

// DiffRow is one event with its verdict.
type DiffRow struct {
	Sign string `json:"sign"` // + missed, ~ settling, = seen, ! dead, ? listed: a source could not answer, - seen but not listed
	Event
	Links int `json:"expired_links,omitempty"` // pre-signed URLs in a missed event that have expired
}

// DiffSummary counts the rows of a diff.
type DiffSummary struct {
	Missed   int  `json:"missed"`
	Settling int  `json:"settling"`
	Seen     int  `json:"seen"`
	Dead     int  `json:"dead"`
	Listed   int  `json:"listed"` // a source could not answer
	Other    int  `json:"other"`
	Withheld int  `json:"withheld,omitempty"` // of the missed ones
	Unpaired bool `json:"unpaired"`
	Links    int  `json:"expired_links,omitempty"` // missed events that hold links that have expired
	Stale    bool `json:"sent_expired,omitempty"`  // they are sent as they are: replay.refresh_urls is off
}

// Diff walks the listing and gives every event's verdict, oldest first, from the
// same predicate as a pass. It writes nothing and moves nothing.
func (e *Engine) Diff(ctx context.Context, r DiffRequest, yield func(DiffRow) error) (DiffSummary, error) {
	p := e.current()
	events, walkErr := e.preview(ctx, p, r)
	summary := DiffSummary{Unpaired: e.store == nil || !e.store.Paired()}
	met := make(map[string]bool, len(events))
	emit := func(row DiffRow) error {
		met[row.ID] = true
		if row.Links > 0 {
			summary.Links++
			summary.Stale = !p.cfg.Replay.RefreshURLs
		}
		summary.count(row.Sign)
		if row.Withheld {
			summary.Withheld++
		}
		return yield(row)
	}
	failed, spoke, err := e.judgeAll(ctx, p, events, emit)
	if err != nil {
		return summary, explain(err)
	}
	summary.Unpaired = summary.Unpaired && !spoke
	if err := e.unmet(ctx, r, met, emit); err != nil {
		return summary, explain(err)
	}
	if walkErr != nil {
		return summary, explain(walkErr)
	}
	return summary, errors.Join(failed, summary.differences(e.diffHint(summary)))
}

// diffHint is what to do about what a diff finds missed.
func (e *Engine) diffHint(s DiffSummary) string {
	if begun := e.store != nil && e.begun(); !begun {
		if e.current().cfg.Reconcile.Start == (config.Start{}) {
			return firstRunHint
		}
		return "`backstop reconcile` replays those that reconcile.start leaves to be judged"
	}
	withheld := e.withheldHint(int64(s.Withheld))
	if s.Withheld == s.Missed {
		return withheld
	}
	hint := "`backstop reconcile` replays them"
	if held := e.held(); held != "" {
		hint = "nothing is replayed now: " + held
	}
	if withheld != "" {
		hint += "; " + withheld
	}
	if s.Stale {
		hint += "; links that have expired are sent as they are, for replay.refresh_urls is false"
	}
	return hint
}

// begun reports whether there was a first run.
func (e *Engine) begun() bool {
	_, begun := e.store.Baseline()
	return begun
}

const firstRunHint = "a first run judges only what comes after it began; set reconcile.start to have older events judged, too"

func (s *DiffSummary) count(sign string) {
	switch sign {
	case "+":
		s.Missed++
	case "~":
		s.Settling++
	case "=":
		s.Seen++
	case "!":
		s.Dead++
	case "?":
		s.Listed++
	default:
		s.Other++
	}
}

func (s DiffSummary) differences(hint string) error {
	if s.Missed == 0 {
		return nil
	}
	return exit.Errorf(exit.Differences, hint, "%d missed", s.Missed)
}

// preview reads the listing of every query, oldest first in the end.
func (e *Engine) preview(ctx context.Context, p *parts, r DiffRequest) ([]heygen.Event, error) {
	baseline, begun := e.baseline(p)
	if r.Since.IsZero() && !begun && p.cfg.Reconcile.Start == (config.Start{}) {
		r.Since = p.client.Now().Add(-p.cfg.Reconcile.Lookback) // a first run would judge nothing that is listed by now
	}
	walkers, err := newWalkers(p, e.store, baseline, e.log)
	if err != nil {
		return nil, err
	}
	var events []heygen.Event
	known := map[string]bool{}
	for _, w := range walkers {
		result, err := w.Preview(ctx, r.Since, func(page []heygen.Event) error {
			for _, event := range page {
				if !known[event.ID] && within(event, r) {
					known[event.ID] = true
					events = append(events, event)
				}
			}
			return nil
		})
		if err == nil && !result.Complete {
			err = exit.Errorf(exit.Failed, "run it again; what is shown is what could be read", "walk incomplete: %s", result.Incomplete)
		}
		if err != nil {
			return oldestFirst(events), fmt.Errorf("walk of %s: %w", result.Query, err)
		}
	}
	return oldestFirst(events), nil
}

// baseline is that of the state, or before a first run what the configuration says
// that it will be; zero there for one that begins at its start or at the beginning.
func (e *Engine) baseline(p *parts) (at time.Time, begun bool) {
	if e.store != nil {
		if at, begun = e.store.Baseline(); begun {
			return at, true
		}
	}
	return p.cfg.Reconcile.Start.At, false
}

// within reports whether the event is in the asked range; an undated one always
// is.
func within(event heygen.Event, r DiffRequest) bool {
	at := event.CreatedAt
	return at.IsZero() || (!at.Before(r.Since) && (r.Until.IsZero() || at.Before(r.Until)))
}

func oldestFirst(events []heygen.Event) []heygen.Event {
	slices.SortFunc(events, func(a, b heygen.Event) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return events
}

// judgeAll asks the predicate about every event, in bites that keep each read of
// the state short. What sources could record is taken in and not recorded. failed
// tells that one of them could not answer, spoke that one told of anything.
func (e *Engine) judgeAll(ctx context.Context, p *parts, events []heygen.Event, emit func(DiffRow) error) (failed error, spoke bool, err error) {
	var floor time.Time
	if e.store != nil {
		floor = e.store.Floor()
	}
	baseline, _ := e.baseline(p)
	now := p.client.Now()
	rules := policy(p.cfg, baseline, floor)
	if e.store != nil {
		rules.Lost = e.store.Lost()
	}
	heard := state.NewHeard(events)
	if rules.SourceFailed, err = p.sources.Peek(ctx, now, heard); err != nil {
		return nil, false, err
	}
	missing := slices.Clone(rules.SourceFailed)
	look := e.store.Look(state.Policy{Settle: rules.Settle, CollapseWindow: rules.CollapseWindow, Heard: heard})
	for bite := range slices.Chunk(events, 500) {
		known, err := look.Events(now, bite)
		if err != nil {
			return nil, false, err
		}
		verdicts, answers, err := p.sources.Verdicts(ctx, now, bite, known, rules)
		if err != nil {
			return nil, false, err
		}
		spoke = spoke || len(answers.Spoke) > 0
		missing = append(missing, answers.Failed...)
		for i, event := range bite {
			if err := emit(diffRow(event, known[i], verdicts[i], now)); err != nil {
				return nil, false, err
			}
			spoke = spoke || verdicts[i].Status == state.Seen && verdicts[i].Proof != state.Baseline
		}
	}
	return e.sourceFailed(missing), spoke, nil
}

func diffRow(event heygen.Event, known state.Known, v reconcile.Verdict, now time.Time) DiffRow {
	row := state.Row{Event: event, Status: v.Status, Proof: v.Proof, Why: v.Why, Listed: known.Listed, Entity: event.Entity(), Twin: v.Twin, Withheld: v.Withheld}
	return diffRowOf(row, now)
}

// diffRowOf counts links only of what is missed: the others are not sent.
func diffRowOf(row state.Row, now time.Time) DiffRow {
	d := DiffRow{Sign: sign(row.Status), Event: eventOf(row)}
	if d.Sign == "+" {
		d.Links = heygen.ExpiredLinks(row.Event.Data, now)
	}
	return d
}

// sign is the mark in front of an event in a diff.
func sign(s state.Status) string {
	switch s {
	case state.Missed, state.Replaying:
		return "+"
	case state.Settling:
		return "~"
	case state.Seen, state.Ignored:
		return "="
	case state.Dead:
		return "!"
	default:
		return "?"
	}
}

// unmet adds what the state knows and the walk did not meet: unfinished events
// below the horizon, and with All what the receiver has that is not listed.
func (e *Engine) unmet(ctx context.Context, r DiffRequest, met map[string]bool, emit func(DiffRow) error) error {
	if e.store == nil {
		return nil
	}
	filter := state.Filter{
		Since: r.Since, Until: r.Until,
		Status: []state.Status{state.Missed, state.Replaying, state.Dead, state.Listed, state.Settling},
	}
	now := e.Now()
	err := e.store.Events(ctx, filter, func(row state.Row) error {
		if met[row.Event.ID] {
			return nil
		}
		whole, err := e.store.Event(row.Event.ID)
		if err != nil {
			return err
		}
		if whole != nil { // it comes with its data
			row.Event.Data = whole.Event.Data
		}
		return emit(diffRowOf(row, now))
	})
	if err != nil || !r.All {
		return err
	}
	return e.store.Unlisted(ctx, func(s state.SeenRecord) error {
		if met[s.ID] || s.SeenAt.Before(r.Since) || (!r.Until.IsZero() && !s.SeenAt.Before(r.Until)) {
			return nil
		}
		row := state.Row{Event: heygen.Event{ID: s.ID}, Status: state.Seen, Proof: s.Proof, At: s.SeenAt, Why: "reported, not listed"}
		return emit(DiffRow{Sign: "-", Event: eventOf(row)})
	})
}
