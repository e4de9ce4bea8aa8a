package state

import (
	"errors"
	"strings"
	"testing"
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
