package state

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// A number that a bit took back would be given out again.
func TestCheckFindsANumberThatWentBack(t *testing.T) {
	for _, name := range []string{bucketActs, bucketInbox} {
		s := mustOpen(t, optionsIn(t))
		_, err := s.Record(noon(), []Sighting{{ID: "evt_1", Proof: Report, At: noon()}})
		mustDo(t, errors.Join(err, s.Act(noon(), "ann", "anything", 1)))
		mustBeClean(t, s)
		mustDo(t, s.update(false, func(t *tx) error {
			t.dirty()
			return t.bucket(name).SetSequence(0)
		}))
		found, err := s.Check(t.Context(), true)
		mustDo(t, err)
		if len(found) != 1 || found[0].Bucket != name || !strings.Contains(found[0].What, "given out is 0") {
			t.Errorf("check found %+v in %s", found, name)
		}
	}
}

// TestCheckFindsALostEventType: a page that loses a key, by a flipped bit in its count, has no checksum that would tell.
func TestCheckFindsALostEventType(t *testing.T) {
	for number, want := range map[uint16]string{1: "it stands where number 1 belongs", 2: "its event type, number 2, has no name"} {
		s := lively(t)
		a, b := event("evt_a", "vid_1", "x", time.Hour), event("evt_b", "vid_2", "x", time.Hour)
		b.Type = "avatar_video.fail"
		for _, e := range []heygen.Event{a, b} { // in this order they get their numbers
			mustDo(t, errorOf(s.Record(noon(), []Sighting{{ID: e.ID, Proof: Report}})))
			listed(t, s, e)
		}
		mustBeClean(t, s)
		mustDo(t, s.update(false, func(t *tx) error {
			t.dirty()
			return t.bucket(bucketTypes).Delete(binary.BigEndian.AppendUint16(nil, number))
		}))
		found, err := s.Check(t.Context(), true)
		mustDo(t, err)
		if len(found) == 0 || found[0].What != want {
			t.Errorf("without number %d check found %+v, want first %q", number, found, want)
		}
	}
}
