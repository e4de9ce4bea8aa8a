package state

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// Notices is what people were told of trouble and what waits to be told, so that a restart neither repeats nor forgets it. What
// the alarms mean is the business of whoever tells; the state counts what happens to events, in the transaction in which it
// happens.
type Notices struct {
	Alarms   map[string]Alarm `json:"alarms,omitempty"` // by condition
	Replayed News             `json:"replayed,omitzero"`
	Dead     News             `json:"dead,omitzero"`
}

// Alarm is one condition: how it stands, and what was told of it.
type Alarm struct {
	Holds bool      `json:"holds,omitempty"`
	Since time.Time `json:"since,omitzero"` // when it began, the first time that is not over or not told
	Ended time.Time `json:"ended,omitzero"` // when it was last over
	Cause string    `json:"cause,omitempty"`
	Times int       `json:"times,omitempty"` // how often it began, or changed its cause, and nobody was told
	Open  bool      `json:"open,omitempty"`  // an alarm was told, and its end was not
	Told  time.Time `json:"told,omitzero"`   // when an alarm was told last
	Total int       `json:"total,omitempty"` // events told of since the alarm was opened
}

// News counts events that something happened to and that nobody was told of.
type News struct {
	Count  int            `json:"count,omitempty"`
	First  time.Time      `json:"first,omitzero"`  // when it happened to the first of them
	Last   time.Time      `json:"last,omitzero"`   // when it happened last, also to one that was told of
	Oldest time.Time      `json:"oldest,omitzero"` // created_at of the oldest; zero: none had a date
	Types  map[string]int `json:"types,omitempty"`
}

// Event types come from the listing: beyond the first twenty all are other.
const (
	mostTallied = 20
	otherTypes  = "other"
)

// add counts one event.
func (c *News) add(kind string, created, now time.Time) {
	if c.Count++; c.Count == 1 {
		c.First = now
	}
	c.Last = now
	if !created.IsZero() && (c.Oldest.IsZero() || created.Before(c.Oldest)) {
		c.Oldest = created
	}
	if c.Types == nil {
		c.Types = map[string]int{}
	}
	if _, known := c.Types[kind]; !known && len(c.Types) >= mostTallied {
		kind = otherTypes
	}
	c.Types[kind]++
}

// Without is what is left when those of told are taken away: what happened since told was read.
func (c News) Without(told News) News {
	left := News{Count: max(0, c.Count-told.Count), Last: c.Last}
	if left.Count == 0 {
		return left
	}
	left.First, left.Oldest, left.Types = told.Last, c.Oldest, map[string]int{}
	for kind, n := range c.Types {
		if n -= told.Types[kind]; n > 0 {
			left.Types[kind] = n
		}
	}
	return left
}

func (n Notices) clone() Notices {
	n.Alarms, n.Replayed.Types, n.Dead.Types = maps.Clone(n.Alarms), maps.Clone(n.Replayed.Types), maps.Clone(n.Dead.Types)
	return n
}

// Notices returns a copy of what was told and what waits to be. nil: nobody is told, and nothing is counted.
func (s *Store) Notices() *Notices {
	stored := s.settings().notices
	if stored == nil {
		return nil
	}
	copied := stored.clone()
	return &copied
}

// ChangeNotices changes them, and begins to count where nobody did. Where change leaves them as they are nothing is written;
// it may be called more than once. It is done also while the state is full.
//
// A crash before the commit leaves them as they were: what was told is told again, and nothing is lost.
func (s *Store) ChangeNotices(change func(*Notices)) error {
	err := s.update(false, func(t *tx) error {
		n, _, err := t.notices()
		if err != nil {
			return err
		}
		change(&n)
		return t.putNotices(n)
	})
	if err != nil {
		return fmt.Errorf("write down what was told: %w", err)
	}
	return nil
}

// DropNotices forgets what was told and ends the counting.
func (s *Store) DropNotices() error {
	if s.settings().notices == nil {
		return nil
	}
	err := s.update(false, func(t *tx) error {
		t.after(func() { s.change(func(m *settings) { m.notices = nil }) })
		return t.delete(t.bucket(bucketMeta), []byte(metaNotices))
	})
	if err != nil {
		return fmt.Errorf("forget what was told: %w", err)
	}
	return nil
}

// notices reads them as this transaction sees them; false where nobody is told.
func (t *tx) notices() (n Notices, ok bool, err error) {
	payload, ok, err := t.get(t.bucket(bucketMeta), []byte(metaNotices))
	if err != nil || !ok {
		return n, ok, err
	}
	if err := json.Unmarshal(payload, &n); err != nil {
		return n, ok, fmt.Errorf("read what was told: %w", err)
	}
	return n, ok, nil
}

func (t *tx) putNotices(n Notices) error {
	payload, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("write what was told: %w", err)
	}
	if stored, ok, err := t.get(t.bucket(bucketMeta), []byte(metaNotices)); err == nil && ok && string(stored) == string(payload) {
		return nil
	}
	n = n.clone()
	t.after(func() { t.s.change(func(m *settings) { m.notices = &n }) })
	return t.putMeta(metaNotices, payload)
}

// happened is what a transaction has to count for Notices.
type happened struct {
	dead    bool // else it was replayed
	kind    string
	created time.Time
	at      time.Time
}

// tellDead counts an event that died.
func (t *tx) tellDead(kind string, created, now time.Time) {
	t.news = append(t.news, happened{dead: true, kind: kind, created: created, at: now})
}

// tellReplayed counts an event that the receiver took from us. What a forced run sent that had arrived is none.
func (t *tx) tellReplayed(kind string, created, now time.Time) {
	t.news = append(t.news, happened{kind: kind, created: created, at: now})
}

// writeNews counts what happened, where somebody is told of it.
func (t *tx) writeNews() error {
	if len(t.news) == 0 {
		return nil
	}
	n, ok, err := t.notices()
	if err != nil || !ok {
		return err
	}
	for _, one := range t.news {
		if one.dead {
			n.Dead.add(one.kind, one.created, one.at)
		} else {
			n.Replayed.add(one.kind, one.created, one.at)
		}
	}
	return t.putNotices(n)
}
