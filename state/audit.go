package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"
)

// auditor counts anew and reports contradictions.
type auditor struct {
	t      *tx
	c      counts
	report func(Problem)
	kinds  uint16           // event types that have a name
	runs   map[uint64]int64 // events that wait, by their run
}

// audit reports where index, open, ledger, details, inbox, reported and credits contradict each other, and counts them anew.
// What cannot be counted again (matched) is taken over.
func (t *tx) audit(report func(Problem)) (counts, error) {
	a := &auditor{t: t, report: report, runs: make(map[uint64]int64)}
	a.c.matched = t.counts().matched
	a.types()
	a.open()
	for _, day := range t.ledgerDays() {
		a.day(day)
	}
	a.details()
	a.reports()
	a.resends()
	a.counted()
	t.each(t.bucket(bucketCredits), func(_, _ []byte) bool { a.c.credits++; return true })
	t.each(t.bucket(bucketQuarantine), func(_, _ []byte) bool { a.c.quarantined++; return true })
	return a.c, nil
}

// recount repairs the counters after a damaged record went to the quarantine.
func (t *tx) recount() {
	c, err := t.audit(func(Problem) {})
	if err == nil {
		*t.counts() = c
		t.recountRuns()
	}
}

func (a *auditor) problem(bucket string, key []byte, format string, args ...any) {
	a.report(Problem{Bucket: bucket, Key: strconv.QuoteToASCII(string(key)), What: fmt.Sprintf(format, args...)})
}

// all calls fn with every payload and reports those whose checksum does not hold.
func (a *auditor) all(name string, b *bbolt.Bucket, fn func(key, payload []byte)) {
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if v == nil {
			continue
		}
		payload, ok := unseal(k, v)
		if !ok {
			a.problem(name, k, "its checksum does not hold")
			continue
		}
		fn(k, payload)
	}
}

// open compares every record with its index keys, and the number of keys in both directions.
func (a *auditor) open() {
	want, have := 0, 0
	index := a.t.bucket(bucketIndex)
	a.all(bucketOpen, a.t.bucket(bucketOpen), func(key, payload []byte) {
		r, err := decodeRecord(string(key), payload, false)
		if err != nil || r.stage() == 0 {
			a.problem(bucketOpen, key, "it cannot be read, or has a status of a finished event")
			return
		}
		a.c.add(r, 1)
		if r.fate() == fateWaiting {
			a.runs[r.run]++
		}
		for k, v := range r.indexKeys() {
			want++
			if stored, ok, err := a.t.get(index, []byte(k)); !ok || err != nil || !samePayload(stored, v) {
				a.problem(bucketIndex, []byte(k), "it does not say what the record says")
			}
		}
		a.record(r)
	})
	a.all(bucketIndex, index, func(_, _ []byte) { have++ })
	if want != have {
		a.problem(bucketIndex, nil, "it has %d keys where the records make %d", have, want)
	}
}

// samePayload compares two binary payloads: what is missing at the end is zero, as for every reader.
func samePayload(a, b []byte) bool {
	return bytes.Equal(bytes.TrimRight(a, "\x00"), bytes.TrimRight(b, "\x00"))
}

func (a *auditor) record(r *record) {
	if r.withheld && r.status != Missed {
		a.problem(bucketOpen, []byte(r.id), "it is %s and withheld; only a missed one can be", r.status)
	}
	if r.status == Seen {
		kept, err := a.t.readOpen(r.twin, false)
		if err != nil || kept == nil || kept.id == r.id {
			a.problem(bucketOpen, []byte(r.id), "it waits for %q, which is not unfinished", r.twin)
		}
	}
	if _, ok, _ := a.t.ledgerLine(r.place()); ok {
		a.problem(bucketOpen, []byte(r.id), "it is in the ledger, too")
	}
	if _, ok := a.t.inboxOf(r.id); ok {
		a.problem(bucketOpen, []byte(r.id), "it is in the inbox, too")
	}
	if _, ok, _ := a.t.reportedOf(r.id); ok {
		a.problem(bucketOpen, []byte(r.id), "it is among the reported ones, too")
	}
}

// types looks whether the numbers of event types follow each other: a page that lost a key has no checksum of its own.
func (a *auditor) types() {
	c := a.t.bucket(bucketTypes).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if a.kinds++; len(k) != 2 || binary.BigEndian.Uint16(k) != a.kinds {
			a.problem(bucketTypes, k, "it stands where number %d belongs", a.kinds)
		}
	}
}

func (a *auditor) day(day uint32) {
	a.all(bucketLedger, a.t.day(bucketLedger, day), func(key, payload []byte) {
		l := decodeLine(payload)
		if l.status != Seen && l.status != Ignored {
			a.problem(bucketLedger, key, "status %q is not of a finished event", l.status)
			return
		}
		if p := ledgerPlace(day, key); dayOf(p.created) != day || p.id == "" {
			a.problem(bucketLedger, key, "it lies in day %d", day)
		}
		if l.kind > a.kinds {
			a.problem(bucketLedger, key, "its event type, number %d, has no name", l.kind)
		}
		a.c.status[l.status]++
		if l.status == Seen && l.proof == Baseline {
			a.c.baseline++
		}
	})
}

func (a *auditor) details() {
	b := a.t.bucket(bucketDetails)
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if v != nil || len(k) != 4 {
			continue
		}
		day := bytes.Clone(k)
		ledger := a.t.bucket(bucketLedger).Bucket(day)
		a.all(bucketDetails, b.Bucket(day), func(key, _ []byte) {
			if ledger == nil || ledger.Get(key) == nil {
				a.problem(bucketDetails, key, "it tells of no finished event")
			}
		})
	}
}

// reports counts the ids that wait to be listed.
func (a *auditor) reports() {
	a.all(bucketInbox, a.t.bucket(bucketInbox), func(_, payload []byte) {
		_, list := decodeInbox(payload)
		a.c.unlisted += int64(len(list))
	})
	moved := int64(0)
	a.all(bucketReported, a.t.bucket(bucketReported), func(_, payload []byte) {
		if o := decodeSorted(payload); o.proof != Import {
			a.c.unlisted++
			if o.moved {
				moved++
			}
		}
	})
	if n := a.t.unmatched(); n != moved {
		a.problem(bucketMeta, []byte(metaUnmatched), "it says %d reported ids that the listing moved past; there are %d", n, moved)
	}
}
