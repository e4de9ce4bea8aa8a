package state

import (
	"errors"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// intent is one durable step of the life of events. It is done again after a failure, and its end is the same.
type intent struct {
	prepare func(t *testing.T, s *Store)
	do      func(s *Store) error
	want    map[string]Status
}

func intents(t *testing.T) map[string]intent {
	a, twin := event("evt_a", "vid_1", "x", time.Hour), event("evt_t", "vid_1", "x", time.Hour-time.Minute)
	missed := func(t *testing.T, s *Store) { listed(t, s, a, twin); judged(t, s, noon()) }
	claimed := func(t *testing.T, s *Store) { missed(t, s); mustClaim(t, s, noon()) }
	settleAs := func(status Status) func(*Store) error {
		return func(s *Store) error {
			_, err := s.Settle(Outcome{ID: "evt_a", Now: noon(), Attempt: Attempt{At: noon(), Status: 204}, Status: status, Due: noon()})
			return err
		}
	}
	record := func(seen ...Sighting) func(*Store) error {
		return func(s *Store) error { _, err := s.Record(noon(), seen); return err }
	}
	past := event("evt_past", "vid_9", "x", 100*time.Hour)
	begun := func(t *testing.T, s *Store) { mustDo(t, beginAll(s, History{Words: "all"})) }
	planned := func(t *testing.T, s *Store) { begun(t, s); mustDo(t, planPages(s, past)) }
	queued := func(t *testing.T, s *Store) { planned(t, s); mustDo(t, queuePlanned(s, Verdict{Status: Missed}, past)) }
	queue := func(s *Store) error { _, _, err := s.QueueRun(noon(), 1); return err }
	run := func(t *testing.T, s *Store) {
		missed(t, s)
		_, err := s.BeginRun(noon(), Run{Kind: RunReplay, Chosen: Selection{Missed: true}}, nil)
		mustDo(t, err)
	}
	cancel := func(s *Store) error { _, err := s.CancelRun(noon(), 1, "ann"); return err }
	var q *Resends
	planResends := func(s *Store) error {
		_, err := s.PlanResends(ResendPages{Run: 1, Events: []heygen.Event{past}, Now: noon()})
		return err
	}
	forced := func(t *testing.T, s *Store) {
		r, err := found(s, RunForced, past)
		mustDo(t, err)
		q = s.Resends(r)
	}
	reclaim := func(s *Store) error { // the process that had claimed it may be gone
		now := noon()
		if q.s != s {
			q, now = s.Resends(Run{ID: 1, Kind: RunForced}), now.Add(time.Hour)
		}
		_, _, err := q.Claim(ClaimRules{Now: now})
		return err
	}
	resettle := func(status Status) func(s *Store) error {
		return func(s *Store) error {
			if q.s != s {
				if run, err := s.Run(1); err != nil || !run.Ended.IsZero() {
					return err // it was done, and only reported failed
				}
				if err := reclaim(s); err != nil {
					return err
				}
			}
			_, err := q.Settle(Outcome{ID: "evt_past", Now: noon(), Status: status, Attempt: Attempt{Status: 200}, Due: noon()})
			return err
		}
	}
	return map[string]intent{
		"begin a run": {missed, func(s *Store) error {
			_, err := s.BeginRun(noon(), Run{Kind: RunReplay}, []string{"evt_a"})
			return err
		}, nil},
		"queue a run":  {run, queue, map[string]Status{"evt_a": Missed}},
		"cancel a run": {func(t *testing.T, s *Store) { run(t, s); mustDo(t, queue(s)) }, cancel, map[string]Status{"evt_a": Missed}},
		"resume a run": {func(t *testing.T, s *Store) { run(t, s); mustDo(t, queue(s), cancel(s)) },
			func(s *Store) error { _, _, err := s.ResumeRun(noon(), 1, "ann"); return err }, map[string]Status{"evt_a": Missed}},
		"plan resends": {func(t *testing.T, s *Store) {
			_, err := s.BeginRun(noon(), Run{Kind: RunForced}, nil)
			mustDo(t, err)
		}, planResends, map[string]Status{"evt_past": 0}},
		"claim a resend":      {forced, reclaim, map[string]Status{"evt_past": 0}},
		"settle a resend":     {func(t *testing.T, s *Store) { forced(t, s); mustDo(t, reclaim(s)) }, resettle(Seen), map[string]Status{"evt_past": Seen}},
		"give a resend up":    {func(t *testing.T, s *Store) { forced(t, s); mustDo(t, reclaim(s)) }, resettle(Dead), map[string]Status{"evt_past": 0}},
		"try a resend again":  {func(t *testing.T, s *Store) { forced(t, s); mustDo(t, reclaim(s)) }, resettle(Replaying), map[string]Status{"evt_past": 0}},
		"cancel a forced run": {forced, cancel, map[string]Status{"evt_past": 0}},
		"begin a backfill":    {func(*testing.T, *Store) {}, func(s *Store) error { return beginAll(s, History{Words: "all"}) }, nil},
		"plan pages":          {begun, func(s *Store) error { return planPages(s, past) }, map[string]Status{"evt_past": 0}},
		"confirm a backfill":  {planned, func(s *Store) error { return s.ConfirmBackfill(noon(), 1, "ann") }, nil},
		"queue what is planned": {planned, func(s *Store) error { return queuePlanned(s, Verdict{Status: Missed}, past) },
			map[string]Status{"evt_past": Missed}},
		"queue what is baseline": {func(t *testing.T, s *Store) { baselined(t, s, past); planned(t, s) },
			func(s *Store) error { return queuePlanned(s, Verdict{Status: Missed}, past) }, map[string]Status{"evt_past": Missed}},
		"end a backfill": {queued, func(s *Store) error { _, err := s.EndBackfill(noon(), 1); return err }, map[string]Status{"evt_past": Missed}},
		"mark what is planned": {func(t *testing.T, s *Store) {
			mustDo(t, beginAll(s, History{Words: "all", MarkOnly: true}), planPages(s, past))
		}, func(s *Store) error { return queuePlanned(s, Verdict{Status: Seen, Proof: Import}, past) }, map[string]Status{"evt_past": Seen}},
		"list": {func(*testing.T, *Store) {}, func(s *Store) error {
			_, err := s.CommitPages(Pages{
				Events: []heygen.Event{a}, Now: noon(), Bad: []heygen.BadRow{{ID: "evt_bad", Reason: "no id", Sum: 7}},
				Checkpoint: Checkpoint{Segments: []Segment{{Token: "next"}}},
			})
			return err
		}, map[string]Status{"evt_a": Settling}},
		"list what was reported": {func(t *testing.T, s *Store) { mustDo(t, record(Sighting{ID: "evt_a", Proof: Report})(s)) }, func(s *Store) error {
			_, err := s.CommitPages(Pages{Events: []heygen.Event{a}, Now: noon()})
			return err
		}, map[string]Status{"evt_a": Seen}},
		"decide": {func(t *testing.T, s *Store) { listed(t, s, a, twin) }, func(s *Store) error {
			_, err := s.Decide(noon(), []Verdict{{ID: "evt_a", Status: Missed}, {ID: "evt_t", Status: Seen, Twin: "evt_a"}})
			return err
		}, map[string]Status{"evt_a": Missed, "evt_t": Seen}},
		"claim":          {missed, func(s *Store) error { _, _, err := s.Claim(ClaimRules{Now: noon()}); return err }, map[string]Status{"evt_a": Replaying}},
		"settle as seen": {claimed, settleAs(Seen), map[string]Status{"evt_a": Seen, "evt_t": Seen}},
		"settle as seen where somebody is told": {func(t *testing.T, s *Store) {
			claimed(t, s)
			mustDo(t, s.ChangeNotices(func(*Notices) {}))
		}, settleAs(Seen), map[string]Status{"evt_a": Seen, "evt_t": Seen}},
		"write down what was told": {missed, func(s *Store) error {
			return s.ChangeNotices(func(n *Notices) { n.Alarms = map[string]Alarm{"dead": {Open: true, Told: noon()}} })
		}, map[string]Status{"evt_a": Missed}},
		"forget what was told": {func(t *testing.T, s *Store) { mustDo(t, s.ChangeNotices(func(*Notices) {})) }, func(s *Store) error { return s.DropNotices() }, nil},
		"settle as dead":       {claimed, settleAs(Dead), map[string]Status{"evt_a": Dead, "evt_t": Settling}},
		"settle for later":     {claimed, settleAs(Replaying), map[string]Status{"evt_a": Replaying, "evt_t": Seen}},
		"release":              {claimed, func(s *Store) error { return s.Release("evt_a", noon()) }, map[string]Status{"evt_a": Missed}},
		"record":               {missed, record(Sighting{ID: "evt_a", Proof: Report}, Sighting{ID: "evt_new", Proof: Tap}), map[string]Status{"evt_a": Seen, "evt_t": Seen, "evt_new": Seen}},
		"record a push":        {missed, record(Sighting{Fact: factOf(t, a), Proof: Report}), map[string]Status{"evt_a": Seen, "evt_t": Seen}},
		"import":               {missed, record(Sighting{ID: "evt_z", Proof: Import}, Sighting{ID: "evt_y", Proof: Import}), map[string]Status{"evt_y": Seen, "evt_z": Seen}},
		"requeue":              {missed, func(s *Store) error { _, err := queueByHand(s, noon(), []string{"evt_a"}, "ann"); return err }, map[string]Status{"evt_a": Missed}},
		"import by hand": {missed, func(s *Store) error {
			_, _, err := s.Import(noon(), []Sighting{{ID: "evt_a", Proof: Import}}, ManualAct{Who: "ann", What: "seen add"})
			return err
		}, map[string]Status{"evt_a": Seen, "evt_t": Seen}},
		"ignore": {missed, func(s *Store) error { _, err := s.Ignore(noon(), []string{"evt_a"}, "", "ann"); return err }, map[string]Status{"evt_a": Ignored, "evt_t": Settling}},
		"forget": {func(t *testing.T, s *Store) { mustDo(t, record(Sighting{ID: "evt_n", Proof: Report})(s)) }, func(s *Store) error {
			_, err := s.Forget(noon(), []string{"evt_n"}, "", "ann")
			return err
		}, map[string]Status{"evt_n": 0}},
		"age": {func(t *testing.T, s *Store) {
			mustDo(t, record(Sighting{ID: "evt_n", Proof: Report})(s), s.FinishWalk(walk(-48*time.Hour, -2*time.Hour)))
		}, func(s *Store) error { return s.age(noon().Add(3 * time.Hour)) }, map[string]Status{"evt_n": Seen}},
	}
}

// TestEveryIntentFailedTwice fails each commit, once not done and once done but reported failed; then the state is opened
// again, found right, and the step is done again.
func TestEveryIntentFailedTwice(t *testing.T) {
	for name, in := range intents(t) {
		for _, point := range []string{"before", "after"} {
			t.Run(name+" "+point, func(t *testing.T) {
				o := optionsIn(t)
				o.CollapseWindow = window
				armed := false
				o.Fault = func(at string) error {
					if armed && at == point {
						return errors.New("injected")
					}
					return nil
				}
				s := mustOpen(t, o)
				in.prepare(t, s)
				armed = true
				if err := in.do(s); !errors.Is(err, ErrLatched) {
					t.Fatalf("the failed step says %v, want %v", err, ErrLatched)
				}
				armed = false
				s.Close()
				s = mustOpen(t, o)
				mustBeClean(t, s)
				mustDo(t, in.do(s))
				wantStatus(t, s, in.want)
				mustBeClean(t, s)
			})
		}
	}
}

// TestAnIdleWalkCommitsNothing pins the cost of a poll that finds nothing new.
func TestAnIdleWalkCommitsNothing(t *testing.T) {
	s := lively(t)
	page := Pages{Events: []heygen.Event{event("evt_a", "vid_1", "x", time.Hour)}, Now: noon()}
	for range 3 {
		_, err := s.CommitPages(page)
		mustDo(t, err)
		judged(t, s, noon())
	}
	before := s.commitNumber.Load()
	tally, err := s.CommitPages(page)
	mustDo(t, err)
	judged(t, s, noon())
	if n := s.commitNumber.Load() - before; n != 0 || tally.Known != 1 || tally.New != 0 {
		t.Errorf("%d commits and %+v, want none and one known event", n, tally)
	}
}

// TestAKnownEventCostsFewBytes pins how many pages are written for ids that were reported and are then listed in order.
func TestAKnownEventCostsFewBytes(t *testing.T) {
	s := lively(t)
	const calls, each = 10, 1000
	var pages int64
	for call := range calls {
		var seen []Sighting
		var events []heygen.Event
		for i := range each {
			n := call*each + i
			e := event("evt_"+noon().Add(time.Duration(n)).Format("150405.000000000"), "vid", "x", time.Hour-time.Duration(n)*100*time.Millisecond)
			e.CreatedAt = e.CreatedAt.Truncate(time.Second)
			events = append(events, e)
			seen = append(seen, Sighting{ID: e.ID, Proof: Report})
		}
		_, err := s.Record(noon(), seen)
		mustDo(t, err)
		before := s.db.Stats()
		if tally := listed(t, s, events...); tally.Seen != each {
			t.Fatalf("tally %+v", tally)
		}
		after := s.db.Stats()
		pages += after.TxStats.GetPageAlloc() - before.TxStats.GetPageAlloc()
	}
	if perID := pages / (calls * each); perID > 300 {
		t.Errorf("%d bytes written for each id that a page lists, want at most 300", perID)
	}
	if c := s.Counts(); c.Unlisted != 0 || c.Status[Seen] != calls*each {
		t.Errorf("counts %+v", c)
	}
	mustAgree(t, s)
}
