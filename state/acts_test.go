package state

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"backstop/internal/heygen"
)

// toldActs are the acts that a filter chooses, in short.
func toldActs(t *testing.T, s *Store, f ActFilter) (told []string) {
	t.Helper()
	mustDo(t, s.EachAct(t.Context(), f, func(a ManualAct) error {
		told = append(told, shortAct(a))
		return nil
	}))
	return told
}

func shortAct(a ManualAct) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s %s %d %s %s", a.Seq, a.Who, a.What, a.N, a.Why, strings.Join(a.IDs, ",")))
}

// actsAbout are the acts that an event tells of, in short.
func actsAbout(t *testing.T, s *Store, id string) (told []string) {
	t.Helper()
	row, err := s.Event(id)
	mustDo(t, err)
	var numbers []uint64
	if row != nil {
		numbers = row.Acts
	}
	acts, err := s.ActsOf(id, numbers)
	mustDo(t, err)
	for _, a := range acts {
		told = append(told, shortAct(a))
	}
	return told
}

func TestActsAreChosen(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	const many = 2*chunkRows + 7 // over the edge of two read transactions
	mustDo(t, s.update(true, func(t *tx) error {
		for i := range many {
			if err := t.act(noon().Add(time.Duration(i)*time.Minute), "ann", "replay", i); err != nil {
				return err
			}
		}
		return nil
	}))
	for name, c := range map[string]struct {
		filter      ActFilter
		n           int
		first, last uint64
	}{
		"all":    {ActFilter{}, many, many, 1},
		"some":   {ActFilter{Limit: 3}, 3, many, many - 2},
		"since":  {ActFilter{Since: noon().Add((many - 2) * time.Minute)}, 2, many, many - 1},
		"until":  {ActFilter{Until: noon().Add(2 * time.Minute)}, 2, 2, 1},
		"middle": {ActFilter{Since: noon().Add(10 * time.Minute), Until: noon().Add(20 * time.Minute), Limit: 4}, 4, 20, 17},
		"none":   {ActFilter{Until: noon()}, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var got []uint64
			mustDo(t, s.EachAct(t.Context(), c.filter, func(a ManualAct) error {
				got = append(got, a.Seq)
				return nil
			}))
			if len(got) != c.n || c.n > 0 && (got[0] != c.first || got[c.n-1] != c.last) {
				t.Errorf("%d acts, %v", len(got), got[:min(len(got), 5)])
			}
			if !slices.IsSortedFunc(got, func(a, b uint64) int { return int(b) - int(a) }) {
				t.Errorf("not newest first: %v", got)
			}
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.EachAct(ended, ActFilter{}, func(ManualAct) error { return nil }); err == nil {
		t.Error("it lists although nobody waits")
	}
}

// What persons did to an event is told of it, with their reason, also once it is
// finished, and forgotten.
func TestAnEventTellsItsActs(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	listed(t, s, event("evt_a", "vid_1", "x", time.Hour), event("evt_b", "vid_2", "x", time.Hour))
	judged(t, s, noon())
	_, err := queueByHand(s, noon(), []string{"evt_a", "evt_b"}, "ann")
	mustDo(t, err)
	_, err = s.Ignore(noon(), []string{"evt_a"}, "told the customer", "bob")
	mustDo(t, err)
	add := ManualAct{Who: "eve", What: "seen add", Why: "it is there"}
	_, seq, err := s.Import(noon(), []Sighting{{ID: "evt_a", Proof: Import}, {ID: "evt_unlisted", Proof: Import}}, add)
	mustDo(t, err)
	if seq != 3 {
		t.Errorf("the import is act %d, want 3", seq)
	}
	_, err = s.Forget(noon(), []string{"evt_unlisted"}, "", "ann")
	mustDo(t, err)
	mustClose(t, s)

	s = mustOpen(t, o)
	imported := "3 eve seen add 2 it is there evt_a,evt_unlisted"
	for id, want := range map[string][]string{
		"evt_a":        {"1 ann replay 2  evt_a,evt_b", "2 bob ignore 1 told the customer evt_a", imported},
		"evt_b":        {"1 ann replay 2  evt_a,evt_b"},
		"evt_unlisted": {imported, "4 ann seen forget 1  evt_unlisted"},
		"evt_":         nil,
	} {
		if diff := cmp.Diff(want, actsAbout(t, s, id)); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
	mustBeClean(t, s)
}

// An import of an event that waits says who told of it, and so does what was its twin.
func TestAnImportIsToldByWhatItFinishes(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	listed(t, s, event("evt_a", "vid_1", "x", time.Hour))
	judged(t, s, noon())
	_, _, err := s.Import(noon(), []Sighting{{ID: "evt_a", Proof: Import}}, ManualAct{Who: "ann", What: "seen import"})
	mustDo(t, err)
	row, err := s.Event("evt_a")
	mustDo(t, err)
	if row.Status != Seen || row.Proof != Import || !slices.Equal(row.Acts, []uint64{1}) {
		t.Errorf("%+v", row)
	}
	// What a recorder tells after it is nobody's act.
	listed(t, s, event("evt_b", "vid_2", "x", time.Hour))
	mustDo(t, errorOf(s.Record(noon(), []Sighting{{ID: "evt_b", Proof: Report}})))
	if got := actsAbout(t, s, "evt_b"); got != nil {
		t.Errorf("a report is told as %v", got)
	}
}

// A long import is one act, however many requests it takes; another person's is another.
func TestALongImportIsOneAct(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	bite := func(n int) (seen []Sighting) {
		for i := range n {
			seen = append(seen, Sighting{ID: fmt.Sprintf("evt_%d_%d", n, i), Proof: Import})
		}
		return seen
	}
	imports := func(n int, a ManualAct) uint64 {
		_, seq, err := s.Import(noon(), bite(n), a)
		mustDo(t, err)
		return seq
	}
	first := imports(3, ManualAct{Who: "ann", What: "seen import"})
	again := imports(20, ManualAct{Seq: first, Who: "ann", What: "seen import"})
	other := imports(11, ManualAct{Seq: first, Who: "bob", What: "seen import"})
	gone := imports(12, ManualAct{Seq: 99, Who: "ann", What: "seen import"})
	if first != again || other == first || gone == 99 {
		t.Errorf("acts %d, %d, %d, %d", first, again, other, gone)
	}
	want := []string{"3 ann seen import 12", "2 bob seen import 11", "1 ann seen import 23"}
	if diff := cmp.Diff(want, toldActs(t, s, ActFilter{})); diff != "" {
		t.Error(diff)
	}
}

// What a backfill has queued says who agreed to it.
func TestABackfillIsAnAct(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	past := event("evt_past", "vid_9", "x", 100*time.Hour)
	mustDo(t, beginAll(s, History{Words: "all"}), planPages(s, past), s.ConfirmBackfill(noon(), 1, "ann"))
	mustDo(t, queuePlanned(s, Verdict{Status: Missed}, past))
	want := []string{"1 ann backfill 1 of all 1"}
	if diff := cmp.Diff(want, actsAbout(t, s, "evt_past")); diff != "" {
		t.Error(diff)
	}
}

// The newest word of a person stands; backstop's own never replaces it.
func TestPausingOverAPause(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	was, err := s.Pause(noon(), "deploy", "ann")
	mustDo(t, err)
	if was.Paused != "" {
		t.Errorf("it replaced %+v", was)
	}
	mustDo(t, s.PauseItself(noon(), "ids do not match"))
	was, err = s.Pause(noon().Add(time.Minute), "still", "bob")
	mustDo(t, err)
	now := s.Receiver()
	if was.Paused != "deploy" || was.PausedBy != "ann" || now.Paused != "still" || now.PausedBy != "bob" {
		t.Errorf("%+v replaced %+v", now, was)
	}
	was, err = s.Resume(noon(), "done", "ann")
	mustDo(t, err)
	if was.PausedBy != "bob" || s.Receiver().Paused != "" {
		t.Errorf("resumed from %+v", was)
	}
	if was, err = s.Resume(noon(), "", "ann"); err != nil || was.Paused != "" {
		t.Errorf("resumed again from %+v, %v", was, err)
	}
	want := []string{"3 ann resume 0 done", "2 bob pause 0 still", "1 ann pause 0 deploy"}
	if diff := cmp.Diff(want, toldActs(t, s, ActFilter{})); diff != "" {
		t.Error(diff)
	}
}

// An act of a version that put the reason behind the word reads as one of today.
func TestAnOldPauseReadsAlike(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	mustDo(t, s.Act(noon(), "ann", "pause: deploy: twice", 1))
	if got := toldActs(t, s, ActFilter{}); !slices.Equal(got, []string{"1 ann pause 1 deploy: twice"}) {
		t.Errorf("%q", got)
	}
}

// An act is kept for a whole retention behind mark and clock, and pruned after it.
func TestActsAreKeptForRetention(t *testing.T) {
	s := marked(t, noon())
	mustDo(t, s.Act(agoDays(10).Add(-time.Second), "ann", "older", 1), s.Act(agoDays(10), "ann", "just", 1))
	mustDo(t, errorOf(s.Prune(noon().AddDate(1, 0, 0)))) // a clock that is set forward alone drops nothing
	if got := toldActs(t, s, ActFilter{}); !slices.Equal(got, []string{"2 ann just 1"}) {
		t.Errorf("left are %q", got)
	}
	mustDo(t, errorOf(s.Prune(noon())))
	if got := toldActs(t, s, ActFilter{}); len(got) != 1 {
		t.Errorf("left are %q", got)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	said := func(i int) string { return fmt.Sprintf("%04d %s", i, strings.Repeat("x", 1019)) }
	var list []Attempt
	for i := range 60 {
		list = closeAttempt(addAttempt(list, Attempt{Open: true}), Attempt{Answer: said(i)})
	}
	if n := answersSize(list); n > answersMost {
		t.Errorf("%d bytes are kept", n)
	}
	if list[0].Answer != said(0) || list[len(list)-1].Answer != said(59) || list[len(list)-2].Answer != said(58) || list[1].Answer != answerDropped {
		t.Errorf("kept are %.12q, %.12q … %.12q, %.12q", list[0].Answer, list[1].Answer, list[len(list)-2].Answer, list[len(list)-1].Answer)
	}
	// The same again and again takes no room.
	list = nil
	for range 50 {
		list = closeAttempt(addAttempt(list, Attempt{Open: true}), Attempt{Answer: said(0)})
	}
	if list[20].Answer != said(0) || list[49].Answer != said(0) {
		t.Error("an answer was dropped that takes no room")
	}
}

// Attempts beyond fifty are thinned: those that are left keep their numbers, also once the event is finished.
func TestThinnedAttemptsKeepTheirNumbers(t *testing.T) {
	s := missedStore(t)
	var id string
	for i := range 60 {
		c := mustClaim(t, s, noon().Add(time.Duration(i)*time.Hour))
		if id == "" {
			id = c.Event.ID
		}
		if c.Event.ID != id || c.Attempt != i+1 {
			t.Fatalf("attempt %d of %s, want %d of %s", c.Attempt, c.Event.ID, i+1, id)
		}
		status := Replaying
		if i == 59 {
			status = Seen
		}
		_, err := s.Settle(Outcome{ID: id, Now: noon(), Attempt: Attempt{At: noon(), Status: 503, Answer: "busy"}, Status: status, Due: noon()})
		mustDo(t, err)
		if i != 58 && i != 59 {
			continue
		}
		row, err := s.Event(id)
		mustDo(t, err)
		if row.Sent != i+1 || len(row.Attempts) != 50 || row.AttemptsLost() != i-49 || row.AttemptNumber(4) != 5 || row.AttemptNumber(49) != i+1 {
			t.Errorf("of %d attempts %d are kept; the last is number %d", row.Sent, len(row.Attempts), row.AttemptNumber(49))
		}
	}
}

// An event that was finished before the number was noted has lost none that is known.
func TestAnOldStoryHasLostNothing(t *testing.T) {
	row := Row{Event: heygen.Event{ID: "evt_a"}, Attempts: make([]Attempt, 50)}
	if row.AttemptsLost() != 0 || row.AttemptNumber(49) != 50 {
		t.Errorf("%d are lost", row.AttemptsLost())
	}
}
