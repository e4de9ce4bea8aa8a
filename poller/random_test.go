package poller

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run only this seed of the random walks")
	seedsFlag = flag.Uint64("seeds", 100, "how many random walks to run")
)

// TestRandomWalks lets hundreds of worlds misbehave, kills walks at random
// points, and checks after every finished walk that nothing listed by its start
// is missing, and at the end that nothing at all is.
func TestRandomWalks(t *testing.T) {
	first, last := uint64(1), *seedsFlag
	if *seedFlag != 0 {
		first, last = *seedFlag, *seedFlag
	}
	sometimes := map[string]int{}
	for seed := first; seed <= last; seed++ {
		synctest.Test(t, func(t *testing.T) {
			h := newHistory(t, seed)
			defer func() {
				if t.Failed() {
					t.Logf("%s; again with: go test ./poller -run TestRandomWalks -seed %d", h, seed)
				}
			}()
			h.live()
			h.recover()
			for _, met := range []map[string]int{h.met, h.hit} {
				for what, n := range met {
					sometimes[what] += n
				}
			}
		})
		if t.Failed() {
			return
		}
	}
	if *seedFlag != 0 {
		return
	}
	for _, what := range []string{"killed", "commit not done", "commit done but failed", "finish failed", "refused", "looped",
		"no token", "empty", "network", "restarted", "resumed", "very late", "complete", "incomplete", "not newest first"} {
		if sometimes[what] == 0 {
			t.Errorf("never met: %s; the worlds are too tame: %v", what, sometimes)
		}
	}
}

// history is one world and its walks.
type history struct {
	t     *testing.T
	r     *rand.Rand
	seed  uint64
	w     *world
	l     *ledger
	o     Options
	n     int  // events so far
	tame  bool // nothing fails
	quiet bool // nothing comes in while walking
	met   map[string]int
	fr    *rand.Rand     // for the faults of the listing, which another goroutine meets
	hit   map[string]int // those it met
	floor time.Time      // events created before are not looked at
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 7)), l: newLedger(), o: testOptions(), met: map[string]int{},
		fr: rand.New(rand.NewPCG(seed, 11)), hit: map[string]int{}}
	h.w = &world{
		sort:     pick(h.r, "created", "created", "arrival", "ascending", "shuffled"),
		offsets:  h.r.IntN(2) == 0,
		lifetime: pick(h.r, 0, 10*time.Minute, 24*time.Hour),
		latency:  pick(h.r, time.Millisecond, 50*time.Millisecond, 700*time.Millisecond), // never none: it keeps a seed one story,
	}
	h.o.PageSize = pick(h.r, 20, 25, 40)
	h.w.fault = h.misbehave
	h.l.check = h.checkFinished
	h.w.date = pick(h.r, nil, func() time.Time { return time.Now().Truncate(time.Second) })
	now := time.Now()
	for range h.r.IntN(200) {
		h.add(now.Add(-time.Duration(h.r.Int64N(int64(30 * 24 * time.Hour)))))
	}
	if h.r.IntN(2) == 0 {
		h.o.Baseline = now.Truncate(time.Second)
		h.floor = h.o.Baseline.Add(-h.o.Lookback)
	}
	h.tame = true
	h.walkOut()
	h.tame = false
	return h
}

func (h *history) String() string {
	return fmt.Sprintf("seed %d: sorted by %s, offsets %v, cursor lifetime %s, latency %s, page size %d, baseline %v, %d events",
		h.seed, h.w.sort, h.w.offsets, h.w.lifetime, h.w.latency, h.o.PageSize, h.o.Baseline, h.n)
}

// add lists an event, mostly a little late, now and then later than a poll
// looks back.
func (h *history) add(created time.Time) {
	created = created.Truncate(time.Second)
	late := time.Duration(h.r.Int64N(int64(h.o.Lookback - time.Second)))
	switch h.r.IntN(10) {
	case 0:
		h.met["very late"]++
		late = time.Duration(h.r.Int64N(int64(h.o.SweepLookback - time.Second)))
	case 1, 2:
	default:
		late = 0
	}
	h.n++
	x := h.w.add(fmt.Sprintf("e%06d", h.n), created, created.Add(late))
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if !h.w.offsets && h.r.IntN(30) == 0 {
		x.gone = x.listed.Add(time.Duration(h.r.Int64N(int64(24 * time.Hour))))
	}
	if h.r.IntN(60) == 0 {
		x.poison = true
	}
	if h.r.IntN(40) == 0 {
		x.event.CreatedAt = time.Time{}
	}
}

// live lets time go by, with walks of both kinds that are killed or fail.
func (h *history) live() {
	for range 12 {
		h.comeIn(h.r.IntN(60), pick(h.r, time.Minute, time.Hour, 10*time.Hour))
		time.Sleep(time.Duration(h.r.Int64N(int64(pick(h.r, time.Minute, time.Hour, 20*time.Hour)))))
		h.walk(pick(h.r, state.Poll, state.Poll, state.Sweep))
	}
}

// comeIn lets events come in from now on.
func (h *history) comeIn(n int, within time.Duration) {
	for range n {
		h.add(time.Now().Add(time.Second + time.Duration(h.r.Int64N(int64(within)))))
	}
}

// walk makes one walk with a fresh walker, as after a restart.
func (h *history) walk(k state.Kind) Result {
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	killAt := h.w.asked() + 1 + h.r.IntN(30)
	h.l.fail = h.failing()
	between := func(ctx context.Context) error {
		if !h.quiet && h.r.IntN(12) == 0 {
			h.comeIn(h.r.IntN(4), 10*time.Second)
		}
		if !h.tame && h.w.asked() >= killAt {
			h.met["killed"]++
			cancel()
		}
		return nil
	}
	before := h.l.mark()
	if len(h.l.positions[k].Checkpoint.Segments) > 0 {
		h.met["resumed"]++
	}
	w := New(h.w, h.l, h.o)
	result, err := w.Walk(ctx, k, between)
	if _, walking := w.Walking(); walking {
		h.t.Errorf("still walking after the walk")
	}
	if h.l.mark().Before(before) {
		h.t.Errorf("the mark went back from %v to %v", before, h.l.mark())
	}
	h.count(result, err)
	return result
}

func (h *history) count(result Result, err error) {
	h.met["restarted"] += result.Restarts
	switch {
	case result.Complete && err == nil:
		h.met["complete"]++
	case result.Complete || result.Incomplete == "":
		h.t.Errorf("complete %v with reason %q and error %v", result.Complete, result.Incomplete, err)
	default:
		h.met["incomplete"]++
	}
	if result.Order != NewestFirst {
		h.met["not newest first"]++
	}
}

// failing fails a commit now and then, in both ways.
func (h *history) failing() func(string) (bool, error) {
	return func(point string) (bool, error) {
		if h.tame || h.r.IntN(12) > 0 {
			return true, nil
		}
		if point == "finish" {
			h.met["finish failed"]++
			return h.r.IntN(2) == 0, errDisk
		}
		done := h.r.IntN(2) == 0
		if done {
			h.met["commit done but failed"]++
		} else {
			h.met["commit not done"]++
		}
		return done, errDisk
	}
}

// misbehave spoils a page now and then.
func (h *history) misbehave(_ int, r heygen.PageRequest, p *heygen.Page) (*heygen.Page, error) {
	if h.tame || p.Last {
		return p, nil
	}
	switch h.fr.IntN(120) {
	case 0:
		h.hit["no token"]++
		p.Next = ""
	case 1:
		h.hit["looped"]++
		if r.Token != "" {
			p.Next = r.Token
		}
	case 2:
		h.hit["refused"]++
		if r.Token != "" {
			return nil, fmt.Errorf("no such cursor: %w", heygen.ErrCursor)
		}
	case 3:
		h.hit["network"]++
		return nil, fmt.Errorf("reset: %w", heygen.ErrUnreachable)
	case 4:
		h.hit["empty"]++
		return &heygen.Page{Next: r.Token + "0"}, nil
	}
	return p, nil
}

// checkFinished: a finished walk has read what was listed by its start, unless
// it was listed later than a poll looks back.
func (h *history) checkFinished(e state.WalkEnd) {
	if e.Mark.After(e.To.Add(-h.o.Settle)) {
		h.t.Errorf("mark %v within the settle time of the start %v", e.Mark, e.To)
	}
	h.checkNothingLost(e.To, h.o.Lookback)
}

func (h *history) checkNothingLost(by time.Time, lateness time.Duration) {
	for _, x := range h.w.rows {
		created := x.event.CreatedAt
		switch {
		case created.IsZero(), created.Before(h.floor), x.listed.After(by), !x.gone.IsZero():
			continue
		case x.listed.Sub(created) > lateness:
			continue
		}
		if _, ok := h.l.events[x.event.ID]; !ok && !h.l.bad[x.event.ID] {
			h.t.Errorf("%s, created %v, listed %v, is lost to a walk begun %v; mark %v", x.event.ID, created, x.listed, by, h.l.mark())
			return
		}
	}
}

// recover lets the world behave: a poll and a sweep end what was stopped, and
// the next two have everything, even what was listed as late as a sweep looks
// back. Doing it again brings nothing.
func (h *history) recover() {
	h.tame = true
	time.Sleep(time.Hour + h.o.SweepLookback)
	h.walkOut()
	h.quiet = true
	time.Sleep(h.o.SweepLookback + time.Minute)
	h.walkOut()
	h.checkNothingLost(time.Now(), h.o.SweepLookback)
	known := len(h.l.events)
	mark := h.l.mark()
	for _, k := range []state.Kind{state.Poll, state.Sweep} {
		result, err := New(h.w, h.l, h.o).Walk(h.t.Context(), k, nil)
		if err != nil || !result.Complete {
			h.t.Errorf("second %s: %v %q", k, err, result.Incomplete)
		}
	}
	if len(h.l.events) != known {
		h.t.Errorf("walking again found %d events more", len(h.l.events)-known)
	}
	if h.l.mark().Before(mark) {
		h.t.Errorf("the mark went back")
	}
}

// walkOut walks each kind until it is complete.
func (h *history) walkOut() {
	for _, k := range []state.Kind{state.Poll, state.Sweep} {
		var result Result
		for range 4 {
			if result = h.walk(k); result.Complete {
				break
			}
		}
		if !result.Complete {
			h.t.Errorf("the %s does not end though the listing behaves: %q", k, result.Incomplete)
		}
	}
}

func TestErrorsAreWhatTheyAre(t *testing.T) {
	for _, cause := range []error{heygen.ErrCredentials, heygen.ErrUnreachable, heygen.ErrRequest} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(50, time.Minute)
			w.fault = func(n int, _ heygen.PageRequest, p *heygen.Page) (*heygen.Page, error) {
				if n == 3 {
					return nil, fmt.Errorf("page: %w", cause)
				}
				return p, nil
			}
			l := newLedger()
			result, err := New(w, l, testOptions()).Walk(t.Context(), state.Poll, nil)
			if !errors.Is(err, cause) || result.Complete || result.Incomplete == "" {
				t.Errorf("walk ended with %v, %+v; want an error that is %v", err, result, cause)
			}
			if result.Tally.New != 20 || len(l.events) != 20 {
				t.Errorf("the pages read before the error: %d counted, %d kept, want 20", result.Tally.New, len(l.events))
			}
			if !l.mark().IsZero() || len(l.ends) != 0 {
				t.Errorf("the walk was finished")
			}
		})
	}
}
