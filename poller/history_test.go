package poller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// shelf keeps what walks over history commit, as the state does: pages and the
// position behind them together, or not at all.
type shelf struct {
	walk    state.HistoryWalk
	events  map[string]int
	commits int
	fail    error
}

func (s *shelf) commit(p HistoryPages) (state.HistoryTally, error) {
	if s.fail != nil {
		return state.HistoryTally{}, s.fail
	}
	for _, e := range p.Events {
		s.events[e.ID]++
	}
	walk := p.Walk
	walk.Tally.Planned += len(p.Events)
	s.walk = walk
	s.commits++
	return walk.Tally, nil
}

// read walks on from where the shelf stands.
func (s *shelf) read(ctx context.Context, w *world, since time.Time, between func(context.Context) error) (Result, error) {
	return New(w, nil, testOptions()).History(ctx, History{Walk: s.walk, Since: since, Commit: s.commit}, between)
}

func newShelf() *shelf { return &shelf{events: map[string]int{}} }

// refuse makes the listing refuse cursors.
func refuse(w *world, which func(n int, r heygen.PageRequest) bool) {
	w.fault = func(n int, r heygen.PageRequest, p *heygen.Page) (*heygen.Page, error) {
		if r.Token != "" && which(n, r) {
			return nil, fmt.Errorf("no such cursor: %w", heygen.ErrCursor)
		}
		return p, nil
	}
}

func TestHistoryIsReadToItsEnd(t *testing.T) {
	for name, since := range map[string]time.Duration{"all": 0, "a part": 100 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newWorld(1000, time.Hour), newShelf()
				var horizon time.Time
				if since > 0 {
					horizon = time.Now().Add(-since)
				}
				result, err := s.read(t.Context(), w, horizon, nil)
				if err != nil || !result.Complete || !s.walk.Done() {
					t.Fatalf("%v, %q", err, result.Incomplete)
				}
				want := 1000
				if since > 0 {
					want = 101
				}
				if len(s.events) < want || s.walk.Tally.Planned < want || since > 0 && len(s.events) > want+40 {
					t.Errorf("%d events, want %d and little more", len(s.events), want)
				}
			})
		})
	}
}

// However often a walk is stopped, it goes on where it stood: of every page that
// was committed none is asked for again.
func TestStoppedHistoryGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(2000, time.Minute), newShelf()
		stops := 0
		for !s.walk.Done() {
			ctx, cancel := context.WithCancel(t.Context())
			left := 1 + stops%37
			_, err := s.read(ctx, w, time.Time{}, func(context.Context) error {
				if left--; left == 0 {
					cancel()
				}
				return ctx.Err()
			})
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			stops++
		}
		if len(s.events) != 2000 || s.walk.Tally.Planned != 2000 {
			t.Errorf("%d events, %d counted, want 2000", len(s.events), s.walk.Tally.Planned)
		}
		if pages := 2000 / testOptions().PageSize; w.asked() > pages+stops {
			t.Errorf("%d requests for %d pages and %d stops", w.asked(), pages, stops)
		}
	})
}

// A cursor that is refused now and then costs a request, not the walk.
func TestRefusedCursorsCostLittle(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			w, s, random := newWorld(4000, time.Minute), newShelf(), rand.New(rand.NewPCG(seed, 1))
			refused := 0
			refuse(w, func(int, heygen.PageRequest) bool {
				no := random.IntN(20) == 0
				if no {
					refused++
				}
				return no
			})
			result, err := s.read(t.Context(), w, time.Time{}, nil)
			if err != nil || !result.Complete {
				t.Fatalf("seed %d: %v, %q", seed, err, result.Incomplete)
			}
			if len(s.events) != 4000 || s.walk.Tally.Planned != 4000 {
				t.Errorf("seed %d: %d events, %d counted, want 4000", seed, len(s.events), s.walk.Tally.Planned)
			}
			// Now and then one is refused twice in a row, and a few pages are read again.
			if pages := 4000 / testOptions().PageSize; w.asked() > pages+refused+pages/5 {
				t.Errorf("seed %d: %d requests for %d pages, %d cursors refused", seed, w.asked(), pages, refused)
			}
		})
	}
}

// One cursor that is refused for good is passed by from an earlier one.
func TestALostCursorIsPassedBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(2000, time.Minute), newShelf()
		lost := ""
		refuse(w, func(n int, r heygen.PageRequest) bool {
			if n == 60 {
				lost = r.Token
			}
			return r.Token == lost
		})
		// The listing names its cursors anew with time.
		between := func(context.Context) error { time.Sleep(time.Second); return nil }
		result, err := s.read(t.Context(), w, time.Time{}, between)
		if err != nil || !result.Complete || len(s.events) != 2000 || s.walk.Tally.Planned != 2000 {
			t.Fatalf("%v, %q; %d events, %d counted", err, result.Incomplete, len(s.events), s.walk.Tally.Planned)
		}
		if pages := 2000 / testOptions().PageSize; w.asked() > pages+2*groupPages+2 {
			t.Errorf("%d requests for %d pages", w.asked(), pages)
		}
	})
}

// After a pause in which all cursors have expired the walk begins anew, and
// counts every event once all the same.
func TestExpiredCursorsBeginAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(2000, time.Minute), newShelf()
		w.lifetime = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		pages := 0
		_, err := s.read(ctx, w, time.Time{}, func(context.Context) error {
			if pages++; pages == 70 {
				cancel()
			}
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		time.Sleep(72 * time.Hour)
		result, err := s.read(t.Context(), w, time.Time{}, nil)
		if err != nil || !result.Complete || len(s.events) != 2000 || s.walk.Tally.Planned != 2000 {
			t.Fatalf("%v, %q; %d events, %d counted", err, result.Incomplete, len(s.events), s.walk.Tally.Planned)
		}
	})
}

// A listing that takes no cursor at all ends the walk, soon and with a reason.
func TestNoCursorIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(2000, time.Minute), newShelf()
		refuse(w, func(n int, _ heygen.PageRequest) bool { return n > 50 })
		result, err := s.read(t.Context(), w, time.Time{}, nil)
		if !errors.Is(err, heygen.ErrCursor) || !strings.Contains(result.Incomplete, "refuses every cursor") {
			t.Errorf("%v, %q", err, result.Incomplete)
		}
		if w.asked() > 50+30 {
			t.Errorf("%d requests", w.asked())
		}
	})
}

// The trail reaches back to the beginning and stays short.
func TestTheTrailIsShort(t *testing.T) {
	var w state.HistoryWalk
	longest := 0
	for pages := groupPages; pages <= 100_000; pages += groupPages {
		trail := leave(w)
		w = state.HistoryWalk{Waypoint: state.Waypoint{Segment: state.Segment{Pages: pages, Token: "t"}}, Trail: trail}
		longest = max(longest, len(trail))
		for i := 1; i < len(trail); i++ {
			near, far := pages-trail[i-1].Segment.Pages, pages-trail[i].Segment.Pages
			if far > 5*near+2*groupPages {
				t.Fatalf("at page %d the trail leaps from %d to %d pages back", pages, near, far)
			}
		}
	}
	if longest > 32 {
		t.Errorf("the trail has %d places at most, want 32", longest)
	}
	if oldest := w.Trail[len(w.Trail)-1].Segment.Pages; oldest > groupPages {
		t.Errorf("the oldest place is page %d, want the first one left", oldest)
	}
	long := state.HistoryWalk{Waypoint: state.Waypoint{Segment: state.Segment{Pages: 1, Token: strings.Repeat("t", trailToken+1)}}}
	if trail := leave(long); len(trail) != 0 {
		t.Error("a huge cursor is kept in the trail")
	}
}

// Nothing is lost with a commit that fails.
func TestHistoryEndsWhenNothingCanBeCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(500, time.Minute), newShelf()
		s.fail = errDisk
		if _, err := s.read(t.Context(), w, time.Time{}, nil); !errors.Is(err, errDisk) {
			t.Fatalf("%v, want %v", err, errDisk)
		}
		s.fail = nil
		if result, err := s.read(t.Context(), w, time.Time{}, nil); err != nil || !result.Complete || len(s.events) != 500 {
			t.Errorf("%v, %q, %d events", err, result.Incomplete, len(s.events))
		}
	})
}
