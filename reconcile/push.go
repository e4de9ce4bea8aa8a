package reconcile

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"backstop/internal/heygen"
	"backstop/state"
)

// Push tells what a push proves, from its headers and its body: the id of the
// event, its content key, or both, which says that the two belong together.
// False when nothing can be known. Real pushes come without an id, too.
//
// The header's id goes before one in the body. A name that stands twice makes
// the body unreadable, for readers differ in which of the two counts; inside
// event_data anything passes. Neither a signature nor a time is looked at: the
// caller knows why to believe the push.
func Push(h http.Header, body []byte, proof state.Proof, now time.Time) (state.Sighting, bool) {
	seen := state.Sighting{ID: h.Get("Heygen-Event-Id"), At: now, Proof: proof}
	said, _ := readPush(body) // a body that can't be read says nothing
	if !heygen.PrintableID(seen.ID) {
		seen.ID = said.id
	}
	if !heygen.PrintableID(seen.ID) {
		seen.ID = ""
	}
	if said.eventType != "" && said.data != nil {
		seen.Fact, _ = heygen.FactOf(said.eventType, said.data)
	}
	return seen, seen.ID != "" || !seen.Fact.IsZero()
}

// pushBody is what the body of a push says; "" and nil are what it does not.
type pushBody struct {
	id, eventType string
	data          []byte // event_data as it stands
}

var errNoPush = errors.New("the body is not that of a push")

// readPush reads one JSON object and nothing behind it.
func readPush(body []byte) (pushBody, error) {
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	fields, err := pushFields(d)
	if err != nil {
		return pushBody{}, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return pushBody{}, errNoPush
	}
	return pushBody{id: plainText(fields["event_id"]), eventType: plainText(fields["event_type"]), data: fields["event_data"]}, nil
}

// pushFields are the values of the names that mean something.
func pushFields(d *jsontext.Decoder) (map[string]jsontext.Value, error) {
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, errNoPush
	}
	fields := map[string]jsontext.Value{"event_id": nil, "event_type": nil, "event_data": nil}
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		switch had, known := fields[name]; {
		case !known:
		case had != nil:
			return nil, errNoPush
		default:
			fields[name] = bytes.Clone(value)
		}
	}
	_, err := d.ReadToken()
	return fields, err
}

// plainText is the text of a JSON string, "" for any other value.
func plainText(value jsontext.Value) string {
	if value.Kind() != '"' {
		return ""
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return ""
	}
	return string(text)
}
