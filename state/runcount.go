package state

import (
	"errors"
	"time"
)

// fate is what became of an event of a run.
type fate int

const (
	fateNone fate = iota // it is of no run
	fateWaiting
	fateSeen
	fateDead
	fateIgnored
	fateLeft
)

// count is the counter of a fate; nil for none.
func (r *Run) count(f fate) *int64 {
	switch f {
	case fateWaiting:
		return &r.Waiting
	case fateSeen:
		return &r.Seen
	case fateDead:
		return &r.Dead
	case fateIgnored:
		return &r.Ignored
	case fateLeft:
		return &r.Left
	}
	return nil
}

// fate of an unfinished event in its run. What is not manual any more was taken back.
func (r *record) fate() fate {
	switch {
	case r == nil || r.run == 0:
		return fateNone
	case !r.manual:
		return fateLeft
	case r.status == Dead:
		return fateDead
	}
	return fateWaiting
}

func endFate(status Status) fate {
	if status == Ignored {
		return fateIgnored
	}
	return fateSeen
}

// runOpen keeps the counters of runs in step with an unfinished event: old is nil where it is new.
func (t *tx) runOpen(now time.Time, old, r *record) error {
	from, to := old.fate(), r.fate()
	switch {
	case from == fateNone || old.run == r.run:
		return t.runMoved(now, r.run, from, to)
	}
	return errors.Join(t.runMoved(now, old.run, from, fateLeft), t.runMoved(now, r.run, fateNone, to))
}

// runMoved counts one event of a run from one fate to another. What a run has ended with stays.
func (t *tx) runMoved(now time.Time, id uint64, from, to fate) error {
	if id == 0 || from == to {
		return nil
	}
	r, err := t.run(id)
	if errors.Is(err, ErrNoRun) || errors.Is(err, errBadRecord) || err == nil && !r.Ended.IsZero() {
		return nil // pruned, or damaged: an event must not wait for what only counts it
	}
	if err != nil {
		return err
	}
	if n := r.count(from); n != nil && *n > 0 {
		*n--
	}
	if n := r.count(to); n != nil {
		*n++
	}
	return t.endRun(now, r)
}
