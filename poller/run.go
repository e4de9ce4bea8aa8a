package poller

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
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
	commit  func(state.Pages) (state.Tally, error) // makes pages durable
	ahead   bool                                   // reading goes on while a commit is under way
	most    int                                    // pages held before a commit
	held    held
	writing chan written  // the commit under way; nil: none
	failed  bool          // the last commit gave an error: nothing more is committed
	skew    time.Duration // what the API's clock is behind ours; never above zero
}

// written is the answer of a commit.
type written struct {
	tally state.Tally
	err   error
	crash string // a panic of the ledger, to be raised where the walk is
}

// held is what was read since the last commit.
type held struct {
	events []heygen.Event
	bad    []heygen.BadRow
	pages  int
	since  time.Time // when the first of the pages came
}

func (w *Walker) run(k state.Kind) *run {
	r := &run{w: w, most: groupPages, ahead: true, commit: w.commitPages, result: Result{Query: w.o.Query, Kind: k, Order: NewestFirst}}
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
	return errors.Join(err, r.flush(), r.settled())
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

// restart begins the walk anew after a cursor was refused, once.
func (r *run) restart(cause error) error {
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

func (r *run) flushFull() error {
	if r.held.pages < r.most && time.Since(r.held.since) < groupTime {
		return nil
	}
	return r.flush()
}

// flush commits what is held, and reading goes on meanwhile; one commit is under
// way at a time. No context stops it: what was read need not be read again.
//
// Pages and the checkpoint behind them become durable in one transaction. A
// crash loses those of the commit under way and those held since, ten and ten
// at most: the next walk reads them again.
func (r *run) flush() error {
	if r.held.pages == 0 {
		return nil
	}
	if err := r.settled(); err != nil {
		return err
	}
	pages, answer := r.pages(), make(chan written, 1)
	r.held, r.writing = held{}, answer
	if r.ahead {
		go func() { answer <- write(r.commit, pages) }() // settled waits for it
		return nil
	}
	answer <- write(r.commit, pages)
	return r.settled()
}

// write commits. A panic is carried over, as that of fetch is.
func write(commit func(state.Pages) (state.Tally, error), pages state.Pages) (w written) {
	defer func() {
		if v := recover(); v != nil {
			w.crash = fmt.Sprintf("%v\n%s", v, debug.Stack())
		}
	}()
	w.tally, w.err = commit(pages)
	return w
}

// settled waits for the commit under way and counts what it did.
func (r *run) settled() error {
	if r.writing == nil {
		return nil
	}
	w := <-r.writing
	r.writing = nil
	if w.crash != "" {
		r.failed = true
		panic(w.crash)
	}
	if w.err != nil {
		r.failed = true
		return w.err
	}
	addTally(&r.result.Tally, w.tally)
	return nil
}

// pages is what is held, as the ledger takes it.
func (r *run) pages() state.Pages {
	return state.Pages{
		Query:      r.w.o.Query,
		Kind:       r.result.Kind,
		Walk:       r.result.Walk,
		Events:     r.held.events,
		Bad:        r.held.bad,
		Checkpoint: r.checkpoint(),
		Now:        r.now(),
		First:      r.first,
	}
}

func (w *Walker) commitPages(p state.Pages) (state.Tally, error) {
	tally, err := w.ledger.CommitPages(p)
	if err != nil {
		err = fmt.Errorf("commit pages of %s: %w", p.Query, err)
	}
	return tally, err
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
