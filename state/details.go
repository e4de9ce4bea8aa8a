package state

import (
	"encoding/binary"
	"time"
)

// story is what the ledger line of a finished event has no room for.
//
// Stored as version 1 ‖ the fields in the order of encode; new ones come last.
type story struct {
	why      string
	twin     string    // the kept event of the same fact
	listed   time.Time // first listing
	reason   Reason
	manual   bool
	attempts []Attempt
	created  string // created_at as listed
	entity   string
	acts     []uint64 // numbers of manual acts, oldest first
	sent     int      // attempts made, also those no longer kept; 0: not noted
}

// storyOf is what is worth keeping of a record.
func storyOf(r *record) story {
	return story{
		why: r.why, twin: r.twin, listed: r.listed, reason: r.reason, manual: r.manual, attempts: r.attempts,
		created: r.createdText, entity: r.entity, acts: r.acts,
		sent: r.sent,
	}
}

// worth reports whether there is more to tell than the line says.
func (d story) worth() bool {
	return d.why != "" || d.twin != "" || d.manual || len(d.attempts)+len(d.acts) > 0
}

func (d story) encode() []byte {
	b := []byte{recordVersion}
	b = appendText(b, d.why)
	b = appendText(b, d.twin)
	b = appendMoment(b, d.listed)
	b = appendText(b, string(d.reason))
	b = appendBool(b, d.manual)
	b = appendAttempts(b, d.attempts)
	b = appendText(b, d.created)
	b = appendText(b, d.entity)
	b = appendUvarints(b, d.acts)
	return binary.AppendUvarint(b, uint64(d.sent))
}

func decodeStory(b []byte) story {
	h := reader(b)
	if h.one() != recordVersion {
		return story{}
	}
	return story{
		why: h.text(), twin: h.text(), listed: h.moment(), reason: Reason(h.text()), manual: h.one() != 0,
		attempts: h.attempts(), created: h.text(), entity: h.text(), acts: h.uvarints(),
		sent: int(h.uvarint()),
	}
}

// storyAt returns the story of a finished event; an empty one where it has none, or where it is damaged: the line stands
// without it.
func (t *tx) storyAt(p place) story {
	b := t.day(bucketDetails, dayOf(p.created))
	if b == nil {
		return story{}
	}
	payload, ok, err := t.get(b, p.ledgerKey())
	if !ok || err != nil {
		return story{}
	}
	return decodeStory(payload)
}

// putStory stores the story of a finished event; the caller sets flagDetails on its line.
func (t *tx) putStory(p place, d story) error {
	b, err := t.makeDay(bucketDetails, dayOf(p.created))
	if err != nil {
		return err
	}
	return t.put(b, p.ledgerKey(), d.encode())
}
