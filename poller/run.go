package poller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

const (
	groupPages = 10          // pages that share a commit
	groupTime  = time.Second // and for how long the first of them waits
	clockSlack = 2 * time.Second
)

// run is one walk under way. It belongs to the goroutine that walks.
type run struct {
	w       *Walker
	result  Result
	stack   []state.Segment // never empty; see segments.go
	first   bool            // no walk of the query was ever complete
	between func(context.Context) error
	commit  func() error                     // makes what is held durable; does not empty it
	back    func() (state.Segment, bool)     // where to go on when a cursor was refused; nil: at the first page, once
	most    int                              // pages held before a commit
	ready   func([]heygen.Event) state.Ready // prepares a page while the next one is awaited; nil: nothing to prepare
	held    held
	failed  bool          // the last commit gave an error: nothing more is committed
	skew    time.Duration // what the API's clock is behind ours; never above zero
}

// held is what was read since the last commit.
type held struct {
	events []heygen.Event
	ready  []state.Ready
	asked  int // of events, how many ready covers
	bad    []heygen.BadRow
	pages  int
	since  time.Time // when the first of the pages came
}

func (w *Walker) run(k state.Kind) *run {
	r := &run{w: w, most: groupPages, result: Result{Query: w.o.Query, Kind: k, Order: NewestFirst}}
	r.commit = r.commitPages
	return r
}

// now is the smaller of the local clock and the API's, as the first page told.
func (r *run) now() time.Time { return time.Now().Add(r.skew).UTC() }

// readAll reads what the stack asks for and commits the rest of what was read,
// however the reading ended.
func (r *run) readAll(ctx context.Context) error {
	err := r.read(ctx)
	if broken := (*brokenError)(nil); errors.As(err, &broken) {
		r.result.Incomplete, err = broken.reason, broken.cause
	}
	if r.failed {
		return err
	}
	return errors.Join(err, r.flush())
}

// ended gives what the caller gets of a walk that ended with err.
func (r *run) ended(ctx context.Context, err error) (Result, error) {
	r.result.End = r.now()
	switch {
	case r.result.Incomplete != "" || err == nil:
	case ctx.Err() != nil:
		r.result.Incomplete = "interrupted"
	default:
		r.result.Incomplete = err.Error()
	}
	r.result.Complete = r.result.Incomplete == ""
	return r.result, err
}

// read reads the segments of the stack, uppermost first, until all are done.
func (r *run) read(ctx context.Context) error {
	for {
		i, ok := open(r.stack)
		if !ok {
			return nil
		}
		err := r.readSegment(ctx, i)
		if again := (*refusedError)(nil); errors.As(err, &again) {
			err = r.restart(again.cause)
		}
		if err != nil {
			return err
		}
		r.stack = fold(r.stack)
	}
}

// readSegment reads one segment to its end. The next page is asked for as soon
// as it is known to be needed, while this one is handled.
func (r *run) readSegment(ctx context.Context, i int) error {
	s := newSegment(r, &r.stack[i])
	defer s.drop()
	s.ask(ctx)
	for {
		page, err := s.await()
		if errors.Is(err, heygen.ErrUnreadable) && ctx.Err() == nil && s.pieces.smaller() {
			s.seg.Limit = s.pieces.limit()
			s.ask(ctx)
			continue
		}
		if err != nil {
			return s.explain(err)
		}
		err = s.take(page)
		r.hold(page)
		if err != nil {
			return err
		}
		if done(*s.seg) {
			return nil
		}
		s.ask(ctx)
		r.prepare()
		if err := r.flushFull(); err != nil {
			return err
		}
		if err := r.giveWay(ctx); err != nil {
			return err
		}
	}
}

// giveWay lets what is due go first.
func (r *run) giveWay(ctx context.Context) error {
	if r.between == nil {
		return nil
	}
	return r.between(ctx)
}

// restart goes on after a cursor was refused: where the walk says, else anew, once.
func (r *run) restart(cause error) error {
	if r.back != nil {
		return r.stepBack(cause)
	}
	if r.result.Restarts > 0 {
		if broken := (*brokenError)(nil); errors.As(cause, &broken) {
			return broken
		}
		return &brokenError{"the listing refused a cursor twice in one walk", cause}
	}
	r.result.Restarts++
	r.stack = restart(r.stack)
	r.w.log.Warn("the listing refused the cursor: the walk begins anew, down to the same horizon",
		"kind", r.result.Kind.String(), "horizon", r.stack[0].Horizon, "page", r.result.Pages+1)
	return nil
}

// stepBack goes on where the walk says. What was read is committed first: the
// place that it gives is one behind committed pages.
func (r *run) stepBack(cause error) error {
	if err := r.flush(); err != nil {
		return err
	}
	segment, ok := r.back()
	if !ok {
		return &brokenError{"the listing refuses every cursor that this walk has had", cause}
	}
	r.result.Restarts++
	r.stack = []state.Segment{segment}
	return nil
}

// hold keeps a page for the next commit.
func (r *run) hold(page *heygen.Page) {
	if r.held.pages == 0 {
		r.held.since = time.Now()
		r.held.events = make([]heygen.Event, 0, r.most*len(page.Events))
	}
	r.held.pages++
	r.held.events = append(r.held.events, page.Events...)
	r.held.bad = append(r.held.bad, page.Bad...)
}

// prepare lets the ledger look at what was read since it last did.
func (r *run) prepare() {
	if r.ready == nil {
		return
	}
	r.held.ready = append(r.held.ready, r.ready(r.held.events[r.held.asked:]))
	r.held.asked = len(r.held.events)
}

func (r *run) flushFull() error {
	if r.held.pages < r.most && time.Since(r.held.since) < groupTime {
		return nil
	}
	return r.flush()
}

// flush commits what is held. No context stops it: what was read need not be
// read again.
func (r *run) flush() error {
	if r.held.pages == 0 {
		return nil
	}
	if err := r.commit(); err != nil {
		r.failed = true
		return err
	}
	r.held = held{}
	return nil
}

// commitPages makes the held pages and the checkpoint behind them durable in
// one transaction. After a crash before it the next walk reads them again, at
// most ten; after it, the next walk goes on behind them.
func (r *run) commitPages() error {
	tally, err := r.w.ledger.CommitPages(state.Pages{
		Query:      r.w.o.Query,
		Kind:       r.result.Kind,
		Walk:       r.result.Walk,
		Events:     r.held.events,
		Ready:      r.held.ready,
		Bad:        r.held.bad,
		Checkpoint: r.checkpoint(),
		Now:        r.now(),
		First:      r.first,
	})
	if err != nil {
		return fmt.Errorf("commit %d pages of %s: %w", r.held.pages, r.w.o.Query, err)
	}
	addTally(&r.result.Tally, tally)
	return nil
}

// checkpoint is the stack as the next walk may resume it. A short walk that is
// done needs none: it is finished in the next moment, or read again at the cost
// of a group of pages. So an idle poll writes nothing.
func (r *run) checkpoint() state.Checkpoint {
	top := r.stack[0]
	if len(r.stack) == 1 && (top.Pages == 0 || (done(top) && top.Pages <= groupPages)) {
		return state.Checkpoint{}
	}
	return state.Checkpoint{Segments: slices.Clone(r.stack)}
}

// finish moves the mark and clears the checkpoint in one transaction. A crash
// before it leaves a checkpoint whose segments are all done: the next walk
// reads a fresh head and finishes for both.
func (r *run) finish() error {
	p := r.proved()
	e := state.WalkEnd{
		Query:    r.w.o.Query,
		Kind:     r.result.Kind,
		Now:      r.now(),
		Complete: true,
		Mark:     r.result.Mark,
		From:     p.from,
		To:       p.start,
		Start:    p.start,
	}
	if e.Kind == state.Sweep {
		// The next sweep reads from its lookback below here. What was listed
		// late while this one was stopped is listed above its cursor.
		e.Start = p.since
	}
	if p.from.IsZero() {
		e.Reached = p.lowest
	}
	if err := r.w.ledger.FinishWalk(e); err != nil {
		return fmt.Errorf("finish the %s of %s: %w", e.Kind, e.Query, err)
	}
	return nil
}

// proved notes in the result what a complete walk proves.
func (r *run) proved() proof {
	p := proves(r.stack)
	r.result.From, r.result.To, r.result.Mark = p.from, p.start, p.mark(r.w.o.Settle)
	return p
}

// begun notes the clock and the start of the walk when the first page is there.
// Asked is when it was asked for: what is listed later may not be on it.
func (r *run) begun(asked time.Time, date time.Time) time.Time {
	if behind := time.Until(date); !date.IsZero() && behind < -clockSlack {
		r.skew = behind
	}
	start := asked.UTC()
	if !date.IsZero() {
		start = earlier(start, date.UTC())
	}
	if r.result.Start.IsZero() {
		r.result.Start = start
	}
	return start
}

func addTally(sum *state.Tally, t state.Tally) {
	sum.Listed += t.Listed
	sum.New += t.New
	sum.Known += t.Known
	sum.Seen += t.Seen
	sum.Baseline += t.Baseline
	sum.Settling += t.Settling
	sum.Undated += t.Undated
	sum.Bad += t.Bad
	for name, n := range t.Types {
		if sum.Types == nil {
			sum.Types = map[string]int{}
		}
		sum.Types[name] += n
	}
}

// brokenError ends a walk that can't be completed: the listing broke a rule, or
// (with a cause) refused what the walk needs.
type brokenError struct {
	reason string
	cause  error
}

func (e *brokenError) Error() string { return e.reason }
