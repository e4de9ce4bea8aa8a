package state

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"backstop/internal/heygen"
)

// ClaimRules say which event may be claimed, and when its next attempt is.
type ClaimRules struct {
	Now                    time.Time
	Lane                   Lane            // preferred; the other is used when it has nothing due
	Manual                 bool            // only events that a person asked for
	Exclude                map[string]bool // ids
	BackoffMin, BackoffMax time.Duration   // used when Next is nil; 0: 5 s and 1 h
	Next                   func(attempt int) time.Duration
	Probe                  bool // prefer the due event whose last attempt is longest ago
	// Asked reports whether the sources were asked about an event a moment ago. The first in turn of which it is false is
	// not claimed, but given back with ErrAsk. nil: there is nobody to ask.
	Asked func(id string) bool
}

// ErrAsk says that the sources must be asked before the next event is claimed; see Due.
var ErrAsk = errors.New("the sources were not asked about the next event")

// Claim is the permission to send one event once. It ends with Settle or Release.
type Claim struct {
	Event   heygen.Event // with Data
	Attempt int          // 1 for the first; every attempt is counted, also those that do not count towards dead
	Seq     uint64       // the number of this attempt, for Attempt.Seq
	Reason  Reason
	Lane    Lane
	Why     string
	Listed  time.Time
	History []Attempt // the attempts before this one, oldest first
}

// interrupted is the outcome of an attempt that a crash left open: nobody knows whether it arrived.
const interrupted = "interrupted: stopped before the answer"

// next is the delay to the attempt after this one.
func (r ClaimRules) next(attempt int) time.Duration {
	if r.Next != nil {
		return r.Next(attempt)
	}
	wait, most := r.BackoffMin, r.BackoffMax
	if wait <= 0 {
		wait = 5 * time.Second
	}
	if most <= 0 {
		most = time.Hour
	}
	for i := 1; i < attempt && wait < most; i++ {
		wait *= 2
	}
	return min(wait, most)
}

// Claim picks the oldest due event whose entity is free, counts its attempt and times the next one, all before anything is
// sent. An entity is free when no older event of it is missed or replaying in either lane, and no attempt for it is under
// way in this process; where only manual events are claimed, only manual ones hold. Withheld events are never claimed and hold
// nobody. Recorders are read again in the
// transaction: an event with proof becomes seen, and the next one is tried. A nil Claim says that nothing is due; wait is
// then the time until something is, 0 when nothing waits (Settle, QueueRun and Decide may change that at any time).
//
// A crash after the commit leaves an open attempt: the next start finds the event due at the time that was written with it,
// asks the recorders again, and sends the same id. At most those in flight are sent twice.
func (s *Store) Claim(r ClaimRules) (c *Claim, wait time.Duration, err error) {
	for {
		var id string
		err := s.view(func(t *tx) error {
			id, wait, err = t.pick(r)
			return err
		})
		if err != nil || id == "" {
			return nil, wait, err
		}
		if r.Asked != nil && !r.Asked(id) {
			return nil, 0, ErrAsk
		}
		err = s.update(false, func(t *tx) error {
			c, err = t.intend(r, id)
			return err
		})
		if err != nil {
			return nil, 0, fmt.Errorf("claim %q: %w", id, err)
		}
		if c != nil {
			return c, 0, nil
		}
		// It turned seen, was taken, or its record is damaged and gone: look again.
	}
}

// Due lists the events about which the sources are to be asked: the first in turn, and up to limit that are due, in the
// order of each lane, with the second ids of their facts. They come with their data, but for one whose record can't be
// read: it is claimed to be moved out of the way. Some may wait for another one of their entity.
func (s *Store) Due(r ClaimRules, limit int) (events []heygen.Event, err error) {
	err = s.view(func(t *tx) error {
		first, _, err := t.pick(r)
		if err != nil || first == "" {
			return err
		}
		for _, id := range t.dueAfter(first, r, limit) {
			events = append(events, t.asked(id))
			for _, twin := range t.twinsOf(id) {
				events = append(events, t.asked(twin))
			}
		}
		return nil
	})
	return events, err
}

// Claimed tells where an event stands that was claimed; Replaying: it is still to be sent.
func (s *Store) Claimed(id string) (Status, error) {
	row, err := s.Event(id)
	if row == nil || err != nil {
		return 0, err
	}
	return row.Status, nil
}

func (t *tx) asked(id string) heygen.Event {
	r, err := t.readOpen(id, true)
	if err != nil || r == nil {
		return heygen.Event{ID: id}
	}
	return r.event()
}

// dueAfter lists ids that are due, behind the first in turn, each lane in its order. The old lane has a quarter of the
// limit, or more where the live one leaves it.
func (t *tx) dueAfter(first string, r ClaimRules, limit int) []string {
	live, old := t.dueIn(stageLive, first, r, limit-1), t.dueIn(stageOld, first, r, limit-1)
	old = old[:min(len(old), max(limit/4, limit-1-len(live)))]
	live = live[:min(len(live), limit-1-len(old))]
	return slices.Concat([]string{first}, live, old)
}

// dueIn lists ids that are due in one lane.
func (t *tx) dueIn(stage byte, but string, r ClaimRules, limit int) (ids []string) {
	t.stageRows(stage, place{}, func(p place, e entry) bool {
		if len(ids) < limit && p.id != but && t.claimable(r, p, e) && !e.due.After(r.Now) {
			ids = append(ids, p.id)
		}
		return len(ids) < limit
	})
	return ids
}

// claimable reports whether an event may be claimed as far as it itself goes, once it is due.
func (t *tx) claimable(r ClaimRules, p place, e entry) bool {
	return !e.withheld && !r.Exclude[p.id] && (!r.Manual || e.manual) && !t.flies(p.id)
}

// pick chooses an event, first in the preferred lane.
func (t *tx) pick(r ClaimRules) (id string, wait time.Duration, err error) {
	var soonest time.Time
	lanes := []byte{stageLive, stageOld}
	if r.Lane == Old {
		lanes = []byte{stageOld, stageLive}
	}
	for _, stage := range lanes {
		if id := t.pickIn(stage, r, &soonest); id != "" {
			return id, 0, nil
		}
	}
	if soonest.IsZero() {
		return "", 0, nil
	}
	return "", max(soonest.Sub(r.Now), time.Millisecond), nil
}

// pickIn chooses in one lane: the oldest, or for a probe the one that was tried longest ago.
func (t *tx) pickIn(stage byte, r ClaimRules, soonest *time.Time) (id string) {
	var tried time.Time
	t.stageRows(stage, place{}, func(p place, e entry) bool {
		if !t.claimable(r, p, e) {
			return true
		}
		if e.due.After(r.Now) {
			if soonest.IsZero() || e.due.Before(*soonest) {
				*soonest = e.due
			}
			return true
		}
		if id != "" && !e.tried.Before(tried) || t.held(p, e.entity, r.Manual) {
			return true
		}
		id, tried = p.id, e.tried
		return r.Probe && !tried.IsZero()
	})
	return id
}

func (t *tx) flies(id string) bool {
	_, ok := t.flightOf(id)
	return ok
}

// held reports whether an event must wait for another one of its entity.
func (t *tx) held(p place, entity uint64, manual bool) (held bool) {
	if entity == 0 {
		return false
	}
	if t.entityFlies(entity) {
		return true
	}
	prefix := appendNumber([]byte{byEntity}, entity)
	t.prefixRows(prefix, len(prefix), func(key, payload []byte) bool {
		older := placeOf(key[len(prefix):])
		if !older.before(p) {
			return false
		}
		asked := reader(payload)
		if !manual || asked.one() != 0 {
			// One whose record is damaged holds nobody: it goes to the quarantine when a writer meets it.
			r, err := t.readOpen(older.id, false)
			held = err != nil || r != nil
		}
		return !held
	})
	return held
}

// intend checks the choice again and writes the intent down.
func (t *tx) intend(r ClaimRules, id string) (*Claim, error) {
	old, rec, err := t.reopen(id)
	if err != nil || old == nil {
		return nil, err
	}
	waits := old.stage() == stageLive || old.stage() == stageOld
	if !waits || old.withheld || old.due.After(r.Now) || r.Manual && !old.manual || t.flies(id) || t.held(old.place(), old.entry().entity, r.Manual) {
		return nil, nil
	}
	if done, err := t.provenNow(r.Now, old); done || err != nil {
		return nil, err
	}
	seq, err := t.bucket(bucketOpen).NextSequence()
	if err != nil {
		return nil, fmt.Errorf("number the attempt: %w", err)
	}
	if last := rec.last(); last != nil && last.Open {
		last.Open, last.Error = false, interrupted
	}
	c := &Claim{
		Event: rec.event(), Attempt: rec.sent + 1, Seq: seq, Reason: rec.reason, Lane: rec.lane, Why: rec.why,
		Listed: rec.listed, History: rec.history(),
	}
	if c.Reason == "" {
		c.Reason = ReasonMissed
	}
	rec.sent++
	rec.attempts = addAttempt(rec.attempts, Attempt{At: r.Now, Seq: seq, Open: true})
	rec.due = r.Now.Add(r.next(c.Attempt))
	if rec.status != Replaying {
		rec.status, rec.at = Replaying, r.Now
	}
	t.fly(id, flight{entity: old.entry().entity, created: old.created})
	return c, t.saveOpen(old, rec)
}

// provenNow reads the recorders for an event that is about to be sent, and finishes it where they know it.
func (t *tx) provenNow(now time.Time, r *record) (bool, error) {
	sp := make(spent)
	n, ok, err := t.lateProof(sp, r.id)
	if err != nil {
		return false, err
	}
	if ok {
		if err := t.take(sp); err != nil {
			return false, err
		}
		return true, t.recordOpen(now, r, n, nil)
	}
	c, ok := t.creditFor(r.fact, r.created, 0)
	if !ok {
		return false, nil
	}
	err = t.credited(now, r, c, sp)
	return true, errors.Join(err, t.take(sp))
}
