package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"backstop/state"
)

const (
	growthDays  = 120
	keptDays    = 30
	growthShare = 200 // a day has one in so many of the ids of the large state
)

// fileGrowth lives through many days that are alike and compares the size of the
// file at the end with the one when the first day was dropped.
func (b *bench) fileGrowth(_ context.Context) (err error) {
	aDay := max(b.o.held/growthShare/1000, 1) * 1000
	h := history{begin: time.Now().Add(-(growthDays + 1) * 24 * time.Hour).Truncate(24 * time.Hour), step: 24 * time.Hour / time.Duration(aDay)}
	l := large{path: filepath.Join(b.dir, "growth.db"), history: h}
	s, err := state.Open(l.options(l.path, keptDays*24*time.Hour))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(), removeState(l.path)) }()
	var early int64
	for day := range growthDays {
		if _, _, err := l.record(s, day*aDay, aDay/1000, 1000); err != nil {
			return err
		}
		last := (day+1)*aDay - 1
		if err := s.FinishWalk(h.walked(last)); err != nil {
			return err
		}
		if _, err := s.Prune(h.created(last)); err != nil {
			return err
		}
		if day == keptDays {
			early, err = s.Size()
		}
		if err != nil {
			return err
		}
	}
	late, err := s.Size()
	b.add(atMost("9", fmt.Sprintf("the file after %d days of %d ids, %d days kept, against day %d", growthDays, aDay, keptDays, keptDays), 1.25, "×",
		[]float64{float64(late) / float64(early)}))
	return err
}
