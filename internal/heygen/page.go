package heygen

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// unreadable is why a body is not what the API documents. Its text quotes
// nothing of the body, for it ends up in logs.
type unreadable string

func (u unreadable) Error() string { return string(u) }

// refusal is an error object that came under status 200.
type refusal struct{ object []byte }

func (refusal) Error() string { return "an error object under status 200" }

// parser reads pages. One is used for many pages, one at a time: it keeps the
// decoder, the table of rows, and the event types it has met.
type parser struct {
	dec   *jsontext.Decoder
	body  []byte
	rows  []row
	cut   []int             // where cutDeep cut the body
	types map[string]string // event types met before, so that they are one string
}

// row is one row as it stands in the body; the slices alias it.
type row struct {
	start, end        int    // where it stands
	id, typ, created  []byte // text, without quotes and escapes
	data              []byte // event_data as it stands
	bad               string // why it can't be read; "" fine
	idOK, createdText bool   // id may be shown; created_at was a string
}

// maxTypes bounds parser.types. Beyond it a type costs an allocation a row.
const maxTypes = 256

func newParser() *parser {
	return &parser{dec: jsontext.NewDecoder(bytes.NewReader(nil)), types: map[string]string{}}
}

// page reads a whole body. The page holds copies: the body is the caller's
// again, and is overwritten where it is nested too deep. All small event_data
// of a page share one allocation (events of a page live and die together);
// each large one has its own, so that one event pins no other's megabytes.
func (p *parser) page(body []byte, now time.Time) (*Page, error) {
	p.body, p.rows, p.cut = body, p.rows[:0], cutDeep(body, maxDepth)
	defer p.forget()
	// Inside event_data anything passes that has the form of JSON. Envelope
	// and rows are held to more, by hand.
	p.dec.Reset(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	e, err := p.envelope()
	if err != nil {
		return nil, p.explain(err)
	}
	page := &Page{Last: !e.more, Next: e.next, Bytes: len(body)}
	if !e.hasMore {
		page.Last = e.next == ""
	}
	p.fill(page, now)
	return page, nil
}

// forget lets go of the body, and of a table that one odd page made large.
func (p *parser) forget() {
	clear(p.rows)
	if p.body = nil; cap(p.rows) > 1000 {
		p.rows = nil
	}
	p.dec.Reset(bytes.NewReader(nil))
}

// explain turns an error of the decoder, whose text may quote the body, into
// one that does not.
func (p *parser) explain(err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case len(bytes.TrimSpace(p.body)) == 0:
		return unreadable("an empty body")
	case errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF:
		return unreadable(fmt.Sprintf("cut off after %d bytes", len(p.body)))
	case p.body[skipSpace(p.body, 0)] == '<':
		return unreadable("HTML or XML in place of JSON")
	case errors.As(err, &syntax):
		return unreadable(fmt.Sprintf("no JSON at byte %d of %d", syntax.ByteOffset, len(p.body)))
	default:
		return err
	}
}

// value reads the next value and returns it as it stands in the body, valid as
// long as the body is.
func (p *parser) value() (jsontext.Value, error) {
	v, err := p.dec.ReadValue()
	end := int(p.dec.InputOffset())
	return jsontext.Value(p.body[end-len(v) : end]), err
}

// envelope is what stands around the rows.
type envelope struct {
	hasMore, more bool
	next          string
}

// The members of an envelope and of a row that are ours to read.
const (
	nameData = 1 << iota
	nameMore
	nameNext
	nameError
	nameID
	nameType
	nameEventData
	nameCreated
)

func (p *parser) envelope() (e envelope, err error) {
	tok, err := p.dec.ReadToken()
	if err != nil {
		return e, err
	}
	if tok.Kind() != '{' {
		return e, unreadable("no JSON object")
	}
	var met names
	members := 0
	for ; p.dec.PeekKind() == '"'; members++ {
		name, err := p.name(&met, envelopeName)
		if err != nil {
			return e, err
		}
		if met.bad != "" {
			return e, unreadable(met.bad)
		}
		if err := p.envelopeValue(&e, name); err != nil {
			return e, err
		}
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return e, err
	}
	if members > 0 && met.set&(nameData|nameMore|nameNext) == 0 {
		return e, unreadable("an object with none of data, has_more and next_token")
	}
	return e, p.end()
}

// end makes sure that nothing follows the value.
func (p *parser) end() error {
	_, err := p.dec.ReadToken()
	if err == io.EOF {
		return nil
	}
	return unreadable("something follows the JSON")
}

func (p *parser) envelopeValue(e *envelope, name int) error {
	switch name {
	case nameData:
		return p.data()
	case nameMore:
		v, err := p.value()
		if err != nil {
			return err
		}
		if v.Kind() != 't' && v.Kind() != 'f' {
			return unreadable("has_more is no boolean")
		}
		e.hasMore, e.more = true, v.Kind() == 't'
		return nil
	case nameNext:
		return p.next(e)
	case nameError:
		v, err := p.value()
		if err == nil && v.Kind() != 'n' {
			err = refusal{bytes.Clone(v)}
		}
		return err
	default:
		return p.dec.SkipValue()
	}
}

func (p *parser) next(e *envelope) error {
	v, err := p.value()
	if err != nil {
		return err
	}
	switch v.Kind() {
	case 'n':
		return nil
	case '"':
	default:
		return unreadable("next_token is neither a string nor null")
	}
	text, ok := textOf(v)
	if !ok {
		return unreadable("next_token is no UTF-8")
	}
	if len(text) > maxToken {
		return unreadable(fmt.Sprintf("next_token has %d bytes, more than %d", len(text), maxToken))
	}
	e.next = string(text)
	return nil
}

func (p *parser) data() error {
	tok, err := p.dec.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != '[' {
		return unreadable("data is no array")
	}
	for p.dec.PeekKind() != ']' {
		if len(p.rows) == maxRows {
			return unreadable(fmt.Sprintf("more than %d rows", maxRows))
		}
		r, err := p.row()
		if err != nil {
			return err
		}
		p.rows = append(p.rows, r)
	}
	_, err = p.dec.ReadToken()
	return err
}

// row reads one row. What is wrong with the row is noted in it; an error is
// one of the whole body.
func (p *parser) row() (r row, err error) {
	if p.dec.PeekKind() != '{' {
		v, err := p.value()
		r.end = int(p.dec.InputOffset())
		r.start, r.bad = r.end-len(v), "not an object"
		return r, err
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return r, err
	}
	r.start = int(p.dec.InputOffset()) - 1
	var met names
	for p.dec.PeekKind() == '"' {
		name, err := p.name(&met, rowName)
		if err != nil {
			return r, err
		}
		if err := p.rowValue(&r, name); err != nil {
			return r, err
		}
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return r, err
	}
	r.end = int(p.dec.InputOffset())
	p.judge(&r, met)
	return r, nil
}

func (p *parser) rowValue(r *row, name int) error {
	v, err := p.value()
	if err != nil {
		return err
	}
	switch name {
	case nameID:
		r.id, r.idOK = textOf(v)
		if !r.idOK || !printableID(r.id) {
			r.fault("event_id is not 1–512 printable ASCII bytes")
			r.idOK = false
		}
	case nameType:
		ok := false
		if r.typ, ok = textOf(v); !ok || !validType(r.typ) {
			r.fault("event_type is not 1–256 bytes of text")
		}
	case nameEventData:
		r.data = v
	case nameCreated:
		r.created, r.createdText = textOf(v)
		if !r.createdText && v.Kind() != 'n' {
			r.created = v
		}
	}
	return nil
}

// fault notes what is wrong; the first fault is the one that is told.
func (r *row) fault(reason string) {
	if r.bad == "" {
		r.bad = reason
	}
}

// judge looks at what only the whole row tells.
func (p *parser) judge(r *row, met names) {
	if met.bad != "" {
		r.bad = met.bad
	}
	switch {
	case r.end-r.start > maxRow:
		r.bad = fmt.Sprintf("larger than %d MiB", maxRow>>20)
	case p.wasCut(r):
		r.bad = fmt.Sprintf("nested deeper than %d levels", maxDepth)
	case met.set&nameID == 0:
		r.fault("event_id is missing")
	case met.set&nameType == 0:
		r.fault("event_type is missing")
	case met.set&nameEventData == 0:
		r.fault("event_data is missing")
	}
}

func (p *parser) wasCut(r *row) bool {
	for _, at := range p.cut {
		if r.start <= at && at < r.end {
			return true
		}
	}
	return false
}

// names remembers which members an object had, and what is wrong with them.
type names struct {
	set   int                 // the known ones
	other map[string]struct{} // the others
	bad   string
}

// name reads the name of the next member and notes a repeated one. Which tells
// a known name from an unknown one (0), and whether it is one in another case.
func (p *parser) name(met *names, which func([]byte) int) (int, error) {
	v, err := p.value()
	if err != nil {
		return 0, err
	}
	raw, plain := unescaped(v)
	if !plain {
		raw, _ = jsontext.AppendUnquote(nil, v)
	}
	known := which(raw)
	switch {
	case known != 0 && met.set&known != 0:
		met.bad = "a name stands twice"
	case known != 0:
		met.set |= known
	default:
		met.unknown(raw, which)
	}
	return known, nil
}

func (met *names) unknown(name []byte, which func([]byte) int) {
	if lower := bytes.ToLower(name); !bytes.Equal(lower, name) && which(lower) != 0 {
		met.bad = "a name is in another case: " + string(lower)
		return
	}
	if _, twice := met.other[string(name)]; twice {
		met.bad = "a name stands twice"
		return
	}
	if met.other == nil {
		met.other = map[string]struct{}{}
	}
	met.other[string(name)] = struct{}{}
}

func envelopeName(name []byte) int {
	switch string(name) {
	case "data":
		return nameData
	case "has_more":
		return nameMore
	case "next_token":
		return nameNext
	case "error":
		return nameError
	default:
		return 0
	}
}

func rowName(name []byte) int {
	switch string(name) {
	case "event_id":
		return nameID
	case "event_type":
		return nameType
	case "event_data":
		return nameEventData
	case "created_at":
		return nameCreated
	default:
		return 0
	}
}

// textOf returns what a string means; false for what is no string or no UTF-8.
func textOf(v jsontext.Value) ([]byte, bool) {
	if v.Kind() != '"' {
		return nil, false
	}
	if text, ok := unescaped(v); ok {
		return text, true
	}
	text, err := jsontext.AppendUnquote(nil, v)
	return text, err == nil
}

func validType(typ []byte) bool {
	if len(typ) == 0 || len(typ) > maxType || !utf8.Valid(typ) {
		return false
	}
	return !bytes.ContainsFunc(typ, isControl)
}

// isControl covers C0, DEL and C1: what moves a terminal's cursor.
func isControl(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 }

// checksum identifies a row's bytes.
func checksum(raw []byte) uint64 {
	sum := sha256.Sum256(raw)
	return binary.BigEndian.Uint64(sum[:8])
}
