package state

import (
	"errors"
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
			r.inbox[n.id] = report{seq: numberAt(key), proof: n.proof, at: n.at}
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
	for _, n := range list {
		t.setInbox(strings.Clone(n.id), &report{seq: seq, proof: n.proof, at: n.at})
	}
	t.counts().unlisted += int64(len(list))
	return t.put(b, appendNumber(nil, seq), encodeInbox(recorded, list))
}

func (t *tx) setInbox(id string, one *report) {
	t.over().inbox[id] = one
	t.after(func() {
		r := &t.s.rows
		r.mu.Lock()
		defer r.mu.Unlock()
		if one == nil {
			delete(r.inbox, id)
		} else {
			r.inbox[id] = *one
		}
	})
}

// spent collects the ids that leave the inbox, so that each value is rewritten once.
type spent map[uint64]map[string]bool

// leave takes an id out of the memory of this transaction; its value is rewritten by take.
func (t *tx) leave(sp spent, id string, r report) {
	if sp[r.seq] == nil {
		sp[r.seq] = make(map[string]bool)
	}
	sp[r.seq][id] = true
	t.setInbox(id, nil)
}

// take removes the collected ids: a value without ids is deleted, another rewritten without them. A crash leaves both the
// ids here and the events not yet in the ledger, or neither: it is the transaction of the page that lists them.
func (t *tx) take(sp spent) error {
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
	return named{id, one.proof, one.at}, true
}

// fromReported takes out an older report. An import stays where it is.
func (t *tx) fromReported(id string, o sorted) (n named, ok bool, err error) {
	if o.proof != Import {
		err = t.dropReported(id, o)
	}
	return named{id, o.proof, o.at}, true, err
}
