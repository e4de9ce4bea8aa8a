package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/poller"
	"backstop/state"
)

// BackfillRequest asks for history to be read and, once a person has agreed to
// the plan, sent.
type BackfillRequest struct {
	state.History
	DryRun   bool    `json:"dry_run,omitempty"`  // only plan, and write nothing
	Send     bool    `json:"send,omitempty"`     // a person agreed to the plan
	Parallel int     `json:"parallel,omitempty"` // types that are walked at once; 0: 1
	Rate     float64 `json:"rate,omitempty"`     // replays a second, at most replay.rate; 0: that
	Who      string  `json:"who,omitempty"`
}

// BackfillPlan is what a backfill has found.
type BackfillPlan struct {
	ID        uint64         `json:"backfill,omitempty"` // absent in a dry run
	Since     time.Time      `json:"since,omitzero"`     // absent: from the very beginning
	Until     time.Time      `json:"until"`
	Pages     int            `json:"pages"` // read by this process
	Events    int            `json:"events"`
	Seen      int            `json:"seen"`
	InHand    int            `json:"in_hand"` // unfinished already: polls and sweeps found them
	Ignored   int            `json:"ignored"`
	Bad       int            `json:"bad"` // could not be read
	Missed    int            `json:"missed"`
	Settling  int            `json:"settling,omitempty"` // undated, and listed just now
	Types     map[string]int `json:"missed_by_type,omitempty"`
	Links     int            `json:"expired_links"`          // pre-signed URLs in missed events that have expired
	Expired   int            `json:"with_expired_links"`     // missed events that hold such URLs
	Stale     bool           `json:"sent_expired,omitempty"` // they are sent as they are: replay.refresh_urls is off
	Seconds   float64        `json:"seconds"`                // that sending takes at the rate, look-ups of links included; 0: there is no limit
	MarkOnly  bool           `json:"mark_only,omitempty"`
	Confirmed bool           `json:"confirmed,omitempty"` // a person agreed to it before
	Lost      *state.Range   `json:"lost,omitempty"`      // the time that a restore lost: what was sent in it counts as missed
	Unpaired  bool           `json:"unpaired,omitempty"`  // nobody ever said what the receiver has: all of it counts as missed
}

// Backfilled is how a backfill ended.
type Backfilled struct {
	Plan   BackfillPlan `json:"plan"`
	Seen   int          `json:"seen"`   // queued events that the receiver has now
	Proven int          `json:"proven"` // planned events that needed no replay, or were only marked
	Dead   int          `json:"dead"`
	Left   int          `json:"left"` // planned or queued still
}

// Backfill walks history and tells what it found missed; when Send says that a
// person agreed, it then sends that and waits until all of it is sent or dead.
// Asked for again, it goes on where it was. What it did is valid beside an error.
func (e *Engine) Backfill(ctx context.Context, r BackfillRequest, yield func(BackfillProgress) error) (Backfilled, error) {
	if !e.backfilling.TryLock() {
		return Backfilled{}, exit.Errorf(exit.Failed, "wait until it ends, or stop it", "a backfill is under way already")
	}
	defer e.backfilling.Unlock()
	if err := e.mayBackfill(r); err != nil {
		return Backfilled{}, err
	}
	show := newMeter(yield)
	if r.DryRun {
		plan, err := e.rehearse(ctx, r, show)
		return Backfilled{Plan: plan}, explain(err)
	}
	e.current().teller.Begin()
	defer e.tellNow(ctx)
	b, err := e.beginBackfill(ctx, r)
	if err != nil {
		return Backfilled{}, explain(err)
	}
	e.underWay.Store(b.ID)
	defer e.underWay.Store(0)
	plan, err := e.walkHistory(ctx, b, r, show)
	result := Backfilled{Plan: plan}
	if err != nil || !r.Send {
		return result, explain(err)
	}
	if err := e.store.ConfirmBackfill(e.Now(), b.ID, r.Who); err != nil {
		return result, explain(err)
	}
	err = e.sendHistory(ctx, b, r, &result, show)
	return result, explain(err)
}

// mayBackfill refuses what could not come to a good end before anything is read.
func (e *Engine) mayBackfill(r BackfillRequest) error {
	if e.current().cfg.Receiver.URL == "" && !r.MarkOnly && !r.DryRun {
		return exit.Errorf(exit.Config, "set it, or use --dry-run or --mark-only", "receiver.url is empty: there is nowhere to send to")
	}
	if e.store == nil || r.Force || e.current().sources.HasOracle() {
		return nil
	}
	if floor := e.store.Floor(); r.Since.Before(floor) {
		return exit.Errorf(exit.Usage, "begin there with --since "+floor.Format(time.RFC3339)+", or use --force to send what may have been seen",
			"what the receiver had before %s is not known any more: those records were pruned", floor.Format(time.RFC3339))
	}
	return nil
}

// beginBackfill takes up the backfill of the same history, or begins one. In a
// first run it also sets the baseline, so that nothing lies between the two.
func (e *Engine) beginBackfill(ctx context.Context, r BackfillRequest) (state.Backfill, error) {
	p := e.current()
	if err := askTime(ctx, p, queriesOf(r.Types, r.Entity)[0]); err != nil {
		return state.Backfill{}, err
	}
	newest := p.client.Now().Add(-p.cfg.Reconcile.Settle)
	if _, begun := e.store.Baseline(); !begun {
		if _, err := e.setBaseline(p, newest); err != nil {
			return state.Backfill{}, err
		}
	}
	history := r.History
	history.Force = history.Force || p.sources.HasOracle() // whoever is asked knows what is older than the floor, too
	b, resumed, err := e.store.BeginBackfill(e.Now(), history, upperEnd(r, newest))
	if err != nil {
		return b, err
	}
	what := "backfill begins"
	if resumed {
		what = "backfill goes on"
	}
	e.log.Info(what, "backfill", b.ID, "since", b.History.Since, "until", b.Upper)
	return b, nil
}

// upperEnd is where a backfill leaves off: what is younger may still arrive by
// push, and is left to polls.
func upperEnd(r BackfillRequest, newest time.Time) time.Time {
	if r.Until.IsZero() || r.Until.After(newest) {
		return newest
	}
	return r.Until
}

// walkHistory reads every query to its end and sums up what was found.
func (e *Engine) walkHistory(ctx context.Context, b state.Backfill, r BackfillRequest, show *meter) (BackfillPlan, error) {
	w := &historyWalk{e: e, backfill: b, show: show, since: b.History.Since, upper: b.Upper}
	tally, pages, err := w.all(ctx, queriesOf(r.Types, r.Entity), r.Parallel)
	plan := BackfillPlan{
		ID: b.ID, Since: b.History.Since, Until: b.Upper, Pages: pages, Events: tally.Listed(), Seen: tally.Seen,
		InHand: tally.Open, Ignored: tally.Ignored, Bad: tally.Bad, MarkOnly: b.History.MarkOnly, Confirmed: !b.Confirmed.IsZero(), Unpaired: !e.store.Paired(), Lost: e.lostTime(),
	}
	if err != nil {
		return plan, err
	}
	return plan, e.judgePlanned(ctx, b, r, &plan)
}

// lostTime is the time that the last restore lost; nil when none did.
func (e *Engine) lostTime() *state.Range {
	if e.store == nil || e.store.Lost().To.IsZero() {
		return nil
	}
	lost := e.store.Lost()
	return &lost
}

// historyWalk is the walks of one backfill.
type historyWalk struct {
	e            *Engine
	backfill     state.Backfill
	show         *meter
	since, upper time.Time

	mu    sync.Mutex
	tally state.HistoryTally // of the walks that ended, guarded by mu
	pages int                // guarded by mu
}

func (h *historyWalk) all(ctx context.Context, queries []heygen.Query, parallel int) (state.HistoryTally, int, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, parallel))
	for _, q := range queries {
		group.Go(func() error { return h.one(ctx, q) })
	}
	err := group.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tally, h.pages, err
}

// one walks a query. Between two pages it lets polls go first.
func (h *historyWalk) one(ctx context.Context, q heygen.Query) error {
	walk, err := h.e.store.HistoryWalk(h.backfill.ID, q)
	if err != nil {
		return err
	}
	result := poller.Result{}
	if !walk.Done() {
		result, err = h.e.historyWalker(q).History(ctx, poller.History{
			Walk: walk, Since: h.since,
			Commit: func(p poller.HistoryPages) (state.HistoryTally, error) {
				tally, err := h.commit(q, p)
				walk = p.Walk
				walk.Tally = tally
				return tally, err
			},
		}, h.letPass)
	}
	h.mu.Lock()
	h.tally, h.pages = h.tally.Plus(walk.Tally), h.pages+result.Pages
	h.mu.Unlock()
	if err == nil && !walk.Done() {
		err = incomplete(result)
	}
	if err != nil {
		return fmt.Errorf("walk of %s: %w", q, err)
	}
	return nil
}

func incomplete(r poller.Result) error {
	return exit.Errorf(exit.Failed, "run it again; it goes on where it stopped", "walk incomplete: %s", r.Incomplete)
}

// letPass is called between two pages: a due poll goes first, and nothing is
// read for a state that can't be written.
func (h *historyWalk) letPass(context.Context) error {
	h.e.turn.letPass()
	return h.e.store.Err()
}

func (h *historyWalk) commit(q heygen.Query, p poller.HistoryPages) (state.HistoryTally, error) {
	tally, err := h.e.store.PlanPages(state.HistoryPages{
		Backfill: h.backfill.ID, Query: q, Events: p.Events, Bad: p.Bad, Walk: p.Walk, Now: h.e.Now(),
	})
	if err != nil {
		return tally, err
	}
	return tally, h.show.walked(q, h.since, h.upper, p.Walk.Segment, tally.Planned)
}

// historyWalker makes a walker of a query that moves no mark.
func (e *Engine) historyWalker(q heygen.Query) *poller.Walker {
	p := e.current()
	return poller.New(p.client, nil, poller.Options{
		Query: q, PageSize: p.cfg.Heygen.PageSize, Settle: p.cfg.Reconcile.Settle, Lookback: p.cfg.Reconcile.Lookback, Logger: e.log,
	})
}

// differences is the error of a backfill that left events missed or dead.
func (r Backfilled) differences(held string) error {
	if r.Left+r.Dead == 0 {
		return nil
	}
	hint := "`backstop events --status dead` shows them"
	if held != "" {
		hint = held + "; then run it again, and it goes on"
	}
	return exit.Errorf(exit.Differences, hint, "%d left, %d dead", r.Left, r.Dead)
}
