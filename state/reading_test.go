package state

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"backstop/internal/heygen"
)

// flip damages a stored value.
func flip(t *testing.T, s *Store, bucket func(*tx) *bbolt.Bucket, key []byte) {
	t.Helper()
	mustDo(t, s.update(false, func(t *tx) error {
		b := bucket(t)
		v := slices.Clone(b.Get(key))
		v[len(v)/2] ^= 1
		t.dirty()
		return b.Put(key, v)
	}))
}

// TestADamagedRecordIsListedAgain: it goes to the quarantine, and the listing brings the event back.
func TestADamagedRecordIsListedAgain(t *testing.T) {
	open, done := event("evt_open", "vid_1", "x", time.Hour), event("evt_done", "vid_2", "x", time.Hour)
	s := lively(t)
	_, err := s.Record(noon(), []Sighting{{ID: done.ID, Proof: Report}})
	mustDo(t, err)
	listed(t, s, open, done)
	judged(t, s, noon())
	flip(t, s, func(t *tx) *bbolt.Bucket { return t.bucket(bucketOpen) }, []byte(open.ID))
	p := place{done.CreatedAt, done.ID}
	flip(t, s, func(t *tx) *bbolt.Bucket { return t.day(bucketLedger, dayOf(p.created)) }, p.ledgerKey())
	noClaim(t, s, ClaimRules{Now: noon()})
	if tally := listed(t, s, open, done); tally.New != 2 {
		t.Errorf("tally %+v, want both new", tally)
	}
	wantStatus(t, s, map[string]Status{open.ID: Settling, done.ID: Settling})
	rows, err := s.Quarantined(0)
	mustDo(t, err)
	if len(rows) != 2 || rows[0].Query != ownRecords || s.Counts().Quarantined != 2 {
		t.Errorf("quarantine %+v", rows)
	}
	mustAgree(t, s)
}

// TestADamagedIndexIsRebuilt from the records.
func TestADamagedIndexIsRebuilt(t *testing.T) {
	a := event("evt_a", "vid_1", "x", time.Hour)
	s := lively(t)
	listed(t, s, a)
	flip(t, s, func(t *tx) *bbolt.Bucket { return t.bucket(bucketIndex) }, stageKey(stageSettling, place{a.CreatedAt, a.ID}))
	judged(t, s, noon())
	judged(t, s, noon())
	wantStatus(t, s, map[string]Status{a.ID: Missed})
	mustAgree(t, s)
}

func TestABadRowIsQuarantinedOnce(t *testing.T) {
	s := lively(t)
	for range 2 {
		_, err := s.CommitPages(Pages{Now: noon(), Query: heygen.Query{Type: "x"}, Bad: []heygen.BadRow{{ID: "evt_bad", Reason: "no type", Bytes: 9, Sum: 42}}})
		mustDo(t, err)
	}
	rows, err := s.Quarantined(1)
	mustDo(t, err)
	if len(rows) != 1 || rows[0].ID != "evt_bad" || rows[0].Reason != "no type" || rows[0].Query != "type=x" || !rows[0].At.Equal(noon()) {
		t.Errorf("got %+v", rows)
	}
	if n := s.Counts().Quarantined; n != 1 {
		t.Errorf("%d rows counted, want 1", n)
	}
}

func TestEventsAreFiltered(t *testing.T) {
	s := lively(t)
	_, err := s.Record(noon(), []Sighting{{ID: "evt_seen", Proof: Report}})
	mustDo(t, err)
	fail := event("evt_fail", "vid_1", "y", 30*time.Hour)
	fail.Type = "avatar_video.fail"
	undated := event("evt_undated", "vid_3", "", 0)
	undated.CreatedAt = time.Time{}
	listed(t, s, event("evt_seen", "vid_1", "x", 50*time.Hour), fail, event("evt_young", "vid_2", "x", time.Minute), undated)
	judged(t, s, noon())
	tests := []struct {
		name   string
		filter Filter
		want   []string
	}{
		{"all", Filter{}, []string{"evt_young", "evt_fail", "evt_seen", "evt_undated"}},
		{"limit", Filter{Limit: 2}, []string{"evt_young", "evt_fail"}},
		{"status", Filter{Status: []Status{Seen}}, []string{"evt_seen"}},
		{"open status", Filter{Status: []Status{Missed, Settling}}, []string{"evt_young", "evt_fail", "evt_undated"}},
		{"type", Filter{Type: []string{"avatar_video.fail"}}, []string{"evt_fail"}},
		{"entity", Filter{Entity: "vid_1"}, []string{"evt_fail", "evt_seen"}},
		{"since is inclusive", Filter{Since: noon().Add(-30 * time.Hour)}, []string{"evt_young", "evt_fail"}},
		{"until is exclusive", Filter{Until: noon().Add(-30 * time.Hour)}, []string{"evt_seen", "evt_undated"}},
		{"nothing", Filter{Status: []Status{Dead}}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			mustDo(t, s.Events(t.Context(), test.filter, func(r Row) error { got = append(got, r.Event.ID); return nil }))
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestManyEventsAreListedInChunks: every one once, in order, over several transactions and days.
func TestManyEventsAreListedInChunks(t *testing.T) {
	s := lively(t)
	var events []heygen.Event
	var seen []Sighting
	for i := range 2500 {
		e := event(fmt.Sprintf("evt_%05d", i), "", "x", time.Duration(i)*2*time.Minute)
		events = append(events, e)
		if i%3 > 0 {
			seen = append(seen, Sighting{ID: e.ID, Proof: Report})
		}
	}
	_, err := s.Record(noon(), seen)
	mustDo(t, err)
	listed(t, s, events...)
	i := 0
	mustDo(t, s.Events(t.Context(), Filter{}, func(r Row) error {
		if r.Event.ID != events[i].ID {
			t.Fatalf("row %d is %s, want %s", i, r.Event.ID, events[i].ID)
		}
		i++
		return nil
	}))
	if i != len(events) {
		t.Errorf("%d rows, want %d", i, len(events))
	}
	n := 0
	mustDo(t, s.Export(t.Context(), func(SeenRecord) error { n++; return nil }))
	if n != len(seen) {
		t.Errorf("%d exported, want %d", n, len(seen))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s.Export(ctx, func(SeenRecord) error { return nil }) == nil || s.Events(ctx, Filter{}, func(Row) error { return nil }) == nil {
		t.Error("a cancelled reader went on")
	}
}

func TestExportAndForget(t *testing.T) {
	s := lively(t)
	a := event("evt_a", "vid_1", "x", time.Hour)
	_, err := s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Report}, {ID: "evt_i", Proof: Import}, {ID: "evt_w", Proof: Tap}})
	mustDo(t, err)
	listed(t, s, a)
	got := make(map[string]Proof)
	mustDo(t, s.Export(t.Context(), func(r SeenRecord) error { got[r.ID] = r.Proof; return nil }))
	if len(got) != 3 || got["evt_a"] != Report || got["evt_i"] != Import || got["evt_w"] != Tap {
		t.Errorf("exported %v", got)
	}
	var unlisted []string
	mustDo(t, s.Unlisted(t.Context(), func(r SeenRecord) error { unlisted = append(unlisted, r.ID); return nil }))
	if !slices.Equal(unlisted, []string{"evt_w"}) {
		t.Errorf("unlisted are %q, want evt_w", unlisted)
	}
	found, err := s.Forget(noon(), []string{"evt_a", "evt_i", "evt_w", "evt_none"}, "", "ann")
	mustDo(t, err)
	if !slices.Equal(found, []string{"evt_a", "evt_i", "evt_w"}) {
		t.Errorf("forgot %q", found)
	}
	wantStatus(t, s, map[string]Status{"evt_a": 0, "evt_i": 0, "evt_w": 0})
	if tally := listed(t, s, a); tally.Settling != 1 {
		t.Errorf("listed again: %+v", tally)
	}
	mustAgree(t, s)
}

func TestBaselineAndFloor(t *testing.T) {
	s := lively(t)
	_, err := s.SetBaseline(noon().Add(-time.Hour))
	mustDo(t, err)
	undated := event("evt_u", "vid_3", "", 0)
	undated.CreatedAt = time.Time{}
	tally, err := s.CommitPages(Pages{Now: noon(), First: true, Events: []heygen.Event{
		event("evt_before", "vid_1", "x", time.Hour+time.Second), event("evt_at", "vid_2", "x", time.Hour), undated,
	}})
	mustDo(t, err)
	if tally.Baseline != 2 || tally.Settling != 1 || tally.New != 3 || tally.Undated != 1 {
		t.Errorf("tally %+v", tally)
	}
	_, why := statusOf(t, s, "evt_before")
	if why != "baseline: older than the first run" {
		t.Errorf("seen because %q", why)
	}
	mustDo(t, s.update(false, func(t *tx) error { return t.setFloor(noon().Add(-48 * time.Hour)) }))
	if tally := listed(t, s, event("evt_gone", "vid_1", "x", 49*time.Hour)); tally.Known != 1 || tally.New != 0 {
		t.Errorf("below the floor: %+v", tally)
	}
	mustAgree(t, s)
}

// TestReportsThatMatchNothing: an hour after their arrival, and only once the listing has moved on past them.
func TestReportsThatMatchNothing(t *testing.T) {
	s := lively(t)
	var seen []Sighting
	for i := range 25 {
		seen = append(seen, Sighting{ID: fmt.Sprintf("own_%d", i), Proof: Report})
	}
	_, err := s.Record(noon(), append(seen, Sighting{ID: "evt_i", Proof: Import}))
	mustDo(t, err)
	mismatch := func(after time.Duration, want int) {
		t.Helper()
		unlisted, matched, err := s.Mismatch(noon().Add(after))
		mustDo(t, err)
		if unlisted != want || matched != 0 {
			t.Errorf("after %s: %d unlisted, %d matched, want %d and none", after, unlisted, matched, want)
		}
	}
	mismatch(30*time.Minute, 0)
	mismatch(2*time.Hour, 0) // nothing was walked
	mustDo(t, s.FinishWalk(WalkEnd{Now: noon().Add(2 * time.Hour), Complete: true, Mark: noon().Add(2 * time.Hour), Start: noon().Add(2 * time.Hour)}))
	mismatch(3*time.Hour, 25)
	mustAgree(t, s)
	late := event("own_3", "vid_1", "x", 0)
	if tally := listed(t, s, late); tally.Seen != 1 {
		t.Errorf("tally %+v", tally)
	}
	unlisted, matched, err := s.Mismatch(noon().Add(4 * time.Hour))
	mustDo(t, err)
	if unlisted != 24 || matched != 1 {
		t.Errorf("%d unlisted, %d matched, want 24 and 1", unlisted, matched)
	}
	mustAgree(t, s)
}

// TestAnAgedReportMeetsItsFinishedEvent: one that was seen before this process, and reported after.
func TestAnAgedReportMeetsItsFinishedEvent(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	_, err := s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Mirror}})
	mustDo(t, err)
	listed(t, s, event("evt_a", "vid_1", "x", time.Hour))
	mustClose(t, s)
	s = mustOpen(t, o)
	_, err = s.Record(noon(), []Sighting{{ID: "evt_a", Proof: Tap}})
	mustDo(t, err)
	if n := s.Counts().Unlisted; n != 1 {
		t.Fatalf("%d unlisted, want 1", n)
	}
	mustDo(t, s.FinishWalk(WalkEnd{Now: noon().Add(time.Hour), Complete: true, Mark: noon().Add(time.Hour), Start: noon().Add(time.Hour)}))
	mustDo(t, s.age(noon().Add(2*time.Hour)))
	row, err := s.Event("evt_a")
	mustDo(t, err)
	if row.Proof != Tap || s.Counts().Unlisted != 0 {
		t.Errorf("event %+v, counts %+v", row, s.Counts())
	}
	mustBeClean(t, s)
}

// An event was replayed by a process that was killed, and the receiver reports
// it to the next one: what is told of it is its story, not that nothing listed it.
func TestAReportAfterTheEndDoesNotHideTheEvent(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	mustDo(t, s.SetPaired())
	listed(t, s, event("evt_1", "video_1", "a", time.Hour), event("evt_3", "video_3", "a", time.Hour))
	judged(t, s, noon())
	settled(t, s, mustClaim(t, s, noon()), Seen, noon())
	if _, err := s.Ignore(noon(), []string{"evt_3"}, "tired", "ann"); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)

	s = mustOpen(t, o)
	reports := []Sighting{{ID: "evt_1", Proof: Report}, {ID: "evt_2", Proof: Report}, {ID: "evt_3", Proof: Report}}
	if _, err := s.Record(noon(), reports); err != nil {
		t.Fatal(err)
	}
	row, err := s.Event("evt_1")
	if err != nil || row == nil {
		t.Fatalf("Event: %v, %v", row, err)
	}
	if row.Proof != Replay || row.Listed.IsZero() || len(row.Attempts) != 1 || row.Event.CreatedAt.IsZero() {
		t.Errorf("evt_1 is told as %+v", row)
	}
	row, err = s.Event("evt_2")
	if err != nil || row == nil || row.Proof != Report || !row.Listed.IsZero() {
		t.Errorf("evt_2 is told as %+v, %v", row, err)
	}
	row, err = s.Event("evt_3")
	if err != nil || row == nil || row.Status != Seen || row.Proof != Report || row.Listed.IsZero() {
		t.Errorf("evt_3, which was ignored, is told as %+v, %v", row, err)
	}
}
