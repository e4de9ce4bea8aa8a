package heygen

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
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
	start             int    // where it stands in the body
	raw               []byte // the whole row
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
//
// The library validates the whole body in one call, which is its fastest way;
// our own scan then only has to find its way through what is known to be JSON.
func (p *parser) page(body []byte, now time.Time) (*Page, error) {
	p.body, p.rows, p.cut = body, p.rows[:0], cutDeep(body, maxDepth)
	defer p.forget()
	if err := p.validate(); err != nil {
		return nil, err
	}
	e, err := p.envelope()
	if err != nil {
		return nil, err
	}
	page := &Page{Last: !e.more, Next: e.next, Bytes: len(body)}
	if !e.hasMore {
		page.Last = e.next == ""
	}
	p.fill(page, now)
	return page, nil
}

// validate makes sure that the body is one JSON value and nothing else. Inside
// event_data anything passes that has the form of JSON; envelope and rows are
// held to more later.
func (p *parser) validate() error {
	p.dec.Reset(bytes.NewBuffer(p.body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := p.dec.ReadValue(); err != nil {
		return p.explain(err)
	}
	if _, err := p.dec.ReadToken(); err != io.EOF {
		return unreadable("something follows the JSON")
	}
	return nil
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
	if p.body[skipSpace(p.body, 0)] != '{' {
		return e, unreadable("no JSON object")
	}
	var met names
	c, count := open(p.body, '{'), 0
	for ; c.more(); count++ {
		name := met.name(c.name(), envelopeName)
		if met.bad != "" {
			return e, unreadable(met.bad)
		}
		if err := p.envelopeValue(&e, name, &c); err != nil {
			return e, err
		}
	}
	if count > 0 && met.set&(nameData|nameMore|nameNext) == 0 {
		return e, unreadable("an object with none of data, has_more and next_token")
	}
	return e, nil
}

func (p *parser) envelopeValue(e *envelope, name int, c *cursor) error {
	if name == nameData {
		return p.data(c)
	}
	value := jsontext.Value(c.value())
	kind := value.Kind()
	switch name {
	case nameMore:
		if kind != 't' && kind != 'f' {
			return unreadable("has_more is no boolean")
		}
		e.hasMore, e.more = true, kind == 't'
	case nameNext:
		return e.setNext(value)
	case nameError:
		if kind != 'n' {
			return refusal{bytes.Clone(value)}
		}
	}
	return nil
}

func (e *envelope) setNext(value jsontext.Value) error {
	switch value.Kind() {
	case 'n':
		return nil
	case '"':
	default:
		return unreadable("next_token is neither a string nor null")
	}
	text, ok := textOf(value)
	if !ok {
		return unreadable("next_token is no UTF-8")
	}
	if len(text) > maxToken {
		return unreadable(fmt.Sprintf("next_token has %d bytes, more than %d", len(text), maxToken))
	}
	e.next = string(text)
	return nil
}

func (p *parser) data(c *cursor) error {
	if c.kind() != '[' {
		return unreadable("data is no array")
	}
	c.i++
	for c.more() {
		if len(p.rows) == maxRows {
			return unreadable(fmt.Sprintf("more than %d rows", maxRows))
		}
		p.rows = append(p.rows, p.row(c))
	}
	return nil
}

// row reads one row. What is wrong with it is noted in it.
func (p *parser) row(c *cursor) (r row) {
	r.start = c.i
	if c.kind() != '{' {
		r.raw, r.bad = c.value(), "not an object"
		return r
	}
	var met names
	for c.i++; c.more(); {
		name := met.name(c.name(), rowName)
		r.set(name, c.value())
	}
	r.raw = p.body[r.start:c.i]
	p.judge(&r, met)
	return r
}

func (r *row) set(name int, value jsontext.Value) {
	ok := false
	switch name {
	case nameID:
		r.id, ok = textOf(value)
		if r.idOK = ok && printableID(r.id); !r.idOK {
			r.fault("event_id is not 1–512 printable ASCII bytes")
		}
	case nameType:
		if r.typ, ok = textOf(value); !ok || !validType(r.typ) {
			r.fault("event_type is not 1–256 bytes of text")
		}
	case nameEventData:
		r.data = value
	case nameCreated:
		r.created, r.createdText = textOf(value)
		if !r.createdText && value.Kind() != 'n' {
			r.created = value
		}
	}
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
	case len(r.raw) > maxRow:
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
	return slices.ContainsFunc(p.cut, func(at int) bool { return r.start <= at && at < r.start+len(r.raw) })
}

// names remembers which members an object had, and what is wrong with them.
type names struct {
	set   int                 // the known ones
	other map[string]struct{} // the others
	bad   string
}

// name notes one more name and tells a known one (by which) from an unknown
// one (0). A repeated name, or a known one in another case, makes it bad.
func (met *names) name(quoted []byte, which func([]byte) int) int {
	name, plain := unescaped(quoted)
	if !plain {
		name, _ = jsontext.AppendUnquote(nil, quoted)
	}
	known := which(name)
	switch {
	case known == 0:
		met.unknown(name, which)
	case met.set&known != 0:
		met.bad = "a name stands twice"
	}
	met.set |= known
	return known
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
	if len(typ) == 0 || len(typ) > maxType {
		return false
	}
	return plainText(typ) || utf8.Valid(typ) && !bytes.ContainsFunc(typ, isControl)
}

// isControl covers C0, DEL and C1: what moves a terminal's cursor.
func isControl(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 }

// checksum identifies a row's bytes.
func checksum(raw []byte) uint64 {
	sum := sha256.Sum256(raw)
	return binary.BigEndian.Uint64(sum[:8])
}
