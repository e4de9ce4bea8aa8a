package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// FuzzParseSeen holds the reading of a report against encoding/json: what is
// taken are the items that it finds, each with a valid id or with the content
// key of its body; where the report is cut into several makes no difference; and
// an error names the first item that is wrong.
func FuzzParseSeen(f *testing.F) {
	for _, seed := range []string{
		`{"event_id":"a"}`, `[{"event_id":"a"},{"event_type":"t","event_data":{"video_id":"v"}}]`, "{}\n[]", `{"event_id":"a"`, "[[[[", "[]", "", "[] []",
		`{"event_id":null,"event_type":"t","event_data":{"x":1},"received_at":"2026-03-25T11:00:00Z"}`, `{"event_id":"a"}{"event_id":""}`, "{\"event_id\":\"\xff\"}",
		`{"event_id":"\u0061 b","more":[1,{"event_id":7}]} [ ] [{"event_id":"c"} , {"event_type":"t","event_data":null}]`, `{"event_data":1,"event_data":2}`,
		`[{"event_id":"a"},7]`, `{"event_id":"a"} x`, `"a"`, `[{"event_id":"a"}`, `{"\u0065vent_id":"a","received_at":"2027-01-01T00:00:00Z"}`, "\ufeff{}", "nul", `[{"event_id":"a"},]`,
		`{"event_type":"t\u0000","event_data":{"id":"v"}}`, `{"event_type":"","event_data":{"id":"v"}}`, `{"event_id":"a"},{"event_id":"b"}`, `{"event_id":null,"event_id":"a"}`,
	} {
		f.Add([]byte(seed))
	}
	now := time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)
	parse := func(body []byte) ([]state.Sighting, int, error) { return parseSeen(body, state.Report, now) }
	f.Fuzz(func(t *testing.T, body []byte) {
		seen, unmatchable, err := parse(body)
		items, ok := itemsOf(body)
		if err != nil {
			if seen != nil || unmatchable != 0 {
				t.Error("a refused body gave items")
			}
			if ok {
				firstWrong(t, items, err, parse)
			}
			return
		}
		if !ok || len(seen)+unmatchable != len(items) || len(items) == 0 {
			t.Fatalf("%d and %d unmatchable of %d items, JSON %v", len(seen), unmatchable, len(items), ok)
		}
		left := asItems(t, seen, items, now)
		if left != unmatchable {
			t.Errorf("%d items are unmatchable, said were %d", left, unmatchable)
		}
		for cut := 1; cut < len(items); cut += 1 + len(items)/8 {
			first, n1, err1 := parse(bytes.Join(items[:cut], []byte("\n")))
			rest, n2, err2 := parse([]byte("[" + string(bytes.Join(items[cut:], []byte(","))) + "]"))
			if err1 != nil || err2 != nil || !slices.Equal(append(first, rest...), seen) || n1+n2 != unmatchable {
				t.Errorf("cut after item %d it is another report: %v, %v", cut, err1, err2)
			}
		}
	})
}

// itemsOf are the items of a body as encoding/json finds them: what stands in
// arrays, and what stands alone. False when the body is no JSON.
func itemsOf(body []byte) (items [][]byte, ok bool) {
	for dec := json.NewDecoder(bytes.NewReader(body)); ; {
		var value json.RawMessage
		if err := dec.Decode(&value); errors.Is(err, io.EOF) {
			return items, true
		} else if err != nil {
			return nil, false
		}
		if value[0] != '[' {
			items = append(items, value)
			continue
		}
		var inner []json.RawMessage
		if err := json.Unmarshal(value, &inner); err != nil {
			return nil, false
		}
		for _, item := range inner {
			items = append(items, item)
		}
	}
}

// firstWrong: the item that the error names is refused alone, and those before
// it are taken.
func firstWrong(t *testing.T, items [][]byte, err error, parse func([]byte) ([]state.Sighting, int, error)) {
	if len(items) == 0 {
		if err.Error() != "the body is empty" {
			t.Errorf("no items: %v", err)
		}
		return
	}
	n := 0
	if _, scanned := fmt.Sscanf(err.Error(), "item %d: ", &n); scanned != nil || n < 1 || n > len(items) {
		t.Fatalf("%q names none of the %d items", err, len(items))
	}
	if _, _, alone := parse(items[n-1]); alone == nil {
		t.Errorf("%q, but alone the item is fine: %q", err, items[n-1])
	}
	if n > 1 {
		if _, _, before := parse(bytes.Join(items[:n-1], []byte(" "))); before != nil {
			t.Errorf("%q, but %v comes before it", err, before)
		}
	}
}

// asItems compares what was read with the items, and counts those that account
// for nothing.
func asItems(t *testing.T, seen []state.Sighting, items [][]byte, now time.Time) (unmatchable int) {
	for _, raw := range items {
		want := sightingOf(t, raw, now)
		if want.ID == "" && want.Fact.IsZero() {
			unmatchable++
			continue
		}
		if len(seen) == 0 || seen[0] != want {
			t.Fatalf("%q was read as %+v, want %+v", raw, seen, want)
		}
		seen = seen[1:]
	}
	return unmatchable
}

// sightingOf is what an item proves, as encoding/json reads it.
func sightingOf(t *testing.T, raw []byte, now time.Time) state.Sighting {
	var item map[string]json.RawMessage
	if err := json.Unmarshal(raw, &item); err != nil {
		t.Fatalf("taken, though it is no object: %q", raw)
	}
	text := func(key string) (s string) {
		if value, ok := item[key]; ok && json.Unmarshal(value, &s) != nil {
			t.Fatalf("%s was taken, though it is no string: %q", key, raw)
		}
		return s
	}
	want := state.Sighting{ID: text("event_id"), At: now, Proof: state.Report}
	if at := text("received_at"); at != "" {
		var ok bool
		if want.At, ok = heygen.ParseTime(at, now); !ok {
			t.Fatalf("received_at was taken: %q", raw)
		}
	}
	if id := item["event_id"]; id != nil && string(id) != "null" {
		if !heygen.PrintableID(want.ID) {
			t.Fatalf("an id that is none was taken: %q", raw)
		}
		return want
	}
	if text("event_type") == "" || item["event_data"] == nil {
		t.Fatalf("neither an id nor a push was taken: %q", raw)
	}
	want.Fact, _ = heygen.FactOf(text("event_type"), item["event_data"])
	return want
}

// TestSeenErrorsAreOneLine: what a reporter sent is not repeated to a terminal.
func TestSeenErrorsAreOneLine(t *testing.T) {
	for _, body := range []string{"\x1b[31m", "{\"a\x1b\":\x1b}", "[\n\x00", "{\"event_id\":\"\x01\"}", "{\"event_id\":\"a\"}\r\n\x07"} {
		_, _, err := parseSeen([]byte(body), state.Report, time.Now())
		if err == nil || strings.ContainsAny(err.Error(), "\x00\x01\x07\x1b\r\n") {
			t.Errorf("%q: error %q", body, err)
		}
	}
}
