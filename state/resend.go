package state

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"backstop/internal/heygen"
)

// Resends is what a forced or shadow run has to send, as a Replayer takes it. Each run has one at a time, which belongs to
// whoever sends it; its methods may be called from several goroutines.
//
// An intent is written before each POST, as in the ordinary queue. What of a forced run arrived is told in the ledger; a
// shadow run leaves the events as they are, and what it learns of its receiver is kept in memory.
type Resends struct {
	s      *Store
	id     uint64
	shadow bool

	mu       sync.Mutex
	flying   map[string]*record // guarded by mu; without their data
	receiver Receiver           // guarded by mu; of a shadow run
}

// Resends gives the queue of a run.
func (s *Store) Resends(r Run) *Resends {
	return &Resends{s: s, id: r.ID, shadow: r.Kind == RunShadow, flying: make(map[string]*record)}
}

// Receiver is what was learned about the receiver that the run sends to.
func (q *Resends) Receiver() Receiver {
	if !q.shadow {
		return q.s.Receiver()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.receiver.clone()
}

// Paired is true: a person asked for all that a run sends.
func (q *Resends) Paired() bool { return true }

// Counts tells how many events wait, as missed ones.
func (q *Resends) Counts() (c Counts) {
	if r, err := q.s.Run(q.id); err == nil {
		c.Status = map[Status]int64{Missed: r.Waiting}
	}
	return c
}

// Claim is [Store.Claim] for the run: the oldest event that is due, whose entity is in no flight, here or in the ordinary
// queue, and has no older one that waits in the run. One of a forced run that turns out to be unfinished goes to the ordinary
// queue instead, and is sent from there. Manual, Lane and Asked of the rules don't count.
func (q *Resends) Claim(r ClaimRules) (c *Claim, wait time.Duration, err error) {
	for {
		var key []byte
		var held map[string]bool
		err := q.s.view(func(t *tx) error {
			key, held, wait = q.pick(t, r)
			return nil
		})
		if err != nil || key == nil {
			return nil, wait, err
		}
		gone := false
		err = q.s.update(false, func(t *tx) error {
			c, gone, err = q.intend(t, r, key, held)
			return err
		})
		if err != nil {
			return nil, 0, fmt.Errorf("claim for run %d: %w", q.id, err)
		}
		if c != nil || gone {
			return c, 0, nil
		}
	}
}

// pick chooses the key of the next event, and tells of which entities an older one waits.
func (q *Resends) pick(t *tx, r ClaimRules) (key []byte, held map[string]bool, wait time.Duration) {
	b := t.sub(bucketResends, q.id)
	if b == nil {
		return nil, nil, 0
	}
	var soonest, tried time.Time
	held = make(map[string]bool)
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		one, ok := resend(k, v, false)
		if !ok {
			return slices.Clone(k), held, 0 // to be moved out of the way
		}
		last := time.Time{}
		if a := one.last(); a != nil {
			last = a.At
		}
		switch {
		case r.Exclude[one.id]:
		case one.due.After(r.Now):
			if soonest.IsZero() || one.due.Before(soonest) {
				soonest = one.due
			}
		case held[one.entity], q.busy(t, one):
		case key == nil || last.Before(tried):
			key, tried = slices.Clone(k), last
			if !r.Probe || tried.IsZero() {
				return key, held, 0
			}
		}
		if one.entity != "" {
			held[one.entity] = true
		}
	}
	if key == nil && !soonest.IsZero() {
		wait = max(soonest.Sub(r.Now), time.Millisecond)
	}
	return key, held, wait
}

// Due is [Store.Due] for the run, but that it gives the first in turn alone, without its data.
func (q *Resends) Due(r ClaimRules, _ int) (events []heygen.Event, err error) {
	err = q.s.view(func(t *tx) error {
		if key, _, _ := q.pick(t, r); key != nil {
			events = append(events, heygen.Event{ID: placeOf(key).id})
		}
		return nil
	})
	return events, err
}

// Claimed is Replaying: whatever becomes known of an event meanwhile, it was asked for.
func (q *Resends) Claimed(string) (Status, error) { return Replaying, nil }

// busy reports whether an attempt for the event or its entity is under way.
func (q *Resends) busy(t *tx, r *record) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.flying[r.id] != nil {
		return true
	}
	for _, f := range q.flying {
		if r.entity != "" && f.entity == r.entity {
			return true
		}
	}
	return !q.shadow && (t.flies(r.id) || t.entityFlies(heygen.HashEntity(r.entity)))
}

// intend checks the choice again and writes the intent down. gone says that the run was cancelled.
func (q *Resends) intend(t *tx, rules ClaimRules, key []byte, held map[string]bool) (c *Claim, gone bool, err error) {
	run, err := t.run(q.id)
	if err != nil {
		return nil, false, err
	}
	b := t.sub(bucketResends, q.id)
	if b == nil || !run.Cancelled.IsZero() || run.Ready.IsZero() {
		return nil, true, nil
	}
	sealed := b.Get(key)
	if sealed == nil {
		return nil, false, nil
	}
	r, ok := resend(key, sealed, true)
	if !ok {
		return nil, false, t.spoilResend(rules.Now, run, key)
	}
	if r.due.After(rules.Now) || q.busy(t, r) {
		return nil, false, nil
	}
	if moved, err := q.toQueue(t, rules.Now, run, r); moved || err != nil {
		return nil, false, errors.Join(err, q.moreToQueue(t, rules.Now, key, held))
	}
	number := b
	if !q.shadow {
		number = t.bucket(bucketOpen) // attempts at one receiver are counted together
	}
	seq, err := number.NextSequence()
	if err != nil {
		return nil, false, fmt.Errorf("number the attempt: %w", err)
	}
	c = r.intend(rules, seq)
	q.fly(t, r)
	return c, false, t.put(b, key, r.encode())
}

// intend counts an attempt of a resend and times the next one.
func (r *record) intend(rules ClaimRules, seq uint64) *Claim {
	if last := r.last(); last != nil && last.Open {
		last.Open, last.Error = false, interrupted
	}
	c := &Claim{
		Event: r.event(), Attempt: r.sent + 1, Seq: seq, Reason: ReasonForced, Why: r.why, Listed: r.listed,
		History: slices.Clone(r.attempts),
	}
	r.sent++
	r.attempts = addAttempt(r.attempts, Attempt{At: rules.Now, Seq: seq, Open: true})
	r.due = rules.Now.Add(rules.next(c.Attempt))
	r.status = Replaying
	return c
}

// moreToQueue hands over what comes right behind an event that was: one transaction for many, for whoever else wants to send
// waits meanwhile.
func (q *Resends) moreToQueue(t *tx, now time.Time, key []byte, held map[string]bool) error {
	for range runBite {
		k, sealed := t.sub(bucketResends, q.id).Cursor().Seek(key)
		if k == nil {
			return nil
		}
		r, ok := resend(k, sealed, false)
		if !ok || r.due.After(now) || held[r.entity] || q.busy(t, r) {
			return nil
		}
		run, err := t.run(q.id)
		if err != nil {
			return err
		}
		if moved, err := q.toQueue(t, now, run, r); !moved || err != nil {
			return err
		}
	}
	return nil
}

// toQueue hands an event that is unfinished over to the ordinary queue: it is not sent twice. It had not arrived, and its
// reason stays what it was queued for.
func (q *Resends) toQueue(t *tx, now time.Time, run Run, r *record) (moved bool, err error) {
	if q.shadow {
		return false, nil
	}
	old, changed, err := t.reopen(r.id)
	if err != nil || old == nil || old.status == Seen { // a twin is sent as what is seen is
		return false, err
	}
	run.Waiting--
	if err := t.putRun(run); err != nil {
		return true, err
	}
	if err := t.handOver(run.ID, r); err != nil {
		return true, err
	}
	_, err = t.requeue(now, requeue{who: run.Who, run: run.ID, act: run.Act})(t, old, changed)
	return true, err
}

// handOver notes among what a run has done with that the ordinary queue sends an event.
func (t *tx) handOver(id uint64, r *record) error {
	resent, err := t.makeSub(bucketResent, id)
	if err != nil {
		return err
	}
	key, told := r.place().key(), *r
	told.status, told.data = Missed, nil
	return errors.Join(t.put(resent, key, told.encode()), t.delete(t.sub(bucketResends, id), key))
}

// resendFlight is how an attempt of a run is noted among those under way: which run makes it, and for which event.
func resendFlight(run uint64, id string) string { return string(appendNumber([]byte{0}, run)) + id }

func (q *Resends) fly(t *tx, r *record) {
	t.fly(resendFlight(q.id, r.id), flight{created: r.created})
	if !q.shadow {
		t.fly(r.id, flight{entity: heygen.HashEntity(r.entity), created: r.created})
	}
	flown := *r
	flown.data = nil
	t.after(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.flying[r.id] = &flown
	})
}

// land ends the flight of an event and returns it as it was claimed.
func (q *Resends) land(t *tx, id string) *record {
	t.land(resendFlight(q.id, id))
	if !q.shadow {
		t.land(id)
	}
	t.after(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.flying, id)
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.flying[id]
	if r == nil {
		return nil
	}
	flown := *r
	flown.attempts = slices.Clone(r.attempts)
	return &flown
}
