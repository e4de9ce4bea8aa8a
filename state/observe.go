package state

import (
	"slices"
	"time"
)

// Change is one event's move from one status to another, as a committed transaction made it. A twin that waits for its kept
// event counts as settling: without the kept one it is judged by itself.
//
// An event may move on while an attempt to send it is under way, as when the receiver reports it before it answers. What
// came of the attempt is told when it is over, by a change from and to the same status: see Flying and Landed.
type Change struct {
	Type    string
	Created time.Time // zero: undated
	From    Status    // 0: the event was not known
	To      Status    // 0: it was forgotten; pruning and damage tell nothing
	Proof   Proof     // of To Seen
	At      time.Time // of To Seen: when the receiver got it
	Missed  bool      // it had been missed before
	Tried   bool      // an attempt to send it had been made
	Twin    bool      // it is seen only as the twin of another
	Flying  bool      // an attempt to send it is under way: a change that has Landed follows
	Landed  Status    // what came of that attempt, as Outcome has it; Missed: it was never sent. 0: this change is of no attempt
	GaveUp  bool      // of Landed: the event was sent by force, and will not be again

	TakenBack bool // a cancel made it dead again, as it was before a person had it sent
}

// Types lists the event types of finished events, in the order in which they were first met. Damaged names are left out.
func (s *Store) Types() []string {
	s.types.mu.RLock()
	defer s.types.mu.RUnlock()
	return slices.DeleteFunc(slices.Clone(s.types.names), func(name string) bool { return name == "" })
}

// moved notes a change for Options.Observe, which is told of all changes of a transaction at once when that has succeeded.
func (t *tx) moved(c Change) {
	observe := t.s.options.Observe
	if observe == nil || c.From == c.To && c.Landed == 0 {
		return
	}
	if len(t.changes) == 0 {
		t.after(func() { observe(t.changes) })
	}
	t.changes = append(t.changes, c)
}

// met notes an event that was not known before.
func (t *tx) met(kind string, created time.Time, to Status, n named) {
	t.moved(Change{Type: kind, Created: created, To: to, Proof: n.proof, At: n.at})
}

// movedOpen notes what became of an unfinished event that stays one. A new one is noted by whoever met it.
func (t *tx) movedOpen(old, r *record) {
	if old != nil {
		c := t.change(old, r.standing())
		c.TakenBack = r.status == Dead && old.was == Dead && r.was == 0
		t.moved(c)
	}
}

// movedEnd notes the end of an event.
func (t *tx) movedEnd(r *record, e ending) {
	c := t.change(r, e.status)
	c.Proof, c.At, c.Twin = e.proof, e.at, e.twin != ""
	t.moved(c)
}

// movedLine notes what became of a finished event.
func (t *tx) movedLine(p place, old *line, l line) {
	if old != nil && old.status != l.status {
		t.moved(Change{Type: t.typeName(l.kind), Created: p.created, From: old.status, To: l.status, Proof: l.proof, At: l.at})
	}
}

// landed notes that an attempt is over whose event had moved on; it stands at stands now.
func (t *tx) landed(kind string, created time.Time, stands, outcome Status) {
	t.moved(Change{Type: kind, Created: created, From: stands, To: stands, Landed: outcome})
}

// change is the move of an unfinished event to another status.
func (t *tx) change(r *record, to Status) Change {
	from := r.standing()
	// The reason of a replay is there from the first time that the event was missed.
	return Change{
		Type: r.kind, Created: r.created, From: from, To: to, Missed: r.reason != "", Tried: r.sent > 0,
		Flying: from == Replaying && t.flies(r.id),
	}
}

// standing is the status of an unfinished event: of a twin that waits, that it is not judged yet.
func (r *record) standing() Status {
	if r.status == Seen {
		return Settling
	}
	return r.status
}
