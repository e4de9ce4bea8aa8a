package heygen

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// maxFactDepth is the nesting up to which event_data has a content key; what
// HeyGen sends has two or three levels.
const maxFactDepth = 64

// Fact is the content key of an event: two events with one Fact say the same.
// It is a truncated SHA-256 of type, entity and event_data, in which every
// string that is an absolute http or https URL is left out with its name (a
// link is signed anew each time it is shown), names are sorted, duplicate
// names keep their order, strings are compared as what they mean, whatever
// their escapes, and numbers are compared as they are written.
type Fact [16]byte

// IsZero reports whether f is no content key.
func (f Fact) IsZero() bool { return f == Fact{} }

// Fact returns the content key of the event; false when it has no entity.
func (e Event) Fact() (Fact, bool) { return FactOf(e.Type, e.Data) }

// FactOf returns the content key of an event of which only these two are
// known. False when data has no entity, is nested deeper than 64 levels, or is
// so malformed that it can't be read; data that is merely not quite JSON may
// get a key, which then fits no listed event.
func FactOf(eventType string, data []byte) (Fact, bool) {
	var k Keys
	_, fact := k.Of(Event{Type: eventType, Data: data})
	return fact, !fact.IsZero()
}

// Keys tells the entity and the content key of events, one after the other, and
// keeps its buffers between them. The zero Keys is ready.
type Keys struct{ c canon }

// Of returns the entity of an event, "" for none, and its content key, zero for
// none: what Entity and Fact return.
func (k *Keys) Of(e Event) (entity string, fact Fact) {
	c := &k.c
	c.data, c.out = e.Data, slices.Grow(c.out[:0], usualForm)
	c.surest, c.entity = none, nil
	end, ok := c.value(skipSpace(e.Data, 0), 0)
	if !ok || skipSpace(e.Data, end) != len(e.Data) {
		return entityOf(e.Data), Fact{}
	}
	if c.entity == nil {
		return "", Fact{}
	}
	entity = scalarText(c.entity)
	c.scratch = piece(piece(slices.Grow(c.scratch[:0], usualForm), 's', e.Type), 's', entity)
	c.scratch = append(c.scratch, c.out...)
	sum := sha256.Sum256(c.scratch)
	return entity, Fact(sum[:16])
}

// usualForm is the size of the canonical form that most events stay below.
const usualForm = 768

// canon writes event_data in its canonical form: each piece begins with a byte
// that tells its kind, and text with its length, so that no two values share a
// form.
type canon struct {
	data    []byte
	out     []byte
	scratch []byte
	surest  int    // the rank of the name of the entity
	entity  []byte // as it stands in data
}

// member is one member of an object in canon.out: its name ends at value.
type member struct{ from, value, to int }

// value writes the value at data[i] and returns the index after it.
func (c *canon) value(i, depth int) (int, bool) {
	if i >= len(c.data) || depth > maxFactDepth {
		return i, false
	}
	switch c.data[i] {
	case '{':
		return c.object(i+1, depth+1)
	case '[':
		return c.array(i+1, depth+1)
	case '"':
		return c.quoted(i)
	default:
		end := skipScalar(c.data, i)
		c.out = piece(c.out, 'n', c.data[i:end])
		return end, end > i
	}
}

func (c *canon) object(i, depth int) (int, bool) {
	var few [24]member
	list := few[:0]
	start := len(c.out)
	for i = skipSpace(c.data, i); i < len(c.data) && c.data[i] == '"'; i = skipSpace(c.data, i+1) {
		m := member{from: len(c.out)}
		at := i
		i, _ = c.quoted(i)
		m.value = len(c.out)
		name := c.data[at:i]
		if i = skipSpace(c.data, i); i >= len(c.data) || c.data[i] != ':' {
			return i, false
		}
		i = skipSpace(c.data, i+1)
		at = i
		if end, ok := c.link(i); ok {
			c.out = c.out[:m.from]
			i = end
		} else if i, ok = c.value(i, depth); !ok {
			return i, false
		} else {
			m.to = len(c.out)
			list = append(list, m)
		}
		if depth == 1 {
			c.member(name, c.data[at:i])
		}
		if i = skipSpace(c.data, i); i >= len(c.data) || c.data[i] != ',' {
			break
		}
	}
	c.sort(start, list)
	c.out = append(c.out, '}')
	return i + 1, i < len(c.data) && c.data[i] == '}'
}

// member notes the entity, by the rule of entityOf.
func (c *canon) member(name, value []byte) {
	if r := rank(plainName(name)); r <= c.surest && r != none && usable(value) {
		c.surest, c.entity = r, value
	}
}

func (c *canon) array(i, depth int) (int, bool) {
	c.out = append(c.out, '[')
	i = skipSpace(c.data, i)
	for i < len(c.data) && c.data[i] != ']' {
		if end, ok := c.link(i); ok {
			i = end
		} else if i, ok = c.value(i, depth); !ok {
			return i, false
		}
		if i = skipSpace(c.data, i); i >= len(c.data) || c.data[i] != ',' {
			break
		}
		i = skipSpace(c.data, i+1)
	}
	c.out = append(c.out, ']')
	return i + 1, i < len(c.data) && c.data[i] == ']'
}

// sort brings the members that begin at start into the order of their names.
// Any fixed order serves; this one compares lengths first.
func (c *canon) sort(start int, list []member) {
	byName := func(a, b member) int {
		return bytes.Compare(c.out[a.from:a.value], c.out[b.from:b.value])
	}
	if slices.IsSortedFunc(list, byName) {
		return
	}
	slices.SortStableFunc(list, byName)
	c.scratch = append(c.scratch[:0], c.out[start:]...)
	c.out = c.out[:start]
	for _, m := range list {
		c.out = append(c.out, c.scratch[m.from-start:m.to-start]...)
	}
}

// quoted writes the string at data[i] as what it means. One that means
// nothing, being no UTF-8 or half a surrogate pair, is written as it stands.
func (c *canon) quoted(i int) (int, bool) {
	end := skipString(c.data, i)
	raw := c.data[i:end]
	if plain, ok := unescaped(raw); ok {
		c.out = piece(c.out, 's', plain)
		return end, true
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		c.out = piece(c.out, 'r', raw)
		return end, true
	}
	c.out = piece(c.out, 's', text)
	return end, true
}

// link reports whether the value at data[i] is a string that is an absolute
// URL, and where it ends.
func (c *canon) link(i int) (int, bool) {
	if i >= len(c.data) || c.data[i] != '"' {
		return i, false
	}
	end := skipString(c.data, i)
	if first := c.data[min(i+1, end-1)]; first != 'h' && first != 'H' && first != '\\' {
		return end, false // most strings; an escaped h is rare, but is one
	}
	if absolute(c.data[i+1 : end-1]) {
		return end, true // escapes further on change nothing
	}
	text, ok := unescaped(c.data[i:end])
	if !ok {
		text, _ = jsontext.AppendUnquote(nil, c.data[i:end])
	}
	return end, absolute(text)
}

// piece appends a kind, a length and a text.
func piece[T string | []byte](out []byte, kind byte, text T) []byte {
	out = binary.AppendUvarint(append(out, kind), uint64(len(text)))
	return append(out, text...)
}

// absolute reports whether text is an http or https URL with something behind
// the scheme.
func absolute(text []byte) bool {
	for _, scheme := range []string{"https://", "http://"} {
		if len(text) > len(scheme) && bytes.EqualFold(text[:len(scheme)], []byte(scheme)) {
			return true
		}
	}
	return false
}
