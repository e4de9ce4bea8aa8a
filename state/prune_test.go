package state

import (
	"testing"
	"time"

	"backstop/internal/heygen"
)

// agoDays is a time some days before noon.
func agoDays(n int) time.Time { return noon().AddDate(0, 0, -n) }

// marked is a store with retention of ten days, whose only query has its mark at a time.
func marked(t *testing.T, mark time.Time) *Store {
	t.Helper()
	o := optionsIn(t)
	o.Retention = 10 * 24 * time.Hour
	s := mustOpen(t, o)
	if !mark.IsZero() {
		mustDo(t, s.FinishWalk(WalkEnd{Complete: true, Mark: mark, Start: mark, To: mark}))
	}
	return s
}

// prunedDays prunes until nothing is left to prune.
func prunedDays(t *testing.T, s *Store, now time.Time) (total int) {
	t.Helper()
	for range 1000 {
		n, err := s.Prune(now)
		mustDo(t, err)
		if n == 0 {
			return total
		}
		if n != 1 {
			t.Fatalf("one call dropped %d days", n)
		}
		total += n
	}
	t.Fatal("pruning does not end")
	return 0
}

func ledgerDaysOf(t *testing.T, s *Store) (days []uint32) {
	t.Helper()
	mustDo(t, s.view(func(t *tx) error {
		days = t.ledgerDays()
		return nil
	}))
	return days
}

func TestPruneFollowsTheMark(t *testing.T) {
	cases := map[string]struct {
		mark time.Time
		now  time.Time
		want int // days dropped, of one event a day for 30 days
	}{
		"no mark":                         {time.Time{}, noon(), 0},
		"mark at now":                     {noon(), noon(), 20},
		"mark stands still for five days": {agoDays(5), noon(), 15},
		"mark stands still for a year":    {agoDays(30), agoDays(-365), 0},
		"clock behind the mark":           {noon(), agoDays(5), 15},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := marked(t, c.mark)
			for i := range 30 {
				addLine(t, s, "e", agoDays(30-i))
			}
			if got := prunedDays(t, s, c.now); got != c.want {
				t.Errorf("%d days were dropped, want %d", got, c.want)
			}
			if got := len(ledgerDaysOf(t, s)); got != 30-c.want {
				t.Errorf("%d days are left, want %d", got, 30-c.want)
			}
			if got := s.settings().counts.status[Seen]; got != int64(30-c.want) {
				t.Errorf("%d events are counted, want %d", got, 30-c.want)
			}
			var floor time.Time
			if c.want > 0 {
				floor = agoDays(30 - c.want).Truncate(24 * time.Hour)
			}
			if got := s.Floor(); !got.Equal(floor) {
				t.Errorf("the floor is %v, want %v", got, floor)
			}
			mustBeClean(t, s)
		})
	}
}

// A backfill has filled an old day today: its records are kept for retention from today.
func TestADayHandledLatelyStays(t *testing.T) {
	s := marked(t, agoDays(-20))
	old := agoDays(300)
	mustDo(t, s.update(true, func(t *tx) error {
		return t.putLine(noon(), place{created: old, id: "old"}, nil, line{status: Seen, proof: Replay, at: noon()})
	}))
	if got := prunedDays(t, s, noon().AddDate(0, 0, 9)); got != 0 {
		t.Errorf("within retention %d days were dropped, want 0", got)
	}
	if got := prunedDays(t, s, noon().AddDate(0, 0, 11)); got != 1 {
		t.Errorf("behind it %d days were dropped, want 1", got)
	}
}

func TestTheSlowestQueryHoldsPruningBack(t *testing.T) {
	s := marked(t, noon())
	slow := WalkEnd{Query: heygen.Query{Type: "slow"}, Complete: true, Mark: agoDays(8), Start: agoDays(8), To: agoDays(8)}
	mustDo(t, s.FinishWalk(slow))
	addLine(t, s, "a", agoDays(25))
	addLine(t, s, "b", agoDays(15))
	if got := prunedDays(t, s, noon()); got != 1 {
		t.Errorf("%d days were dropped, want 1: the other is not behind the slow query", got)
	}
	// A query that nobody has walked for a whole retention, while others were, is gone from the configuration.
	mustDo(t, s.FinishWalk(WalkEnd{Complete: true, Mark: agoDays(-3), Start: agoDays(-3), To: agoDays(-3)}))
	if got := prunedDays(t, s, agoDays(-3)); got != 1 {
		t.Errorf("%d days were dropped, want 1", got)
	}
}

func TestUndatedEventsStay(t *testing.T) {
	s := marked(t, noon())
	mustDo(t, s.update(true, func(t *tx) error {
		return t.putLine(agoDays(400), place{id: "undated"}, nil, line{status: Seen, proof: Report, at: agoDays(400)})
	}))
	if got := prunedDays(t, s, noon()); got != 0 {
		t.Errorf("%d days were dropped, want 0", got)
	}
}

func TestOldNotesExpire(t *testing.T) {
	s := marked(t, noon())
	mustDo(t, s.Act(agoDays(30), "a tester", "old", 1), s.Act(agoDays(1), "a tester", "new", 1))
	mustDo(t, s.update(true, func(t *tx) error {
		for i, at := range []time.Time{agoDays(30), agoDays(29), agoDays(1)} {
			if _, err := t.quarantine(at, heygen.BadRow{Reason: "no id", Sum: uint64(i + 1)}, "all"); err != nil {
				return err
			}
		}
		return nil
	}))
	mustDo(t, errorOf(s.Prune(noon())))
	acts, err := s.Acts(10)
	mustDo(t, err)
	if len(acts) != 1 || acts[0].What != "new" {
		t.Errorf("the acts left are %v, want the new one", acts)
	}
	if got := s.settings().counts.quarantined; got != 1 {
		t.Errorf("%d quarantined rows are counted, want 1", got)
	}
	mustBeClean(t, s)
}

func errorOf(_ int, err error) error { return err }
