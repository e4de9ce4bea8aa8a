package state

import (
	"testing"
	"time"

	"backstop/internal/heygen"
)

func TestRecordReadKeepsThePositionWithWhatWasRead(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	position, err := s.ReadPosition("log a")
	mustDo(t, err)
	if position != nil {
		t.Errorf("position before anything was read = %q, want none", position)
	}
	mustDo(t, s.RecordRead(noon(), []Sighting{{ID: "evt-1", Proof: Log}}, "log a", []byte("at 100")))
	mustClose(t, s)
	s = mustOpen(t, o)
	position, err = s.ReadPosition("log a")
	mustDo(t, err)
	if string(position) != "at 100" || !s.Paired() {
		t.Errorf("position = %q, paired %v; want the one kept, and paired", position, s.Paired())
	}
	tally, err := s.CommitPages(Pages{Kind: Poll, Walk: 1, Events: []heygen.Event{event("evt-1", "video-1", "a", time.Hour)}, Now: noon()})
	mustDo(t, err)
	if tally.Seen != 1 {
		t.Errorf("seen = %d, want the event that was read", tally.Seen)
	}
	mustBeClean(t, s)
}

func TestRecordReadWritesNothingNew(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	mustDo(t, s.RecordRead(noon(), nil, "log a", []byte("at 100")))
	before := s.generation.Load()
	mustDo(t, s.RecordRead(noon().Add(time.Minute), nil, "log a", []byte("at 100")))
	if after := s.generation.Load(); after != before {
		t.Errorf("%d commits for nothing new, want none", after-before)
	}
	if s.Paired() {
		t.Error("reading a log without an event pairs; it says nothing")
	}
}
