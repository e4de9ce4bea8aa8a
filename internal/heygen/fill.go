package heygen

import (
	"time"
	"unicode/utf8"
)

// large is the size from which an event's data is an allocation of its own.
const large = 16 << 10

// fill copies the rows out of the body into the page.
func (p *parser) fill(page *Page, now time.Time) {
	good, size := 0, 0
	for i := range p.rows {
		if r := &p.rows[i]; r.bad == "" {
			good++
			if len(r.data) < large {
				size += len(r.data)
			}
		}
	}
	if good > 0 {
		page.Events = make([]Event, 0, good)
	}
	shared := make([]byte, 0, size)
	for i := range p.rows {
		r := &p.rows[i]
		if r.bad != "" {
			page.Bad = append(page.Bad, r.quarantine())
			continue
		}
		var e Event
		e.Data, shared = keep(shared, r.data)
		e.Type = p.typeOf(r.typ)
		e.ID, e.Created = texts(r.id, createdOf(r.created))
		if r.createdText {
			if t, ok := ParseTime(e.Created, now); ok {
				e.CreatedAt = t
			}
		}
		page.Events = append(page.Events, e)
	}
}

// keep copies data to the end of shared, which has the room, or, where it is
// large, elsewhere. The result can't grow into what follows it.
func keep(shared, data []byte) (copied, rest []byte) {
	if len(data) >= large {
		return append(make([]byte, 0, len(data)), data...), shared
	}
	from := len(shared)
	shared = append(shared, data...)
	return shared[from:len(shared):len(shared)], shared
}

// texts makes two strings of one allocation.
func texts(a, b []byte) (string, string) {
	var room [maxID + maxCreated]byte
	both := string(append(append(room[:0], a...), b...))
	return both[:len(a)], both[len(a):]
}

// createdOf returns created_at as it may be shown and stored: short, and text.
func createdOf(text []byte) []byte {
	if len(text) <= maxCreated && plainText(text) {
		return text
	}
	short := []byte(Clean(string(text[:min(len(text), 4*maxCreated)])))
	for len(short) > maxCreated || !utf8.Valid(short) {
		short = short[:len(short)-1]
	}
	return short
}

func plainText(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// typeOf returns the type as a string, the same one for all events of a type.
func (p *parser) typeOf(typ []byte) string {
	if s, ok := p.types[string(typ)]; ok {
		return s
	}
	s := string(typ)
	if len(p.types) < maxTypes {
		p.types[s] = s
	}
	return s
}

func (r *row) quarantine() BadRow {
	bad := BadRow{Reason: r.bad, Bytes: len(r.raw), Sum: checksum(r.raw)}
	if r.idOK {
		bad.ID = string(r.id[:min(len(r.id), 64)])
	}
	return bad
}
