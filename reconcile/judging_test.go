package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

func TestPassJudgesWhatWasListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		events := eventsTo(1200) // more than two batches
		events[7].Type = "avatar_video.fail"
		young := event(0)
		young.ID, young.Data = "evt_young", []byte(`{"video_id":"vid_young"}`)
		young.CreatedAt = time.Now().UTC().Truncate(time.Second)
		var seen []state.Sighting
		for _, e := range events[:200] {
			if e.ID != "evt_007" {
				seen = append(seen, state.Sighting{ID: e.ID, At: time.Now(), Proof: state.Report})
			}
		}
		list(t, s, 1, append(events, young)...)
		if _, err := s.Record(time.Now(), seen); err != nil {
			t.Fatal(err)
		}
		j := NewJudging(s, nil, judgePolicy(), nil)
		sum, err := j.Pass(t.Context(), time.Now(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if sum.Missed != 1001 || sum.Settling != 1 || sum.Types["avatar_video.success"] != 1000 || sum.Types["avatar_video.fail"] != 1 {
			t.Errorf("%+v", sum)
		}
		if r := row(t, s, "evt_300"); r.Status != state.Missed || r.Reason != state.ReasonMissed || !strings.Contains(r.Why, "no proof") {
			t.Errorf("%+v", r)
		}
		time.Sleep(5 * time.Minute)
		sum, err = j.Pass(t.Context(), time.Now(), nil)
		if err != nil || sum.Missed != 1 || sum.Settling != 0 {
			t.Errorf("after the settle time: %+v, %v", sum, err)
		}
	})
}

func TestPassLeavesWalksUnderWayAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		if _, err := s.CommitPages(state.Pages{Walk: 9, Events: eventsTo(3), Now: time.Now()}); err != nil {
			t.Fatal(err)
		}
		j := NewJudging(s, nil, judgePolicy(), nil)
		if sum, err := j.Pass(t.Context(), time.Now(), map[uint64]bool{9: true}); err != nil || sum.Missed != 0 {
			t.Errorf("%+v, %v", sum, err)
		}
		if sum, err := j.Pass(t.Context(), time.Now(), nil); err != nil || sum.Missed != 3 {
			t.Errorf("once it ended: %+v, %v", sum, err)
		}
	})
}

// A late pair and an anonymous push: one fact is missed once, and one push
// accounts for one event.
func TestPassCollapsesAndCredits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		kept, twin, pushed := eventOf("evt_a", "vid_1", 0), eventOf("evt_b", "vid_1", 60), event(500)
		twin.Data = kept.Data
		fact, ok := pushed.Fact()
		if !ok {
			t.Fatal("no fact")
		}
		if _, err := s.Record(time.Now(), []state.Sighting{{Fact: fact, At: time.Now().Add(-30 * time.Minute), Proof: state.Report}}); err != nil {
			t.Fatal(err)
		}
		sum := missed(t, s, kept, twin, pushed)
		if sum.Missed != 1 || sum.Seen != 2 {
			t.Errorf("%+v", sum)
		}
		if r := row(t, s, "evt_b"); r.Status != state.Seen || r.Why != "same fact as evt_a" {
			t.Errorf("%+v", r)
		}
		if r := row(t, s, pushed.ID); r.Status != state.Seen || !strings.Contains(r.Why, "without an id: matched by content") {
			t.Errorf("%+v", r)
		}
		rec := &target{}
		drain(t, replayerFor(s, rec))
		if posts := rec.all(); len(posts) != 1 || posts[0].id != "evt_a" {
			t.Errorf("%+v", posts)
		}
	})
}

func TestPassHoldsBackWhatASourceCannotTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		list(t, s, 1, eventsTo(2)...)
		sources := NewSources([]Source{{Name: "query", Proof: state.Query, Oracle: refusing{}}}, nil, nil)
		for range 2 {
			judged, err := NewJudging(s, sources, judgePolicy(), nil).Pass(t.Context(), time.Now(), nil)
			if err != nil || !slices.Equal(judged.Failed, []string{"query"}) {
				t.Fatalf("%+v, %v", judged, err)
			}
			if r := row(t, s, "evt_000"); r.Status != state.Listed || r.Why != "settled, but a source could not answer: query" {
				t.Errorf("%+v", r)
			}
		}
		if sum := missed(t, s); sum.Missed != 2 {
			t.Errorf("once it answers: %+v", sum)
		}
	})
}

// refusing is an oracle that can't be reached.
type refusing struct{}

func (refusing) Have(context.Context, []heygen.Event) (map[string]bool, error) {
	return nil, errors.New("connection refused")
}

func TestMismatchPausesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		var seen []state.Sighting
		for n := range 25 {
			seen = append(seen, state.Sighting{ID: fmt.Sprintf("other-%d", n), At: time.Now(), Proof: state.Report})
		}
		if _, err := s.Record(time.Now(), seen); err != nil {
			t.Fatal(err)
		}
		var logged bytes.Buffer
		j := NewJudging(s, nil, judgePolicy(), slog.New(slog.NewTextHandler(&logged, nil)))
		for n := range 3 {
			time.Sleep(2 * time.Hour)
			e := event(3600)
			e.ID, e.Data = fmt.Sprintf("evt_late_%d", n), fmt.Appendf(nil, `{"video_id":"late-%d"}`, n)
			list(t, s, uint64(n+1), []heygen.Event{e}...)
			if _, err := j.Pass(t.Context(), time.Now(), nil); err != nil {
				t.Fatal(err)
			}
		}
		if rec := s.Receiver(); rec.PausedBy != "backstop" || !strings.Contains(rec.Paused, "25 reported ids were never listed") {
			t.Errorf("%+v", rec)
		}
		if n := strings.Count(logged.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, &logged)
		}
		if _, err := s.Resume(time.Now(), "", "ann"); err != nil {
			t.Fatal(err)
		}
		for _, j := range []*Judging{j, NewJudging(s, nil, judgePolicy(), nil)} { // the second as of the next process
			if sum, err := j.Pass(t.Context(), time.Now(), nil); err != nil || sum.Mismatch == "" {
				t.Errorf("%+v, %v", sum, err)
			}
			if s.Receiver().Paused != "" {
				t.Error("a person's resume was undone")
			}
		}
	})
}
