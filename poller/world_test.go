package poller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// row is one event of a fake world and when it came and went.
type row struct {
	event  heygen.Event
	listed time.Time // from when on the listing shows it
	gone   time.Time // deleted upstream; zero: never
	poison bool      // a page of more than one row with it can't be read
	dead   bool      // nor can it by itself
}

// world behaves like the listing: it sorts, pages, and misbehaves as told. It
// is safe for the goroutine that asks ahead.
type world struct {
	mu       sync.Mutex
	rows     []*row
	sorted   []*row        // the same, as listed; made anew when one has come in
	buffer   []*row        // what is shown to one request
	sort     string        // "created", "arrival", "ascending", "shuffled"
	offsets  bool          // cursors are offsets, so what is put in above shifts pages
	lifetime time.Duration // of a cursor; 0: for ever
	latency  time.Duration
	date     func() time.Time // nil: no Date
	fault    func(n int, r heygen.PageRequest, p *heygen.Page) (*heygen.Page, error)
	requests []heygen.PageRequest
}

func (w *world) add(id string, created, listed time.Time) *row {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &row{event: heygen.Event{ID: id, Type: "avatar_video.success", CreatedAt: created}, listed: listed}
	w.rows = append(w.rows, r)
	return r
}

// Page is one page as of now.
func (w *world) Page(ctx context.Context, r heygen.PageRequest) (*heygen.Page, error) {
	if w.latency > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(w.latency):
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, r)
	page, err := w.page(r)
	if w.fault != nil && err == nil {
		page, err = w.fault(len(w.requests), r, page)
	}
	if page != nil && w.date != nil {
		page.Date = w.date()
	}
	return page, err
}

func (w *world) page(r heygen.PageRequest) (*heygen.Page, error) {
	shown := w.shown(time.Now())
	from, err := w.find(shown, r.Token)
	if err != nil {
		return nil, err
	}
	to := min(from+r.Limit, len(shown))
	page := &heygen.Page{Last: to == len(shown)}
	for _, x := range shown[from:to] {
		switch {
		case x.dead, x.poison && r.Limit > 1:
			return nil, fmt.Errorf("page over the cap: %w", heygen.ErrUnreadable)
		case x.poison:
			page.Bad = append(page.Bad, heygen.BadRow{ID: x.event.ID, Sum: hash(x.event.ID), Reason: "too big"})
		default:
			page.Events = append(page.Events, x.event)
		}
	}
	if !page.Last {
		page.Next = w.token(shown, to)
	}
	return page, nil
}

func (w *world) shown(now time.Time) []*row {
	w.buffer = w.buffer[:0]
	if len(w.sorted) != len(w.rows) {
		w.sorted = slices.SortedFunc(slices.Values(w.rows), w.compare)
	}
	for _, r := range w.sorted {
		if !r.listed.After(now) && (r.gone.IsZero() || r.gone.After(now)) {
			w.buffer = append(w.buffer, r)
		}
	}
	return w.buffer
}

func (w *world) compare(a, b *row) int {
	byID := cmp.Compare(a.event.ID, b.event.ID)
	switch w.sort {
	case "ascending":
		return cmp.Or(a.event.CreatedAt.Compare(b.event.CreatedAt), byID)
	case "arrival":
		return cmp.Or(b.listed.Compare(a.listed), byID)
	case "shuffled":
		return cmp.Compare(hash(a.event.ID), hash(b.event.ID))
	}
	return cmp.Or(b.event.CreatedAt.Compare(a.event.CreatedAt), byID)
}

// token names the last row of the page, or the offset, and when it was given.
func (w *world) token(shown []*row, to int) string {
	where := shown[to-1].event.ID
	if w.offsets {
		where = strconv.Itoa(to)
	}
	return fmt.Sprintf("%s@%d", where, time.Now().Unix())
}

func (w *world) find(shown []*row, token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	where, given, _ := strings.Cut(token, "@")
	at, err := strconv.ParseInt(given, 10, 64)
	if err != nil || (w.lifetime > 0 && time.Since(time.Unix(at, 0)) > w.lifetime) {
		return 0, fmt.Errorf("invalid token: %w", heygen.ErrCursor)
	}
	if w.offsets {
		n, err := strconv.Atoi(where)
		return min(n, len(shown)), err
	}
	last := slices.IndexFunc(w.rows, func(r *row) bool { return r.event.ID == where })
	n, found := slices.BinarySearchFunc(shown, w.rows[last], w.compare)
	if found {
		n++
	}
	return n, nil
}

func (w *world) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.requests)
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	x := h.Sum64() // mixed once more: close names have close sums
	x ^= x >> 31
	return x * 0x9e3779b97f4a7c15 >> 7
}

// newWorld lists n events, one every step, the newest now.
func newWorld(n int, step time.Duration) *world {
	w := &world{}
	now := time.Now().Truncate(time.Second)
	for i := range n {
		at := now.Add(-time.Duration(n-1-i) * step)
		w.add(fmt.Sprintf("e%06d", i), at, at)
	}
	return w
}

var errDisk = errors.New("commit: disk on fire")

// ledger behaves like the state: what is committed together is there together.
type ledger struct {
	events    map[string]heygen.Event
	bad       map[string]bool
	positions map[state.Kind]state.Position
	commits   int
	ends      []state.WalkEnd
	pages     []state.Pages
	fail      func(point string) (done bool, err error) // nil: never
	check     func(e state.WalkEnd)                     // called after a walk was finished; nil: not
}

func newLedger() *ledger {
	return &ledger{events: map[string]heygen.Event{}, bad: map[string]bool{}, positions: map[state.Kind]state.Position{}}
}

func (l *ledger) Position(_ heygen.Query, k state.Kind) (state.Position, error) {
	return l.positions[k], nil
}

func (l *ledger) Prepare([]heygen.Event) state.Ready { return state.Ready{} }

func (l *ledger) CommitPages(p state.Pages) (state.Tally, error) {
	done, err := l.ask("commit")
	if !done {
		return state.Tally{}, err
	}
	t := state.Tally{Types: map[string]int{}}
	for _, e := range p.Events {
		t.Listed++
		if _, ok := l.events[e.ID]; ok {
			t.Known++
			continue
		}
		t.New++
		t.Types[e.Type]++
		l.events[e.ID] = e
	}
	for _, b := range p.Bad {
		t.Bad++
		l.bad[b.ID] = true
	}
	pos := l.positions[p.Kind]
	pos.Checkpoint = p.Checkpoint
	l.positions[p.Kind] = pos
	l.commits++
	l.pages = append(l.pages, p)
	return t, err
}

func (l *ledger) FinishWalk(e state.WalkEnd) error {
	done, err := l.ask("finish")
	if !done {
		return err
	}
	for k := range l.both() {
		pos := l.positions[k]
		pos.Mark = later(pos.Mark, e.Mark)
		l.positions[k] = pos
	}
	pos := l.positions[e.Kind]
	pos.Checkpoint = state.Checkpoint{}
	pos.Completed = later(pos.Completed, e.Start)
	l.positions[e.Kind] = pos
	l.ends = append(l.ends, e)
	if l.check != nil {
		l.check(e)
	}
	return err
}

func (l *ledger) both() map[state.Kind]bool {
	return map[state.Kind]bool{state.Poll: true, state.Sweep: true}
}

func (l *ledger) ask(point string) (bool, error) {
	if l.fail == nil {
		return true, nil
	}
	return l.fail(point)
}

func (l *ledger) mark() time.Time { return l.positions[state.Poll].Mark }

func testOptions() Options {
	return Options{PageSize: 10, Settle: 5 * time.Minute, Lookback: 15 * time.Minute, SweepLookback: 48 * time.Hour}
}

// pick gives one of some values.
func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }
