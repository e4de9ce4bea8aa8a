package state

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"backstop/internal/heygen"
)

// beginAll begins backfill 1, or takes it up.
func beginAll(s *Store, h History) error {
	_, _, err := s.BeginBackfill(noon(), h, noon())
	return err
}

// planPages commits pages of backfill 1.
func planPages(s *Store, events ...heygen.Event) error {
	_, err := s.PlanPages(HistoryPages{Backfill: 1, Events: events, Now: noon()})
	return err
}

// queuePlanned gives events of backfill 1 a verdict.
func queuePlanned(s *Store, v Verdict, events ...heygen.Event) error {
	var rows []Row
	var vs []Verdict
	for _, e := range events {
		v.ID = e.ID
		rows, vs = append(rows, Row{Event: e}), append(vs, v)
	}
	_, _, err := s.QueuePlanned(noon(), 1, rows, vs)
	return err
}

// baselined lists events as older than a first run at noon.
func baselined(t *testing.T, s *Store, events ...heygen.Event) {
	t.Helper()
	_, err := s.SetBaseline(noon().Add(-time.Minute))
	mustDo(t, err)
	listed(t, s, events...)
}

func TestPlanPagesTellsWhatIsKnown(t *testing.T) {
	s := lively(t)
	past := func(id string, age time.Duration) heygen.Event { return event(id, "vid_"+id, "x", age) }
	unknown, baseline := past("evt_unknown", 50*time.Hour), past("evt_baseline", 51*time.Hour)
	imported, reported, both := past("evt_imported", 52*time.Hour), past("evt_reported", 53*time.Hour), past("evt_both", 54*time.Hour)
	seen, ignored, open := past("evt_seen", 55*time.Hour), past("evt_ignored", 56*time.Hour), past("evt_open", 57*time.Hour)
	young, undated := past("evt_young", -time.Hour), past("evt_undated", 0)
	undated.CreatedAt = time.Time{}

	listed(t, s, seen, ignored, open)
	_, err := s.Record(noon(), []Sighting{{ID: "evt_seen", Proof: Report}, {ID: "evt_reported", Proof: Report}, {ID: "evt_imported", Proof: Import}})
	mustDo(t, err)
	_, err = s.Ignore(noon(), []string{"evt_ignored"}, "", "ann")
	mustDo(t, err)
	baselined(t, s, baseline, both)
	_, err = s.Record(noon(), []Sighting{{ID: "evt_both", Proof: Import}})
	mustDo(t, err)

	b, resumed, err := s.BeginBackfill(noon(), History{Words: "3d", Since: noon().Add(-72 * time.Hour)}, noon())
	mustDo(t, err)
	if resumed || b.ID != 1 {
		t.Fatalf("the first backfill is %d, taken up: %v", b.ID, resumed)
	}
	pages := HistoryPages{
		Backfill: 1, Now: noon(), Bad: []heygen.BadRow{{Reason: "no id", Sum: 7}}, Walk: HistoryWalk{Waypoint: Waypoint{Segment: Segment{Token: "next", Pages: 3}}},
		Events: []heygen.Event{unknown, baseline, imported, reported, both, seen, ignored, open, young, undated, past("evt_older", 73*time.Hour)},
	}
	want := HistoryTally{Outside: 3, Seen: 4, Open: 1, Ignored: 1, Planned: 2, Bad: 1}
	for range 2 { // read again, the same is found
		got, err := s.PlanPages(pages)
		mustDo(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tally (-want +got):\n%s", diff)
		}
	}
	rows, next, err := s.Planned(1, "", 10)
	mustDo(t, err)
	if len(rows) != 2 || rows[0].Event.ID != "evt_baseline" || rows[1].Event.ID != "evt_unknown" || string(rows[1].Event.Data) != string(unknown.Data) || next != "" {
		t.Errorf("planned are %+v, next %q", rows, next)
	}
	wantStatus(t, s, map[string]Status{"evt_unknown": 0, "evt_imported": Seen, "evt_reported": Seen, "evt_both": Seen, "evt_open": Settling})
	walk, err := s.HistoryWalk(1, heygen.Query{})
	mustDo(t, err)
	if walk.Segment.Token != "next" || walk.Tally != want {
		t.Errorf("the walk stands at %+v", walk)
	}
	mustAgree(t, s)
}

func TestABackfillIsTakenUpByItsWords(t *testing.T) {
	s := lively(t)
	first := History{Words: "14d", Since: noon().Add(-14 * 24 * time.Hour), Types: []string{"a"}}
	later := first
	later.Since = first.Since.Add(time.Hour) // asked for an hour later, 14d are others
	b, _, err := s.BeginBackfill(noon(), first, noon())
	mustDo(t, err)
	again, resumed, err := s.BeginBackfill(noon().Add(time.Hour), later, noon().Add(time.Hour))
	mustDo(t, err)
	if !resumed || !cmp.Equal(b, again) {
		t.Errorf("asked for again it is %+v, want %+v", again, b)
	}
	for _, other := range []History{
		{Words: "15d", Types: []string{"a"}}, {Words: "14d"}, {Words: "14d", Types: []string{"a"}, Entity: "vid_1"}, {Words: "14d", Types: []string{"a"}, MarkOnly: true},
	} {
		if o, resumed, err := s.BeginBackfill(noon(), other, noon()); resumed || o.ID == b.ID || err != nil {
			t.Errorf("%+v takes up another history (%v)", other, err)
		}
	}
	mustDo(t, s.EndBackfill(noon(), b.ID))
	if o, resumed, err := s.BeginBackfill(noon(), first, noon()); resumed || o.ID == b.ID || err != nil {
		t.Errorf("what has ended is taken up again (%v)", err)
	}
	mustAgree(t, s)
}

func TestQueuedHistoryIsSentUnpairedInTheOldLane(t *testing.T) {
	s := lively(t)
	old, older := event("evt_old", "vid_1", "x", 50*time.Hour), event("evt_older", "vid_1", "y", 51*time.Hour)
	baselined(t, s, old)
	mustDo(t, beginAll(s, History{Words: "all"}), planPages(s, old, older))
	mustDo(t, queuePlanned(s, Verdict{Status: Missed, Why: "no proof"}, older, old))
	if n, err := s.OldLane(10); n != 2 || err != nil {
		t.Errorf("%d in the old lane (%v), want 2", n, err)
	}
	c, _, err := s.Claim(ClaimRules{Now: noon(), Manual: true})
	mustDo(t, err)
	if c == nil || c.Event.ID != "evt_older" || c.Reason != ReasonBackfill || c.Lane != Old || string(c.Event.Data) != string(older.Data) {
		t.Fatalf("claimed %+v, want the older one of the entity", c)
	}
	noClaim(t, s, ClaimRules{Now: noon(), Manual: true}) // one in flight per entity
	settled(t, s, c, Dead, noon())
	if n, err := s.DeadOf(1); n != 1 || err != nil {
		t.Errorf("%d dead of the backfill (%v), want 1", n, err)
	}
	b, err := s.Backfill(1)
	mustDo(t, err)
	if b.Queued != 2 {
		t.Errorf("%d queued, want 2", b.Queued)
	}
	mustAgree(t, s)
}

func TestWhatIsHeardMeanwhileIsNotQueued(t *testing.T) {
	s := lively(t)
	reported, polled, imported := event("evt_reported", "vid_1", "x", 50*time.Hour), event("evt_polled", "vid_2", "x", 51*time.Hour), event("evt_imported", "vid_3", "x", 52*time.Hour)
	mustDo(t, beginAll(s, History{Words: "all"}), planPages(s, reported, polled, imported))
	_, err := s.Record(noon(), []Sighting{{ID: "evt_reported", Proof: Report}, {ID: "evt_imported", Proof: Import}})
	mustDo(t, err)
	listed(t, s, polled)
	mustDo(t, queuePlanned(s, Verdict{Status: Missed}, reported, polled, imported))
	wantStatus(t, s, map[string]Status{"evt_reported": Seen, "evt_imported": Seen, "evt_polled": Settling})
	if n, err := s.PlannedCount(1); n != 0 || err != nil {
		t.Errorf("%d are planned still (%v)", n, err)
	}
	noClaim(t, s, ClaimRules{Now: noon(), Manual: true})
	mustAgree(t, s)
}

// One fact under two ids is sent once; should the kept one die, the other is not taken for baseline.
func TestTwinsOfHistory(t *testing.T) {
	s := lively(t)
	kept, twin := event("evt_kept", "vid_1", "x", 50*time.Hour), event("evt_twin", "vid_1", "x", 50*time.Hour-time.Minute)
	baselined(t, s, kept, twin)
	mustDo(t, beginAll(s, History{Words: "all"}), planPages(s, kept, twin))
	look := s.Look(Policy{Settle: settle, CollapseWindow: window, History: true})
	known, err := look.Events(noon(), []heygen.Event{kept, twin})
	mustDo(t, err)
	if known[0].Status != 0 || known[1].Status != 0 || known[1].Twin != "evt_kept" {
		t.Fatalf("known are %+v, want nothing but the twin", known)
	}
	mustDo(t, queuePlanned(s, Verdict{Status: Missed}, kept), queuePlanned(s, Verdict{Status: Seen, Twin: "evt_kept"}, twin))
	wantStatus(t, s, map[string]Status{"evt_kept": Missed, "evt_twin": Seen})
	settled(t, s, mustClaim(t, s, noon()), Dead, noon())
	rows, _, err := s.Judgeable(noon(), nil, "", 10)
	mustDo(t, err)
	if len(rows) != 1 || rows[0].Event.ID != "evt_twin" || rows[0].Backfill != 1 {
		t.Fatalf("to be judged are %+v, want the twin of the backfill", rows)
	}
	known, err = s.Look(Policy{Settle: settle, CollapseWindow: window}).Events(noon(), []heygen.Event{rows[0].Event})
	mustDo(t, err)
	if !known[0].Backfill {
		t.Error("the judge is not told that a backfill found it")
	}
	mustAgree(t, s)
}

func TestMarkedHistoryIsSeenByImport(t *testing.T) {
	s := lively(t)
	baseline, unknown, open := event("evt_b", "vid_1", "x", 50*time.Hour), event("evt_u", "vid_2", "x", 51*time.Hour), event("evt_o", "vid_3", "x", 52*time.Hour)
	listed(t, s, open)
	judged(t, s, noon())
	baselined(t, s, baseline)
	mustDo(t, beginAll(s, History{Words: "all", MarkOnly: true}), planPages(s, baseline, unknown, open))
	mustDo(t, queuePlanned(s, Verdict{Status: Seen, Proof: Import}, baseline, unknown, open))
	wantStatus(t, s, map[string]Status{"evt_b": Seen, "evt_u": Seen, "evt_o": Seen})
	for _, id := range []string{"evt_b", "evt_u", "evt_o"} {
		if row, err := s.Event(id); err != nil || row.Proof != Import {
			t.Errorf("%s: proof %s (%v), want import", id, row.Proof, err)
		}
	}
	mustDo(t, s.EndBackfill(noon(), 1))
	mustBeClean(t, s)
	mustAgree(t, s)
}

func TestADamagedPlanGoesToTheQuarantine(t *testing.T) {
	s := lively(t)
	bad, good := event("evt_bad", "vid_1", "x", 51*time.Hour), event("evt_good", "vid_2", "x", 50*time.Hour)
	mustDo(t, beginAll(s, History{Words: "all"}), planPages(s, bad, good))
	mustDo(t, s.update(false, func(t *tx) error {
		t.dirty()
		return t.plans(1).Put(place{bad.CreatedAt, bad.ID}.key(), []byte("no record at all"))
	}))
	rows, next, err := s.Planned(1, "", 10)
	mustDo(t, err)
	if len(rows) != 1 || rows[0].Event.ID != "evt_good" || next != "" {
		t.Errorf("planned are %+v, next %q; want the good one", rows, next)
	}
	mustDo(t, queuePlanned(s, Verdict{Status: Missed}, bad, good), s.EndBackfill(noon(), 1))
	quarantined, err := s.Quarantined(0)
	mustDo(t, err)
	if len(quarantined) != 1 || quarantined[0].ID != "evt_bad" {
		t.Errorf("the quarantine has %+v, want the bad one", quarantined)
	}
	wantStatus(t, s, map[string]Status{"evt_good": Missed})
	mustAgree(t, s)
}

func TestEndedBackfillsExpire(t *testing.T) {
	s := marked(t, noon())
	mustDo(t, beginAll(s, History{Words: "all"}), beginAll(s, History{Words: "1d"}), s.EndBackfill(agoDays(20), 1))
	prunedDays(t, s, noon())
	list, err := s.Backfills()
	mustDo(t, err)
	if len(list) != 1 || list[0].ID != 2 {
		t.Errorf("the backfills left are %+v, want the one that has not ended", list)
	}
	mustBeClean(t, s)
}
