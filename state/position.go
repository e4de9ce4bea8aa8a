package state

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ReadPosition returns how far a source of many records, such as a log, has been read: what RecordRead was given last for
// the source, nil when there is nothing. A damaged one counts as none: what is read again is known already.
func (s *Store) ReadPosition(source string) (position []byte, err error) {
	err = s.view(func(t *tx) error {
		payload, ok, err := t.get(t.bucket(bucketPositions), []byte(source))
		if ok && err == nil {
			position = slices.Clone(payload)
		}
		if errors.Is(err, errBadRecord) {
			return nil
		}
		return err
	})
	return position, err
}

// RecordRead is Record of what was read from a source, and keeps the position behind it. Where neither is anything new
// nothing is written.
//
// Both are one transaction: after a crash the source is read on from the position that fits what was recorded.
func (s *Store) RecordRead(now time.Time, seen []Sighting, source string, position []byte) error {
	before, err := s.ReadPosition(source)
	if err != nil || len(seen) == 0 && bytes.Equal(before, position) {
		return err
	}
	err = s.update(true, func(t *tx) error {
		if _, err := t.record(now, seen); err != nil {
			return err
		}
		return t.put(t.bucket(bucketPositions), []byte(source), position)
	})
	if err != nil {
		return fmt.Errorf("record what was read from %s: %w", source, err)
	}
	return nil
}
