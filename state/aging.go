package state

import (
	"time"

	"backstop/internal/heygen"
)

// A value of the inbox ages after an hour, when the listing has moved on past it, or when the inbox is large: its ids move,
// sorted, to the bucket reported, a bounded number at a time and not too often.
const (
	ageAfter   = time.Hour
	ageEvery   = time.Minute
	ageMost    = 20_000
	ageDays    = 4      // ledger days that are read for ids already known
	ageMargin  = 50_000 // ids in the inbox beyond which the listing is not waited for
	sweepMost  = 5_000  // entries of reported that are looked at for retention, and credits that lapse
	reviveMost = 1_000  // dead and withheld events that are looked at for a late push
)

// moved is how far the mark must be past a report before its event should have been listed.
const moved = 5 * time.Minute

// elder is a part of the inbox that is old enough to move.
type elder struct {
	list  []named
	seq   map[string]uint64
	moved bool
}

// age moves old reports out of memory and lets credits and imports lapse.
//
// A crash leaves every id in one place, the old or the new: each move is one transaction.
func (s *Store) age(now time.Time) error {
	if !s.rows.ageDue(now) {
		return nil
	}
	past, err := s.passed(now)
	if err != nil {
		return err
	}
	var old elder
	known := make(map[string]place)
	err = s.view(func(t *tx) error {
		old = t.elders(now, past)
		t.knownAmong(old.list, known)
		return nil
	})
	if err != nil {
		return err
	}
	return s.update(false, func(t *tx) error {
		if err := t.lapse(now); err != nil {
			return err
		}
		if err := t.revive(now); err != nil {
			return err
		}
		return t.move(now, old, known)
	})
}

// ageDue reports whether something may be old, not more often than each ageEvery.
func (r *rows) ageDue(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if since := now.Sub(r.aged); since >= 0 && since < ageEvery {
		return false
	}
	r.aged = now
	return true
}

// passed is the time up to which everything reported should have been listed; zero when nothing was walked lately.
func (s *Store) passed(now time.Time) (time.Time, error) {
	marks, err := s.Marks()
	if err != nil {
		return time.Time{}, err
	}
	var lowest time.Time
	for _, p := range marks {
		if p.Mark.IsZero() || p.Completed.Before(now.Add(-24*time.Hour)) {
			continue
		}
		if lowest.IsZero() || p.Mark.Before(lowest) {
			lowest = p.Mark
		}
	}
	if lowest.IsZero() {
		return lowest, nil
	}
	return lowest.Add(-moved), nil
}

// elders collects the ids of the oldest inbox values that may move, all of one kind: passed by the listing, or not.
func (t *tx) elders(now, past time.Time) elder {
	old := elder{seq: make(map[string]uint64)}
	t.s.rows.mu.Lock()
	crowded := len(t.s.rows.inbox) > ageMargin
	t.s.rows.mu.Unlock()
	t.each(t.bucket(bucketInbox), func(key, payload []byte) bool {
		recorded, list := decodeInbox(payload)
		if !recorded.Before(now.Add(-ageAfter)) || len(old.list) >= ageMost {
			return false
		}
		gone := allBefore(list, past)
		if !gone && !crowded {
			return true
		}
		if len(old.list) > 0 && gone != old.moved {
			return false
		}
		old.moved = gone
		for _, n := range list {
			old.list = append(old.list, n)
			old.seq[n.id] = numberAt(key)
		}
		return true
	})
	return old
}

func allBefore(list []named, past time.Time) bool {
	for _, n := range list {
		if !n.at.Before(past) {
			return false
		}
	}
	return true
}

// knownAmong reads the ledger days around the arrival of the reports for ids that are there already: events that were
// finished before this process, and whose report came after.
func (t *tx) knownAmong(list []named, known map[string]place) {
	wanted := make(map[string]bool, len(list))
	days := make(map[uint32]bool)
	for _, n := range list {
		wanted[n.id] = true
		for _, day := range []uint32{dayOf(n.at), dayOf(n.at.Add(-creditBefore))} {
			if len(days) < ageDays {
				days[day] = true
			}
		}
	}
	for day := range days {
		t.locateIn(day, wanted, known)
	}
}

// move takes ids out of the inbox: known ones strengthen their line, others go to reported.
func (t *tx) move(now time.Time, old elder, known map[string]place) error {
	sp := make(spent)
	var rest []named
	for _, n := range old.list {
		one, ok := t.inboxOf(n.id)
		if !ok || one.seq != old.seq[n.id] {
			continue // listed, forgotten or reported again meanwhile
		}
		t.leave(sp, n.id, one)
		p, ok := known[n.id]
		if !ok {
			rest = append(rest, n)
			continue
		}
		if err := t.meet(now, p, n); err != nil {
			return err
		}
	}
	if err := t.take(sp); err != nil {
		return err
	}
	return t.addReported(rest, old.moved)
}

// meet notes that a reported id is a finished event's.
func (t *tx) meet(now time.Time, p place, n named) error {
	t.dirty()
	if err := t.matched(now, n, heygen.Fact{}); err != nil {
		return err
	}
	l, ok, err := t.ledgerLine(p)
	if err != nil || !ok {
		return err
	}
	return t.strengthen(now, p, l, n.proof, n.at)
}

// strengthen gives a finished event a better proof: a seen one a stronger, an ignored one its first.
func (t *tx) strengthen(now time.Time, p place, l line, proof Proof, at time.Time) error {
	better, ok := l.strengthened(proof, at)
	if !ok {
		return nil
	}
	if t.hand != 0 && l.status == Ignored { // a person changed their mind: the line was told of before, and now this
		d := t.storyAt(p)
		d.acts = addAct(d.acts, t.hand)
		better.flags |= flagDetails
		if err := t.putStory(p, d); err != nil {
			return err
		}
	}
	return t.putLine(now, p, &l, better)
}

// strengthened is the line with a proof; false where that says nothing new.
func (l line) strengthened(proof Proof, at time.Time) (better line, ok bool) {
	if l.status == Seen && !proof.Stronger(l.proof) {
		return l, false
	}
	l.status, l.proof, l.at = Seen, proof, at
	l.flags &^= flagTwin | flagContent
	return l, true
}

// revive lets pushes that came with another id account for events that are dead or withheld: nothing else looks at those.
func (t *tx) revive(now time.Time) error {
	if !t.s.rows.linked() {
		return nil
	}
	sp := make(spent)
	for _, stage := range []byte{stageDead, stageLive} {
		var places []place
		t.stageRows(stage, place{}, func(p place, e entry) bool {
			if stage == stageDead || e.withheld {
				places = append(places, p)
			}
			return len(places) < reviveMost
		})
		for _, p := range places {
			if err := t.reviveOne(now, p.id, sp); err != nil {
				return err
			}
		}
	}
	return t.take(sp)
}

func (t *tx) reviveOne(now time.Time, id string, sp spent) error {
	r, err := t.open(id)
	if err != nil || r == nil {
		return err
	}
	c, ok := t.creditFor(r.fact, r.created, 0)
	if !ok {
		return nil
	}
	return t.credited(now, r, c, sp)
}

// lapse drops credits that account for nothing any more, and a bounded part of the reported ids beyond retention.
func (t *tx) lapse(now time.Time) error {
	t.after(func() { t.s.rows.forgetTold(now) })
	for _, c := range t.s.rows.lapsed(now) {
		if t.over().credits[c.seq] {
			continue
		}
		if err := t.spend(c); err != nil {
			return err
		}
	}
	behind, ok := t.s.behind(now)
	if !ok {
		return nil
	}
	return t.lapseReported(behind)
}

func (t *tx) lapseReported(before time.Time) error {
	old := make(map[string]sorted)
	b := t.bucket(bucketReported)
	c := b.Cursor()
	n := 0
	k, v := c.Seek([]byte(t.s.rows.swept))
	for ; k != nil && n < sweepMost; k, v = c.Next() {
		n++
		if payload, ok := unseal(k, v); ok {
			if o := decodeSorted(payload); o.at.Before(before) {
				old[string(k)] = o
			}
		}
	}
	next := string(k) // "" at the end: from the start again
	t.after(func() { t.s.rows.swept = next })
	for id, o := range old {
		if err := t.dropReported(id, o); err != nil {
			return err
		}
	}
	return nil
}
