package heygen

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzPage holds the parser of pages against encoding/json, which reads the
// same body in its own way: both find the same rows in the same order, and of
// a row either the same event or something to put aside. What is read does not
// lean on the body, takes no more room than it, and is the same a second time.
func FuzzPage(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "[]", pageOf(), pageOf(rowOf("a", `{"video_id":"v","url":"https://h/?x"}`), "null"),
		`{"data":[{"EVENT_ID":"a"}],"has_more":true,"next_token":"\u00fc"}`, `{"error":{}}`, "{\"data\":[\"\xff\"]}", `{"data":[[[[`, string(listing(2)),
		pageOf(`{"event_id":"a","event_id":"b","event_type":"t","event_data":{}}`, rowOf("c", `"\ud800"`)), pageOf(rowOf(`\u0061`, "[1,\n 2]"), "{}"),
		`{"has_more":false,"data":[{"event_type":"t\u001b","event_id":"a","event_data":null,"created_at":7}],"x":1}`, "\ufeff{}", pageOf() + "]",
		pageOf(rowOf("deep", strings.Repeat("[", maxDepth)+strings.Repeat("]", maxDepth))),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		original := bytes.Clone(body)
		p := newParser()
		page, err := p.page(body, testNow)
		clear(body)
		if err != nil {
			mustHaveReason(t, original, err)
			return
		}
		samePage(t, p, page, original)
		soundPage(t, page, original)
		if shallow(original) {
			asJSONReads(t, page, original)
		}
	})
}

// shallow reports whether nothing of the body can have been cut for its depth.
func shallow(body []byte) bool {
	return bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) <= maxDepth
}

// mustHaveReason: what is JSON is refused for what it says, not as no JSON; and
// no refusal quotes the body.
func mustHaveReason(t *testing.T, body []byte, err error) {
	if json.Valid(body) == mentionsForm(err) && shallow(body) {
		t.Errorf("refused with %q, JSON %v", err, json.Valid(body))
	}
	if !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("an error that quotes the body: %q", err)
	}
}

// mentionsForm reports whether an error is about the form of the body.
func mentionsForm(err error) bool {
	for _, form := range []string{"an empty body", "cut off after", "HTML or XML", "no JSON at byte", "something follows"} {
		if strings.HasPrefix(err.Error(), form) {
			return true
		}
	}
	return false
}

// samePage: the same parser and a new one read the same again, and the first
// page keeps what it had.
func samePage(t *testing.T, used *parser, page *Page, original []byte) {
	for _, p := range []*parser{used, newParser()} {
		again, err := p.page(bytes.Clone(original), testNow)
		if err != nil || !reflect.DeepEqual(page, again) {
			t.Errorf("a second reading gave %+v, %v; the first %+v", again, err, page)
		}
	}
}

// soundPage: the rules that hold for every page.
func soundPage(t *testing.T, page *Page, original []byte) {
	room := 0
	for _, e := range page.Events {
		room += len(e.ID) + len(e.Type) + cap(e.Data)
		if !PrintableID(e.ID) || !validType([]byte(e.Type)) || len(e.Created) > maxCreated || !plainOrUTF8(e.Created) {
			t.Errorf("an event that breaks the rules: %q, %q, %q", e.ID, e.Type, e.Created)
		}
		if at, ok := ParseTime(e.Created, testNow); ok && !e.CreatedAt.IsZero() && !at.Equal(e.CreatedAt) || !ok && !e.CreatedAt.IsZero() {
			t.Errorf("created_at %q is %v", e.Created, e.CreatedAt)
		}
		if fact, ok := e.Fact(); ok != (e.Entity() != "") && nesting(e.Data) <= maxFactDepth || ok == fact.IsZero() {
			t.Errorf("fact %v of entity %q", ok, e.Entity())
		}
	}
	if room > len(original) || page.Bytes != len(original) {
		t.Errorf("%d bytes became %d, said to be %d", len(original), room, page.Bytes)
	}
}

func plainOrUTF8(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, isControl) }

// nesting is how deep brackets lie in data.
func nesting(data []byte) (deepest int) {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = skipString(data, i) - 1
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return deepest
}

// asJSONReads reads the body with encoding/json and compares.
func asJSONReads(t *testing.T, page *Page, body []byte) {
	var envelope map[string]json.RawMessage
	if err := json.Unmarshal(body, &envelope); err != nil {
		t.Fatalf("a page was read of what is no JSON object: %v", err)
	}
	var rows []json.RawMessage
	if raw, ok := envelope["data"]; ok {
		mustUnmarshal(t, raw, &rows)
	}
	next, more := "", false
	mustUnmarshal(t, cmpOr(envelope["next_token"], "null"), &next)
	mustUnmarshal(t, cmpOr(envelope["has_more"], "null"), &more)
	if _, said := envelope["has_more"]; !said {
		more = next != ""
	}
	if page.Last == more || page.Next != next {
		t.Errorf("last %v, next %q; the body says more %v, next %q", page.Last, page.Next, more, next)
	}
	if len(page.Events)+len(page.Bad) != len(rows) {
		t.Fatalf("%d events and %d bad rows of %d", len(page.Events), len(page.Bad), len(rows))
	}
	events, bad := page.Events, page.Bad
	for _, raw := range rows {
		if len(events) > 0 && isRow(t, events[0], raw) {
			events = events[1:]
			continue
		}
		if len(bad) == 0 || bad[0].Bytes != len(raw) || bad[0].Sum != checksum(raw) || bad[0].Reason == "" {
			t.Fatalf("neither the next event nor the next bad row is %q", raw)
		}
		if why := goodRow(raw); why == "" {
			t.Errorf("put aside for %q, though nothing is wrong with %q", bad[0].Reason, raw)
		}
		bad = bad[1:]
	}
}

func cmpOr(raw json.RawMessage, none string) json.RawMessage {
	if raw == nil {
		return json.RawMessage(none)
	}
	return raw
}

func mustUnmarshal(t *testing.T, raw json.RawMessage, into any) {
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("read, though it is of another kind: %q: %v", raw, err)
	}
}

// isRow reports whether the event is what encoding/json finds in the row.
func isRow(t *testing.T, e Event, raw json.RawMessage) bool {
	var row map[string]json.RawMessage
	if json.Unmarshal(raw, &row) != nil || goodRow(raw) != "" {
		return false
	}
	var id, typ string
	mustUnmarshal(t, row["event_id"], &id)
	mustUnmarshal(t, row["event_type"], &typ)
	return e.ID == id && e.Type == typ && bytes.Equal(e.Data, row["event_data"])
}

// goodRow says what is wrong with a row, as encoding/json reads it; "" nothing.
func goodRow(raw json.RawMessage) string {
	names, ok := memberNames(raw)
	if !ok {
		return "no object"
	}
	set := map[string]bool{}
	for _, name := range names {
		lower := strings.ToLower(name)
		if set[name] || lower != name && rowName([]byte(lower)) != 0 {
			return "a name twice or in another case"
		}
		set[name] = true
	}
	var row map[string]json.RawMessage
	if err := json.Unmarshal(raw, &row); err != nil {
		return err.Error()
	}
	var id, typ *string
	if json.Unmarshal(cmpOr(row["event_id"], "null"), &id) != nil || id == nil || !PrintableID(*id) {
		return "event_id"
	}
	if json.Unmarshal(cmpOr(row["event_type"], "null"), &typ) != nil || typ == nil || !validType([]byte(*typ)) || badUTF8(row["event_type"]) {
		return "event_type"
	}
	if row["event_data"] == nil {
		return "event_data"
	}
	return ""
}

// badUTF8 reports whether a string means nothing: bad bytes, or half a
// surrogate pair; encoding/json puts U+FFFD there and says nothing.
func badUTF8(quoted json.RawMessage) bool {
	_, err := jsontext.AppendUnquote(nil, quoted)
	return err != nil
}

// memberNames are the names of an object in their order; false for no object.
func memberNames(raw json.RawMessage) ([]string, bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return nil, false
	}
	var names []string
	for dec.More() {
		name, err := dec.Token()
		var value json.RawMessage
		if err != nil || dec.Decode(&value) != nil {
			return nil, false
		}
		names = append(names, name.(string))
	}
	return names, true
}
