package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"backstop/internal/heygen"
	"backstop/state"
)

// parseSeen reads the body of a report: one object, an array of objects, or
// several of either one after the other. The first bad item fails the whole,
// and the error says which it is. unmatchable counts the items that can account
// for nothing.
func parseSeen(body []byte, proof state.Proof, now time.Time) (seen []state.Sighting, unmatchable int, err error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	p := reportParser{decoder: decoder, proof: proof, now: now}
	for {
		if err := p.value(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, 0, fmt.Errorf("item %d: %w", p.items+1, err)
		}
	}
	if p.items == 0 {
		return nil, 0, errors.New("the body is empty")
	}
	return p.seen, p.unmatchable, nil
}

type reportParser struct {
	decoder     *jsontext.Decoder
	proof       state.Proof
	now         time.Time
	seen        []state.Sighting
	items       int // read well
	unmatchable int
}

// value reads one top-level value.
func (p *reportParser) value() error {
	switch p.decoder.PeekKind() {
	case '{':
		return p.item()
	case '[':
		return p.array()
	default:
		if _, err := p.decoder.ReadToken(); err != nil {
			return err
		}
		return errors.New("it is no JSON object")
	}
}

func (p *reportParser) array() error {
	if _, err := p.decoder.ReadToken(); err != nil {
		return err
	}
	for p.decoder.PeekKind() != ']' {
		if p.decoder.PeekKind() != '{' {
			if err := p.decoder.SkipValue(); err != nil {
				return unexpectedEnd(err)
			}
			return errors.New("it is no JSON object")
		}
		if err := p.item(); err != nil {
			return err
		}
	}
	_, err := p.decoder.ReadToken()
	return unexpectedEnd(err)
}

// unexpectedEnd keeps the end of the body inside a value from being taken for
// the end of the items.
func unexpectedEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// item reads one object and keeps what it proves.
func (p *reportParser) item() error {
	fields, err := p.fields()
	if err != nil {
		return unexpectedEnd(err)
	}
	seen, ok, err := fields.seen(p.now)
	if err != nil {
		return err
	}
	p.items++
	if !ok {
		p.unmatchable++
		return nil
	}
	seen.Proof = p.proof
	p.seen = append(p.seen, seen)
	return nil
}

// reportFields are the keys of an item that mean something; others are passed
// over, so that a receiver may forward what it has.
type reportFields struct {
	id, eventType, receivedAt *string
	data                      []byte
	met                       []string // which of them were there, null or not
}

func (p *reportParser) fields() (reportFields, error) {
	var f reportFields
	if _, err := p.decoder.ReadToken(); err != nil {
		return f, err
	}
	for p.decoder.PeekKind() != '}' {
		name, err := p.decoder.ReadToken()
		if err != nil {
			return f, err
		}
		key := name.String()
		value, err := p.decoder.ReadValue()
		if err != nil {
			return f, err
		}
		if err := f.set(key, value); err != nil {
			return f, err
		}
	}
	_, err := p.decoder.ReadToken()
	return f, err
}

func (f *reportFields) set(key string, value jsontext.Value) error {
	target := map[string]**string{"event_id": &f.id, "event_type": &f.eventType, "received_at": &f.receivedAt}[key]
	if target == nil && key != "event_data" {
		return nil
	}
	if slices.Contains(f.met, key) { // readers differ in which of the two counts
		return fmt.Errorf("%s is there twice", key)
	}
	f.met = append(f.met, key)
	switch {
	case target == nil:
		f.data = bytes.Clone(value)
		return nil
	case value.Kind() == 'n':
		return nil
	case value.Kind() != '"':
		return fmt.Errorf("%s is no string", key)
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	s := string(text)
	*target = &s
	return nil
}

// seen gives what the item proves; ok is false for content without an entity.
func (f reportFields) seen(now time.Time) (seen state.Sighting, ok bool, err error) {
	seen.At = now
	if f.receivedAt != nil {
		at, ok := heygen.ParseTime(*f.receivedAt, now)
		if !ok {
			return seen, false, errors.New("received_at is no RFC 3339 time of the past")
		}
		seen.At = at
	}
	switch {
	case f.id != nil:
		if !heygen.PrintableID(*f.id) {
			return seen, false, errors.New("event_id must be 1 to 512 printable ASCII bytes")
		}
		seen.ID = *f.id
		return seen, true, nil
	case f.eventType == nil || *f.eventType == "":
		return seen, false, errors.New("it has neither event_id nor event_type")
	case f.data == nil:
		return seen, false, errors.New("it has event_type but no event_data")
	}
	seen.Fact, ok = heygen.FactOf(*f.eventType, f.data)
	return seen, ok, nil
}
