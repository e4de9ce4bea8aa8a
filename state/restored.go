package state

import (
	"fmt"
	"time"
)

// Lost is the time that the last restore lost: from the last commit of the copy to the restore. What the receiver got in it, nobody knows
// any more. A zero To says that there was no restore, a zero From that the copy does not tell how old it is.
func (s *Store) Lost() Range { return s.settings().lost }

// LostWhy says in words why an event is withheld.
func LostWhy(lost Range) string {
	when := "before " + lost.To.UTC().Format(time.RFC3339)
	if !lost.From.IsZero() {
		when = fmt.Sprintf("between %s and %s", lost.From.UTC().Format(time.RFC3339), lost.To.UTC().Format(time.RFC3339))
	}
	return "withheld: what the receiver got " + when + " was lost with the state; replay or ignore it"
}

// restoredAt is the time of the last restore as the side file has it; 0: there was none.
func restoredAt(lost Range) int64 {
	if lost.To.IsZero() {
		return 0
	}
	return lost.To.UnixNano()
}

// judgeRestored refuses what a later restore has replaced: the lost file that comes back, however many commits it has, or a
// copy from before.
func judgeRestored(path string, side *sideFile, lost Range) error {
	if side == nil || side.Restored <= restoredAt(lost) {
		return nil
	}
	return fmt.Errorf("%w: %s is from before the restore of %s (%s); %s",
		ErrRolledBack, path, time.Unix(0, side.Restored).UTC().Format(time.RFC3339), sidePath(path), remedyOlder)
}

// decodeLost reads the time that was lost; zero where there was no restore.
func decodeLost(b []byte) Range {
	h := reader(b)
	return Range{From: h.moment(), To: h.moment()}
}

func encodeLost(lost Range) []byte { return appendMoment(appendMoment(nil, lost.From), lost.To) }

// lostSince is the time of the last commit. A file from before commits noted it tells the newest time that it knows.
func (s *Store) lostSince() (time.Time, error) {
	if !s.found.IsZero() {
		return s.found, nil
	}
	newest := s.settings().created
	acts, err := s.Acts(1)
	if err != nil {
		return newest, err
	}
	for _, act := range acts {
		newest = later(newest, act.At)
	}
	passes, err := s.Passes(1)
	if err != nil {
		return newest, err
	}
	for _, pass := range passes {
		newest = later(newest, pass.End)
	}
	marks, err := s.Marks()
	for _, mark := range marks {
		newest = later(newest, mark.Completed)
	}
	return second(newest), err
}

// lostTime is what is lost when this copy takes the place of the state that side speaks of. It is zero for the very state
// that was closed last: nothing came after it.
func (s *Store) lostTime(side *sideFile, now time.Time) (Range, error) {
	m := s.settings()
	if side != nil && side.Clean && side.State == m.uuid && side.Generation == s.generation.Load() && side.Restored == restoredAt(m.lost) {
		return Range{}, nil
	}
	from, err := s.lostSince()
	if err != nil {
		return Range{}, err
	}
	// Each restore is later than the one before, whatever the clock says.
	to := later(now.UTC(), later(from, m.lost.To.Add(1)))
	if side != nil && side.Restored > 0 {
		to = later(to, time.Unix(0, side.Restored+1).UTC())
	}
	return Range{From: from, To: to}, nil
}

// withholdSome is how many records one transaction of withholdAll changes.
const withholdSome = 500

// withholdAll withholds every event of the copy that was about to be sent: it may have been sent, or reported, in the lost
// time. Those that are not judged yet are withheld when they are. It returns how many there are.
func (s *Store) withholdAll(now time.Time, lost Range) (n int, err error) {
	for _, stage := range []byte{stageLive, stageOld} {
		for next, more := (place{}), true; more; {
			var changed int
			err := s.update(false, func(t *tx) (err error) {
				changed, next, err = t.withholdFrom(stage, next, now, lost)
				return err
			})
			if err != nil {
				return n, fmt.Errorf("withhold what was about to be sent: %w", err)
			}
			n += changed
			more = changed == withholdSome
		}
	}
	return n, nil
}

// withholdFrom withholds some events of a stage from a place on, and returns the place to go on from.
func (t *tx) withholdFrom(stage byte, from place, now time.Time, lost Range) (n int, next place, err error) {
	var places []place
	t.stageRows(stage, from, func(p place, _ entry) bool {
		places = append(places, p)
		return len(places) < withholdSome
	})
	for _, p := range places {
		if err := t.withhold(p.id, now, lost); err != nil {
			return 0, from, fmt.Errorf("event %q: %w", p.id, err)
		}
		next = place{p.created, p.id + "\x00"} // the place right behind
	}
	return len(places), next, nil
}

func (t *tx) withhold(id string, now time.Time, lost Range) error {
	old, r, err := t.reopen(id)
	if err != nil || old == nil {
		return err
	}
	if last := r.last(); last != nil && last.Open {
		last.Open, last.Error = false, interrupted
	}
	r.status, r.withheld, r.manual, r.due, r.at = Missed, true, false, time.Time{}, now
	r.why = "it was to be sent by the copy that was restored; " + LostWhy(lost)
	return t.saveOpen(old, r)
}
