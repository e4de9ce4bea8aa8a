package poller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// walkAll walks a kind to its end and fails the test when it does not get there.
func walkAll(t *testing.T, w *Walker, k state.Kind) Result {
	t.Helper()
	result, err := w.Walk(t.Context(), k, nil)
	if err != nil || !result.Complete {
		t.Fatalf("walk: %v, %q", err, result.Incomplete)
	}
	return result
}

func TestRequestsArePinned(t *testing.T) {
	tests := []struct {
		name       string
		events     int
		step       time.Duration
		first      int // requests of the first walk, to the end
		then, much int // requests of the next poll, and of a sweep
	}{
		{"nothing", 0, 0, 1, 1, 1},
		{"one page", 70, time.Minute, 1, 1, 1},
		{"idle, with much behind the first page", 2000, time.Minute, 20, 1, 20},
		{"the lookback and one page", 2000, 5 * time.Second, 20, 3, 20},
		{"a sweep ends, too", 10000, time.Minute, 100, 1, 30},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, l := newWorld(tt.events, tt.step), newLedger()
				o := testOptions()
				o.PageSize = 100
				time.Sleep(o.Settle)
				walker := New(w, l, o)
				for i, want := range []int{tt.first, tt.then, tt.much} {
					before, commits := w.asked(), l.commits
					result := walkAll(t, walker, state.Kind(i/2))
					if got := w.asked() - before; got != want || result.Requests != want {
						t.Errorf("walk %d: %d requests, %d counted, want %d", i, got, result.Requests, want)
					}
					if i == 0 && l.commits-commits != (tt.first+9)/10 {
						t.Errorf("first walk of %d pages: %d commits, want one for ten pages", tt.first, l.commits-commits)
					}
				}
				if len(l.events) != tt.events {
					t.Errorf("%d events, want %d", len(l.events), tt.events)
				}
			})
		})
	}
}

// A walk that is killed reads at most ten pages again, beside the lookback of
// its fresh head.
func TestKilledWalkGoesOn(t *testing.T) {
	for _, offsets := range []bool{false, true} {
		for kill := 1; kill < 100; kill += 7 {
			synctest.Test(t, func(t *testing.T) {
				w, l := newWorld(1000, time.Minute), newLedger()
				w.offsets = offsets
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				l.fail = func(string) (bool, error) {
					if w.asked() > kill {
						return false, errDisk
					}
					return true, nil
				}
				between := func(context.Context) error {
					if w.asked() > kill {
						cancel()
					}
					return nil
				}
				if _, err := New(w, l, testOptions()).Walk(ctx, state.Poll, between); err == nil {
					t.Fatal("the walk was not killed")
				}
				if !l.mark().IsZero() {
					t.Fatal("a killed walk moved the mark")
				}
				l.fail = nil
				walkAll(t, New(w, l, testOptions()), state.Poll)
				// 100 pages; ten again; the head's lookback and, for a prefetch that was cut off, one.
				if got := w.asked(); got > 100+10+4 || len(l.events) != 1000 {
					t.Errorf("killed at %d: %d requests in all, %d events", kill, got, len(l.events))
				}
			})
		}
	}
}

func TestBrokenListings(t *testing.T) {
	type fault = func(n int, r heygen.PageRequest, p *heygen.Page) (*heygen.Page, error)
	tests := []struct {
		name  string
		fault fault
		want  string // reason; "": complete
		cause error
	}{
		{"more, but no token", func(n int, _ heygen.PageRequest, p *heygen.Page) (*heygen.Page, error) {
			if n == 3 {
				p.Next = ""
			}
			return p, nil
		}, "the listing says that more follows, but gives no token", nil},
		{"a token again", func(n int, r heygen.PageRequest, p *heygen.Page) (*heygen.Page, error) {
			if n == 3 {
				p.Next = r.Token
			}
			return p, nil
		}, "the listing gave a token that this walk has used already", nil},
		{"pages again under new tokens", func() fault {
			var second heygen.Page
			return func(n int, _ heygen.PageRequest, p *heygen.Page) (*heygen.Page, error) {
				if n == 2 {
					second = *p
				}
				if n > 4 {
					again := second
					again.Next = fmt.Sprintf("new%d@0", n)
					return &again, nil
				}
				return p, nil
			}
		}(), "the listing gave a page of events that this walk has all read", nil},
		{"empty for ever", func(n int, r heygen.PageRequest, p *heygen.Page) (*heygen.Page, error) {
			if n > 2 {
				return &heygen.Page{Next: fmt.Sprintf("%s%d", r.Token, n)}, nil
			}
			return p, nil
		}, "the listing gave more than three empty pages in a row", nil},
		{"three empty pages", func(n int, r heygen.PageRequest, p *heygen.Page) (*heygen.Page, error) {
			if n >= 3 && n <= 5 {
				return &heygen.Page{Next: fmt.Sprintf("%s%d", r.Token, n)}, nil
			}
			return p, nil
		}, "", nil},
		{"the end with a token", func(_ int, _ heygen.PageRequest, p *heygen.Page) (*heygen.Page, error) {
			if p.Last {
				p.Next = "more@0"
			}
			return p, nil
		}, "", nil},
		{"cursor refused once", func(n int, _ heygen.PageRequest, p *heygen.Page) (*heygen.Page, error) {
			if n == 4 {
				return nil, fmt.Errorf("invalid token: %w", heygen.ErrCursor)
			}
			return p, nil
		}, "", nil},
		{"cursors always refused", func(_ int, r heygen.PageRequest, p *heygen.Page) (*heygen.Page, error) {
			if r.Token != "" {
				return nil, fmt.Errorf("invalid token: %w", heygen.ErrCursor)
			}
			return p, nil
		}, "the listing refused a cursor twice in one walk", heygen.ErrCursor},
		{"HTML for ever", func(n int, _ heygen.PageRequest, p *heygen.Page) (*heygen.Page, error) {
			if n > 2 {
				return nil, fmt.Errorf("not JSON: %w", heygen.ErrUnreadable)
			}
			return p, nil
		}, "a page can't be read, not even row by row", heygen.ErrUnreadable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, l := newWorld(80, time.Minute), newLedger()
				w.fault = tt.fault
				result, err := New(w, l, testOptions()).Walk(t.Context(), state.Poll, nil)
				if result.Incomplete != tt.want || result.Complete != (tt.want == "") || !errors.Is(err, tt.cause) {
					t.Errorf("complete %v, reason %q, error %v; want %q and %v", result.Complete, result.Incomplete, err, tt.want, tt.cause)
				}
				if got := !l.mark().IsZero(); got != (tt.want == "") {
					t.Errorf("the mark moved: %v", got)
				}
				if tt.want == "" && len(l.events) != 80 {
					t.Errorf("%d events, want 80", len(l.events))
				}
				w.fault = nil
				walkAll(t, New(w, l, testOptions()), state.Poll)
				if len(l.events) != 80 || l.mark().IsZero() {
					t.Errorf("after the fault: %d events, mark %v", len(l.events), l.mark())
				}
			})
		})
	}
}

func TestOneBadRowHidesOneRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(400, time.Minute), newLedger()
		w.rows[250].poison = true
		o := testOptions()
		o.PageSize = 100
		result := walkAll(t, New(w, l, o), state.Poll)
		if len(l.events) != 399 || !l.bad["e000250"] || result.Tally.Bad != 1 {
			t.Errorf("%d events, bad %v", len(l.events), l.bad)
		}
		var limits []int
		for _, r := range w.requests {
			limits = append(limits, r.Limit)
		}
		tens, ones := slices.Repeat([]int{10}, 5), slices.Repeat([]int{1}, 10)
		want := slices.Concat([]int{100, 100}, tens, ones, slices.Repeat([]int{10}, 5), []int{100, 100})
		if !slices.Equal(limits, want) {
			t.Errorf("limits %v, want %v", limits, want)
		}
	})
}

func TestOrders(t *testing.T) {
	tests := []struct {
		sort, want string
		second     int // requests of the next poll
	}{
		{"created", NewestFirst, 1},
		{"ascending", OldestFirst, 50},
		{"shuffled", NoOrder, 50},
	}
	for _, tt := range tests {
		t.Run(tt.sort, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, l := newWorld(1000, 7*time.Minute), newLedger()
				w.sort = tt.sort
				o := testOptions()
				o.PageSize = 20
				time.Sleep(o.Settle)
				first := walkAll(t, New(w, l, o), state.Poll)
				time.Sleep(time.Hour)
				at := time.Now().Add(-time.Minute)
				w.add("fresh", at, at)
				before := w.asked()
				walkAll(t, New(w, l, o), state.Poll)
				if _, ok := l.events["fresh"]; !ok || first.Order != tt.want {
					t.Errorf("fresh event found: %v; order %q, want %q", ok, first.Order, tt.want)
				}
				if got := w.asked() - before; got < tt.second || got > tt.second+1 {
					t.Errorf("next poll: %d requests, want %d", got, tt.second)
				}
			})
		})
	}
}

// A row with a wrong date as the last of a page must not end the walk.
func TestOutlierEndsNoWalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(300, time.Second), newLedger()
		w.sort = "arrival"
		walkAll(t, New(w, l, testOptions()), state.Poll)
		time.Sleep(time.Hour)
		for i := range 25 {
			at := time.Now().Add(time.Duration(i-30) * time.Second)
			created := at
			if i == 15 { // the tenth from the top
				created = time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC)
			}
			w.add(fmt.Sprintf("f%02d", i), created, at)
		}
		walkAll(t, New(w, l, testOptions()), state.Poll)
		if len(l.events) != 325 {
			t.Errorf("%d events, want 325", len(l.events))
		}
	})
}

func TestMarkAndStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		o := testOptions()
		tests := []struct {
			name        string
			newest      time.Duration // created_at of the one event, from now; 0: no event
			undated     bool
			date        time.Duration
			mark, start time.Time
		}{
			{"an empty listing moves no mark", 0, false, 0, time.Time{}, now},
			{"nor does an undated event", time.Second, true, 0, time.Time{}, now},
			{"an old event is the mark", -time.Hour, false, 0, now.Add(-time.Hour), now},
			{"a young one is not", -time.Second, false, 0, now.Add(-o.Settle), now},
			{"nor one from the future", 10 * time.Hour, false, 0, now.Add(-o.Settle), now},
			{"the API's clock is behind", -time.Second, false, -48 * time.Hour, now.Add(-48*time.Hour - o.Settle), now.Add(-48 * time.Hour)},
			{"the API's clock is ahead", -time.Second, false, 48 * time.Hour, now.Add(-o.Settle), now},
		}
		for _, tt := range tests {
			w, l := &world{date: func() time.Time { return now.Add(tt.date) }}, newLedger()
			if tt.newest != 0 {
				x := w.add("e", now.Add(tt.newest), now.Add(-time.Hour))
				if tt.undated {
					x.event.CreatedAt = time.Time{}
				}
			}
			result := walkAll(t, New(w, l, o), state.Poll)
			if !l.mark().Equal(tt.mark) || !result.Start.Equal(tt.start) || !l.ends[0].To.Equal(tt.start) {
				t.Errorf("%s: mark %v, start %v, proved to %v; want %v and %v", tt.name, l.mark(), result.Start, l.ends[0].To, tt.mark, tt.start)
			}
			if completed := l.positions[state.Poll].Completed; !completed.Equal(tt.start) {
				t.Errorf("%s: completed %v", tt.name, completed)
			}
			if behind := tt.date < 0; behind && !l.pages[0].Now.Equal(now.Add(tt.date)) {
				t.Errorf("%s: committed as of %v", tt.name, l.pages[0].Now)
			}
		}
	})
}

func TestHorizons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		o := testOptions()
		tests := []struct {
			name      string
			mark      time.Time
			swept     time.Time
			baseline  time.Time
			kind      state.Kind
			horizon   time.Time
			firstWalk bool
		}{
			{"beginning", time.Time{}, time.Time{}, time.Time{}, state.Poll, time.Time{}, false},
			{"first run", time.Time{}, time.Time{}, now, state.Poll, now.Add(-o.Lookback), true},
			{"first run, a sweep", time.Time{}, time.Time{}, now, state.Sweep, now.Add(-o.Lookback), true},
			{"poll", now, time.Time{}, now.Add(-time.Hour), state.Poll, now.Add(-o.Lookback), false},
			{"sweep", now, now, now.Add(-time.Hour), state.Sweep, now.Add(-o.SweepLookback), false},
			{"never swept", now, time.Time{}, now, state.Sweep, now.Add(-o.SweepLookback), false},
			{"swept long ago", now, now.Add(-90 * time.Hour), now, state.Sweep, now.Add(-90*time.Hour - o.SweepLookback), false},
		}
		for _, tt := range tests {
			l := newLedger()
			l.positions[state.Poll] = state.Position{Mark: tt.mark, Completed: tt.mark}
			l.positions[state.Sweep] = state.Position{Mark: tt.mark, Completed: tt.swept}
			o.Baseline = tt.baseline
			r, err := New(nil, l, o).begin(tt.kind)
			if err != nil || !r.stack[0].Horizon.Equal(tt.horizon) || r.first != tt.firstWalk {
				t.Errorf("%s: horizon %v, first %v, %v; want %v, %v", tt.name, r.stack[0].Horizon, r.first, err, tt.horizon, tt.firstWalk)
			}
		}
	})
}

// A due poll goes between two pages of a sweep, with its own checkpoint.
func TestPollGoesBetweenThePagesOfASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(2000, time.Minute), newLedger()
		w.latency = 100 * time.Millisecond
		walker := New(w, l, testOptions())
		walkAll(t, walker, state.Poll)
		polls := 0
		result, err := walker.Walk(t.Context(), state.Sweep, func(ctx context.Context) error {
			outer, _ := walker.Walking()
			at := time.Now().Truncate(time.Second)
			w.add(fmt.Sprintf("f%05d", polls), at, at)
			inner, err := walker.Walk(ctx, state.Poll, nil)
			if now, ok := walker.Walking(); !ok || now != outer || inner.Walk == outer {
				t.Errorf("walking %d during %d and %d", now, outer, inner.Walk)
			}
			if _, ok := l.events[fmt.Sprintf("f%05d", polls)]; !ok || !inner.Complete {
				t.Errorf("poll %d did not find the fresh event", polls)
			}
			polls++
			return err
		})
		if err != nil || !result.Complete || polls < 100 {
			t.Errorf("sweep: %v, %q, with %d polls between", err, result.Incomplete, polls)
		}
		if _, ok := walker.Walking(); ok {
			t.Error("still walking")
		}
	})
}

// The next page is on its way while one is committed, and what waits for a slow
// page is committed after a second.
func TestCommitsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(100, time.Minute), newLedger()
		w.latency = 3 * time.Second
		begin := time.Now()
		l.fail = func(point string) (bool, error) {
			since := time.Since(begin)
			if n := int(since/w.latency) + 1; point == "commit" && n <= 10 {
				if since%w.latency != time.Second {
					t.Errorf("commit %s after the begin, want one second after a page", since)
				}
			}
			time.Sleep(time.Second)
			return true, nil
		}
		walkAll(t, New(w, l, testOptions()), state.Poll)
		// Ten pages of three seconds; only the last commit and the finish add to it.
		if took := time.Since(begin); took != 32*time.Second {
			t.Errorf("took %s, want the pages' own 30 s and 2", took)
		}
	})
}

// A week later the cursor has expired: the walk begins anew to the same horizon.
func TestExpiredCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(1000, time.Minute), newLedger()
		w.lifetime = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		result, err := New(w, l, testOptions()).Walk(ctx, state.Poll, func(context.Context) error {
			if w.asked() > 30 {
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) || result.Incomplete != "interrupted" || len(l.events) < 290 {
			t.Fatalf("%v %q, %d events", err, result.Incomplete, len(l.events))
		}
		time.Sleep(7 * 24 * time.Hour)
		result = walkAll(t, New(w, l, testOptions()), state.Poll)
		if result.Restarts != 1 || len(l.events) != 1000 || !result.From.IsZero() {
			t.Errorf("%d restarts, %d events, proved from %v", result.Restarts, len(l.events), result.From)
		}
	})
}

func TestPreview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(500, time.Minute), newLedger()
		walkAll(t, New(w, l, testOptions()), state.Poll)
		commits, ends := l.commits, len(l.ends)
		begin := time.Now()
		tests := []struct {
			name   string
			ledger Ledger
			since  time.Time
			atMost int
		}{
			{"from the mark", l, time.Time{}, 40},
			{"since", l, begin.Add(-100 * time.Minute), 130},
			{"without a state, from the baseline", nil, time.Time{}, 500},
		}
		for _, tt := range tests {
			got := 0
			result, err := New(w, tt.ledger, testOptions()).Preview(t.Context(), tt.since, func(events []heygen.Event) error {
				got += len(events)
				return nil
			})
			if err != nil || !result.Complete || got == 0 || got > tt.atMost {
				t.Errorf("%s: %v, %q, %d events", tt.name, err, result.Incomplete, got)
			}
		}
		if l.commits != commits || len(l.ends) != ends {
			t.Error("a preview wrote")
		}
		stop := errors.New("enough")
		calls := 0
		result, err := New(w, l, testOptions()).Preview(t.Context(), begin.Add(-time.Hour), func([]heygen.Event) error {
			calls++
			return stop
		})
		if !errors.Is(err, stop) || result.Complete || calls != 1 {
			t.Errorf("stopped preview: %v, complete %v, %d calls", err, result.Complete, calls)
		}
	})
}

// A panic in the listing reaches whoever called Walk, and leaves nothing behind.
func TestPanicOfTheListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(50, time.Minute), newLedger()
		w.fault = func(n int, _ heygen.PageRequest, p *heygen.Page) (*heygen.Page, error) {
			if n == 3 {
				panic("decoder")
			}
			return p, nil
		}
		walker := New(w, l, testOptions())
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			walker.Walk(t.Context(), state.Poll, nil)
		}()
		if _, ok := walker.Walking(); ok {
			t.Error("still walking")
		}
		walkAll(t, walker, state.Poll)
		if len(l.events) != 50 {
			t.Errorf("%d events", len(l.events))
		}
	})
}
