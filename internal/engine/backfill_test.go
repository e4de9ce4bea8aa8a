package engine

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"backstop/reconcile"
	"backstop/state"
)

// pastScene is a world with a history and nothing else, and a backstop that has
// made its first pass.
func pastScene(t *testing.T, p plan) (*scene, *life) {
	t.Helper()
	atWork(t)
	s := newScene(t, p)
	l := s.live("", 0)
	time.Sleep(30 * time.Second)
	synctest.Wait()
	return s, l
}

// backfill reads and sends all of the past.
func (l *life) backfill(t *testing.T, r BackfillRequest) Backfilled {
	t.Helper()
	r.Words, r.Send = "all", true
	result, err := l.engine.Backfill(t.Context(), r, func(BackfillProgress) error { return nil })
	if err != nil {
		t.Fatalf("the backfill ends with %v", err)
	}
	return result
}

// rushes gives the most replays that began within a time.
func (s *scene) rushes(within time.Duration) (most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	starts := make([]time.Time, 0, len(s.posts))
	for _, p := range s.posts {
		starts = append(starts, p.start)
	}
	slices.SortFunc(starts, time.Time.Compare)
	for i, first := range starts {
		n, _ := slices.BinarySearchFunc(starts[i:], first.Add(within), time.Time.Compare)
		most = max(most, n)
	}
	return most
}

// The rate of a backfill is kept from its first second on, and made use of.
func TestBackfillKeepsItsRate(t *testing.T) {
	for _, rate := range []float64{0.5, 3, 40} {
		synctest.Test(t, func(t *testing.T) {
			s, l := pastScene(t, calmPlan(120, 100))
			begun := time.Now()
			result := l.backfill(t, BackfillRequest{History: state.History{}, Rate: rate})
			took := time.Since(begun)
			if result.Left != 0 || result.Seen < 100 {
				t.Fatalf("rate %g: %+v", rate, result)
			}
			for _, within := range []time.Duration{100 * time.Millisecond, time.Second, 10 * time.Second} {
				if most, allowed := s.rushes(within), int(rate*within.Seconds())+2; most > allowed {
					t.Errorf("rate %g: %d replays within %v, want %d at most", rate, most, within, allowed)
				}
			}
			if want := time.Duration(float64(result.Seen) / rate * float64(time.Second)); took > want*5/4+3*time.Second {
				t.Errorf("rate %g: %d replays took %v, want %v", rate, result.Seen, took, want)
			}
			s.end()
		})
	}
}

// What waits out an outage does not come in a rush when it ends.
func TestBackfillKeepsItsRateAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := pastScene(t, calmPlan(300, 100))
		s.set(func() { s.down = true })
		go func() { // ends with the sleep
			time.Sleep(5 * time.Minute)
			s.set(func() { s.down = false })
		}()
		if result := l.backfill(t, BackfillRequest{Rate: 2}); result.Left != 0 || result.Dead != 0 || result.Seen < 250 {
			t.Fatalf("%+v", result)
		}
		if most := s.rushes(10 * time.Second); most > 40 {
			t.Errorf("%d replays within ten seconds, want hardly more than 20", most)
		}
		s.end()
	})
}

// A dry run tells what the plan will say, however often its cursors are refused.
func TestDryRunTellsThePlan(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			p := calmPlan(3000, 10)
			p.world.Span, p.undated = 240*time.Hour, 0.02
			p.world.Faults.ExpiredCursors = 0.1
			p.world.Seed, p.seed = seed+1, seed+1
			s, l := pastScene(t, p)
			var plans [2]BackfillPlan
			for i, dry := range []bool{true, false} {
				r := BackfillRequest{History: state.History{Words: "all"}, DryRun: dry}
				result, err := l.engine.Backfill(t.Context(), r, func(BackfillProgress) error { return nil })
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				plans[i] = result.Plan
			}
			if diff := cmp.Diff(plans[1], plans[0], cmpopts.IgnoreFields(BackfillPlan{}, "ID", "Pages", "Until", "Bad")); diff != "" {
				t.Errorf("seed %d: the plan (-) and the dry run (+):\n%s", seed, diff)
			}
			s.end()
		})
	}
}

// told is a recorder that counts how often it is read.
type told struct {
	seen  []state.Sighting
	peeks int
}

func (r *told) Sync(context.Context) error { return nil }

func (r *told) Peek(_ context.Context, tell func(state.Sighting)) error {
	r.peeks++
	for _, one := range r.seen {
		tell(one)
	}
	return nil
}

// A log is read once for a dry run, whatever number of times it judges.
func TestDryRunReadsALogOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := calmPlan(500, 10)
		p.world.Span = 240 * time.Hour
		s, l := pastScene(t, p)
		log := &told{}
		for i, id := range s.world.Listed() {
			if i%3 == 0 {
				log.seen = append(log.seen, state.Sighting{ID: id, Proof: state.Log})
			}
		}
		l.engine.mu.Lock()
		l.engine.parts.sources = reconcile.NewSources([]reconcile.Source{{Name: "log", Proof: state.Log, Recorder: log}}, nil, nil)
		l.engine.mu.Unlock()
		pages := 0
		r := BackfillRequest{History: state.History{Words: "all"}, DryRun: true}
		result, err := l.engine.Backfill(t.Context(), r, func(p BackfillProgress) error { pages = p.Pages; return nil })
		s.must(err)
		if result.Plan.Seen != len(log.seen) || result.Plan.Missed != 500-len(log.seen) {
			t.Errorf("%+v, want %d seen", result.Plan, len(log.seen))
		}
		if log.peeks != 1 || pages < 10 {
			t.Errorf("the log was read %d times in %d pages", log.peeks, pages)
		}
		s.end()
	})
}
