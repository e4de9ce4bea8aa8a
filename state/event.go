package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"backstop/internal/heygen"
)

// Row is one event as the state knows it.
type Row struct {
	Event    heygen.Event // Data is nil unless it was asked for
	Status   Status
	Proof    Proof
	Lane     Lane
	Reason   Reason
	Why      string    // for people
	Listed   time.Time // first listing; zero: only reported so far, or not kept
	Due      time.Time // next attempt; zero: none
	At       time.Time // of the last change of status; of a seen event, when the receiver got it
	Attempts []Attempt
	Sent     int // attempts made, also those no longer kept; 0 where that was not noted
	Entity   string
	Twin     string   // the kept event of the same fact
	Manual   bool     // queued by a person
	Backfill uint64   // the backfill that found it; 0: none did
	Withheld bool     // missed, but a restore lost what became of it: a person must say replay or ignore
	Run      uint64   // the replay run that a person queued it with last; 0: none
	Acts     []uint64 // what persons did to it by hand, as numbered in ManualAct.Seq, oldest first
}

// Attempt is one POST of an event to the receiver.
type Attempt struct {
	At         time.Time
	Status     int    // HTTP; 0: there was no answer
	Error      string // timeout, refused, reset …; "": there was an answer
	Latency    time.Duration
	Counted    bool   // it counts towards the attempts after which an event is dead
	Seq        uint64 // the store's running number, for "since that attempt"
	Open       bool   // no outcome yet
	RetryAfter time.Duration
	Answer     string // the first KiB of the answer's body, made printable; "": there was none
	Note       string // what was done to the event before it was sent, for people; "": nothing
}

// Of the attempts of an event the first and the last ones are kept.
const (
	attemptsFirst = 5
	attemptsLast  = 45
)

// recordVersion is the first byte of every stored record.
const recordVersion = 1

var errRecord = errors.New("record cannot be read")

// record is a row of the bucket open: an event that is listed and unfinished.
//
// Stored as version 1 ‖ length of the header 4 ‖ header ‖ event_data. The header is the fields in the order of encode; new
// ones come last and are zero where an older record does not have them.
type record struct {
	id          string
	kind        string // event type
	created     time.Time
	createdText string
	status      Status
	proof       Proof
	lane        Lane
	reason      Reason
	why         string
	listed      time.Time
	at          time.Time // of the last change of status; of a seen twin, when the receiver got it
	due         time.Time
	walk, epoch uint64 // the walk that found it, and its process
	twin        string // status Seen: the kept event that this one waits for
	manual      bool
	entity      string
	fact        heygen.Fact // zero: it has none
	sent        int         // attempts made, also those no longer kept
	attempts    []Attempt
	backfill    uint64   // the one that found it; 0: none did
	withheld    bool     // of a missed one: not sent before a person asks for it
	run         uint64   // the replay run that it was queued with last; 0: none
	acts        []uint64 // numbers of manual acts, oldest first
	was         Status   // what it was before a person had it sent; 0: nobody had
	wasWhy      string   // the reason of that
	wasWithheld bool
	since       uint64 // the Seq of the last attempt from before it began anew: those up to it count no more
	data        []byte
}

func newRecord(e heygen.Event, now time.Time) *record {
	r := &record{
		id: e.ID, kind: e.Type, created: e.CreatedAt, createdText: e.Created, status: Settling, listed: now, at: now,
		entity: e.Entity(), data: e.Data,
	}
	if fact, ok := e.Fact(); ok {
		r.fact = fact
	}
	return r
}

func (r *record) event() heygen.Event {
	return heygen.Event{ID: r.id, Type: r.kind, Data: r.data, CreatedAt: r.created, Created: r.createdText}
}

func (r *record) row() Row {
	return Row{
		Event: r.event(), Status: r.status, Proof: r.proof, Lane: r.lane, Reason: r.reason, Why: r.why, Listed: r.listed,
		Due: r.due, At: r.at, Attempts: r.attempts, Sent: r.sent, Entity: r.entity, Twin: r.twin, Manual: r.manual,
		Backfill: r.backfill,
		Withheld: r.withheld, Run: r.run, Acts: r.acts,
	}
}

// last returns the newest attempt; nil when there is none.
func (r *record) last() *Attempt {
	if len(r.attempts) == 0 {
		return nil
	}
	return &r.attempts[len(r.attempts)-1]
}

func addAttempt(list []Attempt, a Attempt) []Attempt {
	list = append(list, a)
	if len(list) > attemptsFirst+attemptsLast {
		list = append(list[:attemptsFirst], list[len(list)-attemptsLast:]...)
	}
	return list
}

func (r *record) encode() []byte {
	var h []byte
	h = appendText(h, r.kind)
	h = appendMoment(h, r.created)
	h = appendText(h, r.createdText)
	h = append(h, byte(r.status), byte(r.proof), byte(r.lane))
	h = appendText(h, string(r.reason))
	h = appendText(h, r.why)
	h = appendMoment(h, r.listed)
	h = appendMoment(h, r.at)
	h = appendMoment(h, r.due)
	h = appendNumber(h, r.walk)
	h = appendNumber(h, r.epoch)
	h = appendText(h, r.twin)
	h = appendBool(h, r.manual)
	h = appendText(h, r.entity)
	h = append(h, r.fact[:]...)
	h = binary.AppendUvarint(h, uint64(r.sent))
	h = appendAttempts(h, r.attempts)
	h = binary.AppendUvarint(h, r.backfill)
	h = appendBool(h, r.withheld)
	h = binary.AppendUvarint(h, r.run)
	h = appendUvarints(h, r.acts)
	h = append(h, byte(r.was))
	h = appendText(h, r.wasWhy)
	h = appendBool(h, r.wasWithheld)
	h = binary.AppendUvarint(h, r.since)
	b := make([]byte, 0, 5+len(h)+len(r.data))
	b = append(b, recordVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
	return append(append(b, h...), r.data...)
}

// decodeRecord copies a stored record out; its event_data only where withData.
func decodeRecord(id string, b []byte, withData bool) (*record, error) {
	if len(b) < 5 || b[0] != recordVersion || uint64(len(b)-5) < uint64(binary.BigEndian.Uint32(b[1:])) {
		return nil, fmt.Errorf("event %q: %w", id, errRecord)
	}
	n := 5 + int(binary.BigEndian.Uint32(b[1:]))
	h := reader(b[5:n])
	r := &record{id: id}
	r.kind = h.text()
	r.created = h.moment()
	r.createdText = h.text()
	r.status, r.proof, r.lane = Status(h.one()), Proof(h.one()), Lane(h.one())
	r.reason = Reason(h.text())
	r.why = h.text()
	r.listed, r.at, r.due = h.moment(), h.moment(), h.moment()
	r.walk, r.epoch = h.number(), h.number()
	r.twin = h.text()
	r.manual = h.one() != 0
	r.entity = h.text()
	copy(r.fact[:], h.take(len(r.fact)))
	r.sent = int(h.uvarint())
	r.attempts = h.attempts()
	r.backfill = h.uvarint()
	r.withheld = h.one() != 0
	r.run, r.acts = h.uvarint(), h.uvarints()
	r.was, r.wasWhy, r.wasWithheld = Status(h.one()), h.text(), h.one() != 0
	r.since = h.uvarint()
	if withData {
		r.data = bytes.Clone(b[n:])
	}
	return r, nil
}

func appendAttempts(b []byte, list []Attempt) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	said := "" // what was answered last: a receiver that fails mostly says the same again, and that is stored once
	for _, a := range list {
		var one []byte
		one = appendMoment(one, a.At)
		one = binary.AppendUvarint(one, uint64(a.Status))
		one = appendText(one, a.Error)
		one = appendNumber(one, uint64(a.Latency))
		one = appendBool(one, a.Counted)
		one = appendNumber(one, a.Seq)
		one = appendBool(one, a.Open)
		one = appendNumber(one, uint64(a.RetryAfter))
		one = appendAnswer(one, a.Answer, said)
		said = a.Answer
		one = appendText(one, a.Note)
		b = appendText(b, string(one))
	}
	return b
}

// How an attempt's answer is stored.
const (
	answerNone = iota
	answerText // it follows
	answerSame // as that of the attempt before
)

func appendAnswer(b []byte, answer, said string) []byte {
	switch answer {
	case "":
		return append(b, answerNone)
	case said:
		return append(b, answerSame)
	}
	return appendText(append(b, answerText), answer)
}

func (h *reader) answer(said string) string {
	switch h.one() {
	case answerText:
		return h.text()
	case answerSame:
		return said
	}
	return ""
}

func (h *reader) attempts() []Attempt {
	var list []Attempt
	said := ""
	for range h.uvarint() {
		one := reader(h.bytes())
		if len(one) == 0 {
			break
		}
		a := Attempt{
			At: one.moment(), Status: int(one.uvarint()), Error: one.text(), Latency: time.Duration(one.number()),
			Counted: one.one() != 0, Seq: one.number(), Open: one.one() != 0, RetryAfter: time.Duration(one.number()),
		}
		said = one.answer(said)
		a.Answer, a.Note = said, one.text()
		list = append(list, a)
	}
	return list
}
