package poller

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// defaultPageSize is the most rows the listing gives in a page.
const defaultPageSize = 100

// Listing is where pages come from: [heygen.Client]. An error wraps the
// sentinel of heygen that it is; what may help to be tried again has been tried
// again already. Page ends soon after its context does.
type Listing interface {
	Page(ctx context.Context, r heygen.PageRequest) (*heygen.Page, error)
}

// Ledger is what a walk needs of the state: [state.Store]. CommitPages makes
// pages and the checkpoint behind them durable together or not at all; after an
// error of it the walk ends and the next one resumes from the position that the
// ledger then has.
//
// Prepare takes the events of a page while the next one is awaited, and changes
// nothing; what it tells goes to CommitPages.
type Ledger interface {
	Position(q heygen.Query, k state.Kind) (state.Position, error)
	Prepare(events []heygen.Event) state.Ready
	CommitPages(p state.Pages) (state.Tally, error)
	FinishWalk(e state.WalkEnd) error
}

// Options says what a walker walks, and how far.
type Options struct {
	Query         heygen.Query
	PageSize      int           // rows asked for in a page; 0: 100
	Settle        time.Duration // the mark stays this far behind the start of a walk
	Lookback      time.Duration // how far below the mark a poll reads; also how far rows may be out of order
	SweepLookback time.Duration // how far below the mark a sweep reads
	Baseline      time.Time     // where a query without a mark begins, less the lookback; zero: at the very beginning
	Logger        *slog.Logger  // nil: no log
}

// Walker walks one query. Its walks may be nested (a poll goes between two
// pages of a sweep), but two of one kind must not run at once.
type Walker struct {
	listing Listing
	ledger  Ledger
	o       Options
	log     *slog.Logger

	mu      sync.Mutex
	walks   []uint64 // guarded by mu; walks under way, the outermost first
	ordered bool     // guarded by mu; how the listing lay when last told
}

// New makes a walker. A nil ledger serves Preview only.
func New(l Listing, s Ledger, o Options) *Walker {
	if o.PageSize <= 0 {
		o.PageSize = defaultPageSize
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Walker{listing: l, ledger: s, o: o, log: log.With("query", o.Query.String()), ordered: true}
}

// Result is what one walk did. Its Tally counts what was committed, also when
// the walk ended early.
type Result struct {
	Query      heygen.Query
	Kind       state.Kind
	Walk       uint64    // as in [state.Pages]; 0 for a preview
	Start, End time.Time // Start is zero when no page was read
	Pages      int       // pages read
	Requests   int       // pages asked for
	Restarts   int       // times the listing refused a cursor and the walk began anew
	Tally      state.Tally
	Complete   bool
	Order      string    // NewestFirst, OldestFirst or NoOrder
	Incomplete string    // why it is not complete
	From, To   time.Time // the range a complete walk proved read; a zero From is the very beginning
	Mark       time.Time // where a complete walk would put the mark; zero: nowhere
}

// Walk reads from the newest event down to the horizon of the kind: the mark
// less the lookback, or to the end of the listing. A walk of this kind that was
// stopped before is gone on with, after the fresh head. Every ten pages, every
// second and at the end what was read is committed, also when ctx ends.
//
// Between, unless nil, is called between two pages, with nothing held that
// another walk of the query needs; its error ends the walk.
//
// The error is one of the listing (it wraps heygen's), of the ledger, of
// between or of ctx. A listing that breaks the rules of walking gives no error
// but an incomplete Result.
func (w *Walker) Walk(ctx context.Context, k state.Kind, between func(ctx context.Context) error) (Result, error) {
	r, err := w.begin(k)
	if err != nil {
		return r.ended(ctx, err)
	}
	defer w.end(r.result.Walk)
	r.between, r.ready = between, w.ledger.Prepare
	if err = r.readAll(ctx); err == nil && r.result.Incomplete == "" {
		err = r.finish()
	}
	return r.ended(ctx, err)
}

// Preview reads from the newest event down to since and writes nothing; zero is
// where a poll would read to. Events are given page by page, as they are
// listed; one that is listed twice, or met again after the listing refused a
// cursor, is given again. An error of yield ends it.
func (w *Walker) Preview(ctx context.Context, since time.Time, yield func([]heygen.Event) error) (Result, error) {
	r := w.run(state.Poll)
	if since.IsZero() {
		mark, err := w.mark()
		if err != nil {
			return r.ended(ctx, err)
		}
		since = w.horizon(mark, w.o.Lookback)
	}
	r.stack = []state.Segment{fresh(since)}
	r.most = 1
	r.commit = func() error { return yield(r.held.events) }
	err := r.readAll(ctx)
	if err == nil && r.result.Incomplete == "" {
		r.proved()
	}
	return r.ended(ctx, err)
}

// Walking gives the walk under way, the outermost of nested ones; false when
// there is none. What it found is not to be judged yet.
func (w *Walker) Walking() (id uint64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.walks) == 0 {
		return 0, false
	}
	return w.walks[0], true
}

// begin reads where the walk of the kind stands and registers the walk.
func (w *Walker) begin(k state.Kind) (*run, error) {
	r := w.run(k)
	poll, err := w.ledger.Position(w.o.Query, state.Poll)
	if err != nil {
		return r, fmt.Errorf("position of the polls of %s: %w", w.o.Query, err)
	}
	sweep, err := w.ledger.Position(w.o.Query, state.Sweep)
	if err != nil {
		return r, fmt.Errorf("position of the sweeps of %s: %w", w.o.Query, err)
	}
	mark := later(poll.Mark, sweep.Mark)
	stopped, horizon := poll.Checkpoint.Segments, w.horizon(mark, w.o.Lookback)
	if k == state.Sweep {
		stopped = sweep.Checkpoint.Segments
		if !mark.IsZero() {
			horizon = lowest(mark, sweep.Completed).Add(-w.o.SweepLookback)
		}
	}
	r.stack = resume(stopped, horizon, w.o.Lookback)
	r.first = mark.IsZero() && poll.Completed.IsZero() && sweep.Completed.IsZero() && !w.o.Baseline.IsZero()
	r.result.Walk = rand.Uint64() | 1
	w.mu.Lock()
	defer w.mu.Unlock()
	w.walks = append(w.walks, r.result.Walk)
	return r, nil
}

func (w *Walker) end(walk uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.walks = slices.DeleteFunc(w.walks, func(id uint64) bool { return id == walk })
}

// mark gives the query's mark, whichever kind of walk moved it; zero without a
// ledger.
func (w *Walker) mark() (time.Time, error) {
	var mark time.Time
	if w.ledger == nil {
		return mark, nil
	}
	for _, k := range []state.Kind{state.Poll, state.Sweep} {
		pos, err := w.ledger.Position(w.o.Query, k)
		if err != nil {
			return mark, fmt.Errorf("position of the %ss of %s: %w", k, w.o.Query, err)
		}
		mark = later(mark, pos.Mark)
	}
	return mark, nil
}

// horizon is how far down to read: zero to the end.
func (w *Walker) horizon(mark time.Time, lookback time.Duration) time.Time {
	switch {
	case !mark.IsZero():
		return mark.Add(-lookback)
	case !w.o.Baseline.IsZero():
		return w.o.Baseline.Add(-w.o.Lookback)
	}
	return time.Time{}
}

// tellOrder logs how the listing lies when that has changed.
func (w *Walker) tellOrder(ordered bool, word string) {
	w.mu.Lock()
	changed := w.ordered != ordered
	w.ordered = ordered
	w.mu.Unlock()
	switch {
	case changed && ordered:
		w.log.Info("the listing is newest first again")
	case changed:
		w.log.Warn("the listing is not newest first: every walk reads it to its end", "order", word)
	}
}
