package state

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// named is one id in an inbox value.
type named struct {
	id    string
	proof Proof
	at    time.Time
}

func encodeInbox(recorded time.Time, list []named) []byte {
	b := appendTime(nil, recorded)
	for _, n := range list {
		b = append(b, byte(n.proof))
		b = appendTime(b, n.at)
		b = appendText(b, n.id)
	}
	return b
}

func decodeInbox(b []byte) (recorded time.Time, list []named) {
	recorded = timeAt(b)
	h := reader(tail(b, 8))
	for len(h) > 0 {
		n := named{proof: Proof(h.one()), at: timeAt(h.take(8))}
		n.id = h.text()
		list = append(list, n)
	}
	return recorded, list
}

func (t *tx) loadInbox(r *rows) {
	t.each(t.bucket(bucketInbox), func(key, payload []byte) bool {
		_, list := decodeInbox(payload)
		for _, n := range list {
			r.inbox[n.id] = reportOf(numberAt(key), n)
		}
		return true
	})
}

// inboxOf returns what recorders said lately about an id that is not listed.
func (t *tx) inboxOf(id string) (report, bool) {
	if t.bolt.Writable() {
		if r, ok := t.over().inbox[id]; ok {
			if r == nil {
				return report{}, false
			}
			return *r, true
		}
	}
	return t.s.rows.reported(id)
}

func (r *rows) reported(id string) (report, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one, ok := r.inbox[id]
	return one, ok
}

// addInbox stores reports as one value.
func (t *tx) addInbox(recorded time.Time, list []named) error {
	if len(list) == 0 {
		return nil
	}
	b := t.bucket(bucketInbox)
	seq, err := b.NextSequence()
	if err != nil {
		return err
	}
	for i := range list {
		list[i].id = strings.Clone(list[i].id) // it may be a part of a whole request
		one := reportOf(seq, list[i])
		t.over().inbox[list[i].id] = &one
	}
	t.after(func() { t.s.rows.arrived(seq, list) })
	t.counts().unlisted += int64(len(list))
	return t.put(b, appendNumber(nil, seq), encodeInbox(recorded, list))
}

func (r *rows) arrived(seq uint64, list []named) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range list {
		r.inbox[n.id] = reportOf(seq, n)
	}
	r.crowd = max(r.crowd, len(r.inbox))
}

// left forgets ids that are no longer in the inbox. A map keeps the room that it once needed: one that is almost empty is
// made anew.
func (r *rows) left(sp spent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ids := range sp {
		for id := range ids {
			delete(r.inbox, id)
		}
	}
	if r.crowd > recentLimit && len(r.inbox) < r.crowd/8 {
		r.inbox, r.crowd = maps.Clone(r.inbox), len(r.inbox)
	}
}

// spent collects the ids that leave the inbox, so that each value is rewritten once.
type spent map[uint64]map[string]bool

// leave takes an id out of the memory of this transaction; its value is rewritten by take.
func (t *tx) leave(sp spent, id string, r report) {
	if sp[r.seq] == nil {
		sp[r.seq] = make(map[string]bool)
	}
	sp[r.seq][id] = true
	t.over().inbox[id] = nil
}

// take removes the collected ids: a value without ids is deleted, another rewritten without them. A crash leaves both the
// ids here and the events not yet in the ledger, or neither: it is the transaction of the page that lists them.
func (t *tx) take(sp spent) error {
	if len(sp) == 0 {
		return nil
	}
	t.after(func() { t.s.rows.left(sp) })
	b := t.bucket(bucketInbox)
	for seq, ids := range sp {
		key := appendNumber(nil, seq)
		t.counts().unlisted -= int64(len(ids))
		payload, ok, err := t.get(b, key)
		if errors.Is(err, errBadRecord) {
			err = t.spoil(b, key, "")
		}
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := t.rewrite(key, payload, ids); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) rewrite(key, payload []byte, without map[string]bool) error {
	recorded, list := decodeInbox(payload)
	list = slices.DeleteFunc(list, func(n named) bool { return without[n.id] })
	if len(list) == 0 {
		return t.delete(t.bucket(bucketInbox), key)
	}
	return t.put(t.bucket(bucketInbox), key, encodeInbox(recorded, list))
}

// lateProof takes out what recorders have said about an id, wherever it is.
func (t *tx) lateProof(sp spent, id string) (n named, ok bool, err error) {
	if n, ok := t.fromInbox(sp, id); ok {
		return n, true, nil
	}
	o, ok, err := t.reportedOf(id)
	if !ok || err != nil {
		return named{}, false, err
	}
	return t.fromReported(id, o)
}

func (t *tx) fromInbox(sp spent, id string) (named, bool) {
	one, ok := t.inboxOf(id)
	if !ok {
		return named{}, false
	}
	t.leave(sp, id, one)
	return named{id, one.proof, one.at()}, true
}

// fromReported takes out an older report. An import stays where it is.
func (t *tx) fromReported(id string, o sorted) (n named, ok bool, err error) {
	if o.proof != Import {
		err = t.dropReported(id, o)
	}
	return named{id, o.proof, o.at}, true, err
}
