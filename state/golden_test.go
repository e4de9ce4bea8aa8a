package state

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"backstop/internal/heygen"
)

// A state file of every format version is kept in testdata and must open for ever. They are never written again: to make
// the one of a new version, run this test without it, and look at what it wrote.
func TestAFileOfEveryVersionOpens(t *testing.T) {
	for version := 1; version <= formatVersion; version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			o := optionsIn(t)
			replaceFile(t, o.Path, golden(t, version))
			s := mustOpen(t, o)
			mustBeClean(t, s)
			mustTellTheStory(t, s)
			mustDo(t, s.Act(noon(), "a tester", "goes on", 1))
			mustClose(t, s)
			mustBeClean(t, mustOpen(t, o))
		})
	}
}

// golden reads the state file of a version.
func golden(t *testing.T, version int) []byte {
	t.Helper()
	name := filepath.Join("testdata", fmt.Sprintf("v%d.db.gz", version))
	packed, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		writeGolden(t, name)
		t.Fatalf("there was no %s; it was written now: look at it and commit it", name)
	}
	mustDo(t, err)
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	mustDo(t, err)
	file, err := io.ReadAll(unpacked)
	mustDo(t, err)
	return file
}

func writeGolden(t *testing.T, name string) {
	t.Helper()
	o := optionsIn(t)
	s := mustOpen(t, o)
	liveTheStory(t, s)
	mustClose(t, s)
	file, err := os.ReadFile(o.Path)
	mustDo(t, err, os.MkdirAll(filepath.Dir(name), 0o755))
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	mustDo(t, err)
	_, err = w.Write(file)
	mustDo(t, err, w.Close(), os.WriteFile(name, packed.Bytes(), 0o644))
}

// storyEvents are one event for each way through the state.
func storyEvents() []heygen.Event {
	var events []heygen.Event
	for i, id := range []string{"settles", "reported", "listed", "replayed", "dead", "missed", "ignored"} {
		created := noon().Add(-time.Duration(30+i) * time.Minute)
		events = append(events, heygen.Event{
			ID: "evt-" + id, Type: "avatar_video.success", CreatedAt: created, Created: created.Format(time.RFC3339),
			Data: fmt.Appendf(nil, `{"video_id":"video-%s","url":"https://files.example.com/%s?sig=x"}`, id, id),
		})
	}
	return events
}

// liveTheStory leads every event to where mustTellTheStory looks for it.
func liveTheStory(t *testing.T, s *Store) {
	t.Helper()
	mustDo(t, errorOfTime(s.SetBaseline(noon().Add(-24*time.Hour))))
	mustDo(t, errorOf(s.Record(noon().Add(-time.Hour), []Sighting{{ID: "evt-reported", Proof: Report}, {ID: "evt-unlisted", Proof: Tap}})))
	mustDo(t, errorOf(s.Record(noon().Add(-time.Hour), []Sighting{{Fact: heygen.Fact{1, 2, 3}, Proof: Mirror}})))
	_, err := s.CommitPages(Pages{
		Kind: Poll, Walk: 1, Events: storyEvents(), Bad: []heygen.BadRow{{Reason: "no event_id", Bytes: 12, Sum: 99}}, Now: noon(),
		Checkpoint: Checkpoint{Segments: []Segment{{Start: noon(), Token: "page-2", Limit: 100}}},
	})
	mustDo(t, err, s.FinishWalk(walk(24*time.Hour, 0)))
	_, err = s.Decide(noon(), []Verdict{
		{ID: "evt-listed", Status: Listed, Why: "a source could not answer"},
		{ID: "evt-replayed", Status: Missed, Why: "listed and not seen"},
		{ID: "evt-dead", Status: Missed, Why: "listed and not seen"},
		{ID: "evt-missed", Status: Missed, Why: "listed and not seen"},
	})
	mustDo(t, err)
	mustDo(t, attemptStory(s, "evt-replayed", 200, Seen), attemptStory(s, "evt-dead", 422, Dead))
	_, err = s.Ignore(noon(), []string{"evt-ignored"}, "not wanted", "a tester")
	_, paused := s.Pause(noon(), "for the tests", "a tester")
	mustDo(t, err, paused, s.NotePass(Pass{Kind: "poll", Start: noon(), End: noon(), Listed: 7, Complete: true}))
	mustDo(t, s.update(true, func(t *tx) error {
		return t.setCheckpoint(heygen.Query{Type: "avatar_video.fail"}, Sweep, Checkpoint{Segments: []Segment{{Start: noon(), Token: "more", Limit: 10}}})
	}))
}

// attemptStory claims events until it has the one, and settles it.
func attemptStory(s *Store, id string, answer int, status Status) error {
	exclude := make(map[string]bool)
	for range 10 {
		c, _, err := s.Claim(ClaimRules{Now: noon(), Exclude: exclude})
		if err != nil || c == nil {
			return errors.Join(err, errors.New("it was not due"))
		}
		if c.Event.ID == id {
			_, err := s.Settle(Outcome{
				ID: id, Now: noon(), Status: status, Why: "the story",
				Attempt: Attempt{At: noon(), Status: answer, Latency: time.Second, Counted: true, Seq: c.Seq},
			})
			return err
		}
		exclude[c.Event.ID] = true
		if err := s.Release(c.Event.ID, noon()); err != nil {
			return err
		}
	}
	return errors.New("it was never claimed")
}

func errorOfTime(_ time.Time, err error) error { return err }

// mustTellTheStory reads back what liveTheStory wrote.
func mustTellTheStory(t *testing.T, s *Store) {
	t.Helper()
	got := make(map[string]string)
	mustDo(t, s.Events(t.Context(), Filter{}, func(r Row) error {
		got[r.Event.ID] = r.Status.String() + " " + r.Proof.String() + " " + r.Event.Type
		return nil
	}))
	want := map[string]string{
		"evt-settles":  "settling  avatar_video.success",
		"evt-reported": "seen report avatar_video.success",
		"evt-listed":   "listed  avatar_video.success",
		"evt-replayed": "seen replay avatar_video.success",
		"evt-dead":     "dead  avatar_video.success",
		"evt-missed":   "missed  avatar_video.success",
		"evt-ignored":  "ignored  avatar_video.success",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the events: %s", diff)
	}
	c := s.Counts()
	if c.Unlisted != 1 || c.Credits != 1 || c.Quarantined != 1 {
		t.Errorf("the counts are %+v", c)
	}
	row, err := s.Event("evt-dead")
	mustDo(t, err)
	if row == nil || len(row.Attempts) != 1 || row.Attempts[0].Status != 422 || row.Why != "the story" {
		t.Errorf("the dead one is %+v", row)
	}
	mustTellTheWalk(t, s)
}

func mustTellTheWalk(t *testing.T, s *Store) {
	t.Helper()
	p := mustPosition(t, s, heygen.Query{}, Poll)
	if !p.Mark.Equal(noon()) || len(p.Checkpoint.Segments) != 0 {
		t.Errorf("the position is %+v", p)
	}
	under := mustPosition(t, s, heygen.Query{Type: "avatar_video.fail"}, Sweep).Checkpoint
	if len(under.Segments) != 1 || under.Segments[0].Token != "more" {
		t.Errorf("the sweep under way is %+v", under)
	}
	ranges, err := s.Coverage(heygen.Query{})
	mustDo(t, err)
	if diff := cmp.Diff([]Range{{noon().Add(-24 * time.Hour), noon()}}, ranges); diff != "" {
		t.Errorf("the coverage: %s", diff)
	}
	baseline, _ := s.Baseline()
	if r := s.Receiver(); r.PausedBy != "a tester" || !baseline.Equal(noon().Add(-24*time.Hour)) || !s.Paired() {
		t.Errorf("paired %v, baseline %v, receiver %+v", s.Paired(), baseline, r)
	}
	passes, err := s.Passes(1)
	mustDo(t, err)
	if len(passes) != 1 || passes[0].Listed != 7 {
		t.Errorf("the last pass is %+v", passes)
	}
	acts, err := s.Acts(2)
	mustDo(t, err)
	if len(acts) != 2 || acts[0].What != "pause" || acts[0].Why != "for the tests" {
		t.Errorf("the last acts are %+v", acts)
	}
}
