package heygen

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)

// rowOf returns a good row with event_data as given.
func rowOf(id, data string) string {
	return fmt.Sprintf(`{"event_id":%q,"event_type":"t","event_data":%s,"created_at":"2026-03-25T12:05:00Z"}`, id, data)
}

func pageOf(rows ...string) string {
	return `{"data":[` + strings.Join(rows, ",") + `],"has_more":false,"next_token":null}`
}

func TestEnvelope(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		events     int
		last       bool
		next       string
	}{
		{"documented last page", pageOf(rowOf("a", "{}")), 1, true, ""},
		{"more to come", `{"data":[],"has_more":true,"next_token":"n"}`, 0, false, "n"},
		{"only data", `{"data":[` + rowOf("a", "{}") + `]}`, 1, true, ""},
		{"has_more absent, a token", `{"data":[],"next_token":"n"}`, 0, false, "n"},
		{"has_more absent, token null", `{"data":[],"next_token":null}`, 0, true, ""},
		{"data absent", `{"has_more":true,"next_token":"n"}`, 0, false, "n"},
		{"broken listing", `{"data":[],"has_more":true}`, 0, false, ""},
		{"broken listing, empty token", `{"data":[],"has_more":true,"next_token":""}`, 0, false, ""},
		{"has_more false beats a token", `{"data":[],"has_more":false,"next_token":"n"}`, 0, true, "n"},
		{"all absent", `{}`, 0, true, ""},
		{"unknown members", `{"total":7,"data":[],"has_more":false,"links":{"next":[1]}}`, 0, true, ""},
		{"error is null", `{"error":null,"data":[],"has_more":false}`, 0, true, ""},
		{"white space", " \r\n\t{ \"data\" : [ " + rowOf("a", "{}") + " , " + rowOf("b", "{}") + " ] , \"has_more\" : true , \"next_token\" : \"n\" } \n", 2, false, "n"},
		{"escaped names", `{"d\u0061ta":[],"has_more":true,"next_token":"n"}`, 0, false, "n"},
		{"token of odd characters", `{"data":[],"has_more":true,"next_token":"+/=%&#\u00e9\"\\ü"}`, 0, false, "+/=%&#é\"\\ü"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := newParser().page([]byte(tt.body), testNow)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Events) != tt.events || len(p.Bad) != 0 || p.Last != tt.last || p.Next != tt.next || p.Bytes != len(tt.body) {
				t.Errorf("got %d events, %d bad, last %v, next %q, %d bytes", len(p.Events), len(p.Bad), p.Last, p.Next, p.Bytes)
			}
		})
	}
}

func TestEnvelopeRefused(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"empty", "", "an empty body"},
		{"blank", " \n", "an empty body"},
		{"HTML", "<!DOCTYPE html><p>sign in", "HTML"},
		{"text", "upstream error", "no JSON at byte 0"},
		{"array", "[]", "no JSON object"},
		{"null", "null", "no JSON object"},
		{"cut in a row", pageOf(rowOf("a", "{}"))[:60], "cut off after 60 bytes"},
		{"cut at the end", `{"data":[],"has_more":false`, "cut off"},
		{"garbage behind", pageOf() + "x", "something follows"},
		{"second value behind", pageOf() + "{}", "something follows"},
		{"NUL behind", pageOf() + "\x00", "something follows"},
		{"error object", `{"error":{"code":"x","message":"y"}}`, "error object"},
		{"error beside data", `{"data":[],"has_more":false,"error":"x"}`, "error object"},
		{"none of ours", `{"message":"slow down"}`, "none of data"},
		{"data null", `{"data":null,"has_more":false}`, "data is no array"},
		{"data object", `{"data":{},"has_more":false}`, "data is no array"},
		{"has_more string", `{"data":[],"has_more":"false"}`, "has_more is no boolean"},
		{"has_more null", `{"data":[],"has_more":null}`, "has_more is no boolean"},
		{"token number", `{"data":[],"has_more":true,"next_token":1}`, "neither a string nor null"},
		{"token no UTF-8", "{\"data\":[],\"next_token\":\"\xff\"}", "no UTF-8"},
		{"token too long", `{"data":[],"next_token":"` + strings.Repeat("t", maxToken+1) + `"}`, "more than"},
		{"data twice", `{"data":[],"data":[],"has_more":false}`, "stands twice"},
		{"unknown twice", `{"data":[],"x":1,"x":2}`, "stands twice"},
		{"other case", `{"Data":[],"has_more":false}`, "another case: data"},
		{"other case beside", `{"data":[],"has_more":false,"HAS_MORE":true}`, "another case: has_more"},
		{"trailing comma", `{"data":[],}`, "no JSON at byte"},
		{"too many rows", `{"data":[` + strings.Repeat("1,", maxRows) + `1]}`, "more than 10000 rows"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := newParser().page([]byte(tt.body), testNow)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %+v, %v; want an error with %q", p, err, tt.want)
			}
		})
	}
}

func TestBadRows(t *testing.T) {
	long := strings.Repeat("i", maxID)
	for _, tt := range []struct{ name, row, id, reason string }{
		{"null", `null`, "", "not an object"},
		{"string", `"evt"`, "", "not an object"},
		{"array", `[{"event_id":"a"}]`, "", "not an object"},
		{"empty", `{}`, "", "event_id is missing"},
		{"id missing", `{"event_type":"t","event_data":{}}`, "", "event_id is missing"},
		{"id null", `{"event_id":null,"event_type":"t","event_data":{}}`, "", "event_id is not"},
		{"id number", `{"event_id":7,"event_type":"t","event_data":{}}`, "", "event_id is not"},
		{"id empty", `{"event_id":"","event_type":"t","event_data":{}}`, "", "event_id is not"},
		{"id too long", `{"event_id":"i` + long + `","event_type":"t","event_data":{}}`, "", "event_id is not"},
		{"id with umlaut", `{"event_id":"ü","event_type":"t","event_data":{}}`, "", "event_id is not"},
		{"id with newline", `{"event_id":"a\nb","event_type":"t","event_data":{}}`, "", "event_id is not"},
		{"id no UTF-8", "{\"event_id\":\"a\xff\",\"event_type\":\"t\",\"event_data\":{}}", "", "event_id is not"},
		{"id twice", `{"event_id":"a","event_id":"b","event_type":"t","event_data":{}}`, "b", "stands twice"},
		{"id in capitals", `{"EVENT_ID":"a","event_type":"t","event_data":{}}`, "", "another case: event_id"},
		{"id also in capitals", `{"event_id":"a","EVENT_ID":"b","event_type":"t","event_data":{}}`, "a", "another case: event_id"},
		{"unknown twice", `{"event_id":"a","event_type":"t","event_data":{},"x":1,"x":1}`, "a", "stands twice"},
		{"type missing", `{"event_id":"a","event_data":{}}`, "a", "event_type is missing"},
		{"type null", `{"event_id":"a","event_type":null,"event_data":{}}`, "a", "event_type is not"},
		{"type empty", `{"event_id":"a","event_type":"","event_data":{}}`, "a", "event_type is not"},
		{"type with escape", `{"event_id":"a","event_type":"t\u001b[2J","event_data":{}}`, "a", "event_type is not"},
		{"type with C1", `{"event_id":"a","event_type":"t\u009b","event_data":{}}`, "a", "event_type is not"},
		{"type too long", `{"event_id":"a","event_type":"` + strings.Repeat("t", maxType+1) + `","event_data":{}}`, "a", "event_type is not"},
		{"type no UTF-8", "{\"event_id\":\"a\",\"event_type\":\"t\xff\",\"event_data\":{}}", "a", "event_type is not"},
		{"data missing", `{"event_id":"` + long + `","event_type":"t"}`, long[:64], "event_data is missing"},
		{"data twice", `{"event_id":"a","event_type":"t","event_data":{},"event_data":{}}`, "a", "stands twice"},
		{"too large", rowOf("a", `"`+strings.Repeat("x", maxRow)+`"`), "a", "larger than 8 MiB"},
		{"too deep", rowOf("a", strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)), "a", "nested deeper than 1000"},
		{"too deep, objects", rowOf("a", strings.Repeat(`{"x":`, 100_000)+"1"+strings.Repeat("}", 100_000)), "a", "nested deeper than 1000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := pageOf(rowOf("before", "{}"), tt.row, rowOf("after", "{}"))
			p, err := newParser().page([]byte(body), testNow)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Events) != 2 || p.Events[0].ID != "before" || p.Events[1].ID != "after" || len(p.Bad) != 1 {
				t.Fatalf("the rest of the page did not go on: %d events, %d bad", len(p.Events), len(p.Bad))
			}
			bad := p.Bad[0]
			if bad.ID != tt.id || !strings.Contains(bad.Reason, tt.reason) || bad.Bytes != len(tt.row) || bad.Sum == 0 {
				t.Errorf("got id %q, %d bytes, %q; want %q, %d, %q", bad.ID, bad.Bytes, bad.Reason, tt.id, len(tt.row), tt.reason)
			}
		})
	}
}

// TestDepth: depth costs no stack, and up to the bound it is read.
func TestDepth(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(4 << 20))
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	deepest := nested(maxDepth - 3) // envelope, data and row are levels too
	p, err := newParser().page([]byte(pageOf(rowOf("a", deepest), rowOf("b", nested(maxDepth-2)))), testNow)
	if err != nil || len(p.Events) != 1 || string(p.Events[0].Data) != deepest || len(p.Bad) != 1 || p.Bad[0].ID != "b" {
		t.Fatalf("got %+v, %v", p, err)
	}
	if _, err := newParser().page([]byte(strings.Repeat("[", 8<<20)), testNow); err == nil {
		t.Error("8 Mi of opening brackets are a page")
	}
	if _, ok := FactOf("t", []byte(`{"video_id":"v","x":`+nested(1<<20)+`}`)); ok {
		t.Error("a content key of something 1 Mi levels deep")
	}
}

// TestFidelity: what came inside event_data is what stays, byte for byte.
func TestFidelity(t *testing.T) {
	for _, data := range []string{
		`{"a":1,"a":2,"A":3}`, `{"n":1.10}`, `{"n":9007199254740993}`, `{"n":1E400,"m":-0}`, `{"s":"<&>"}`,
		"{\"s\":\"\u2028\u2029\"}", `{"s":"\u2028\u003c\/"}`, "{\"s\":\"\xff\xc0\x80\"}", `{"s":"\ud800"}`,
		"{ \"a\" :\t[ 1 ,\n 2 ] ,\r\n\"b\" : { } }", `{}`, `null`, `[]`, `"text"`, `12`, `true`, `{"":""}`,
		`{"event_id":"inner","EVENT_ID":1}`, `{"q":"\\\"]}","r":"\\"}`, `{"e":"` + strings.Repeat("é", 40_000) + `"}`,
	} {
		body := []byte(pageOf(rowOf("a", data), rowOf("b", `{"next":1}`)))
		p, err := newParser().page(body, testNow)
		if err != nil || len(p.Events) != 2 {
			t.Fatalf("%.40q: %+v, %v", data, p, err)
		}
		clear(body) // the page must not lean on the body
		if got := string(p.Events[0].Data); got != data {
			t.Errorf("got %.60q, want %.60q", got, data)
		}
		if got := string(append(p.Events[0].Data, "tail"...)); !strings.HasSuffix(got, "tail") || string(p.Events[1].Data) != `{"next":1}` {
			t.Errorf("%.40q: growing one event's data reaches into the next", data)
		}
	}
}

func TestRowFields(t *testing.T) {
	at := time.Date(2026, 3, 25, 12, 5, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, row string
		want      Event
	}{
		{"documented", rowOf("evt_abc123", "{}"), Event{ID: "evt_abc123", Type: "t", CreatedAt: at, Created: "2026-03-25T12:05:00Z"}},
		{"extra fields", `{"event_id":"a","v":{"event_id":"b"},"event_type":"t","event_data":{}}`, Event{ID: "a", Type: "t"}},
		{"escapes", `{"event_id":"\u0061\/b","event_type":"\u0074\u00fc","event_data":{}}`, Event{ID: "a/b", Type: "tü"}},
		{"created null", `{"event_id":"a","event_type":"t","event_data":{},"created_at":null}`, Event{ID: "a", Type: "t"}},
		{"created number", `{"event_id":"a","event_type":"t","event_data":{},"created_at":1774440000}`, Event{ID: "a", Type: "t", Created: "1774440000"}},
		{"created garbage", `{"event_id":"a","event_type":"t","event_data":{},"created_at":"soon\u001b[1m"}`, Event{ID: "a", Type: "t", Created: "soon [1m"}},
		{"created long", `{"event_id":"a","event_type":"t","event_data":{},"created_at":"` + strings.Repeat("9", 99) + `"}`,
			Event{ID: "a", Type: "t", Created: strings.Repeat("9", maxCreated)}},
		{"created far", `{"event_id":"a","event_type":"t","event_data":{},"created_at":"9999-01-01T00:00:00Z"}`, Event{ID: "a", Type: "t", Created: "9999-01-01T00:00:00Z"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := newParser().page([]byte(pageOf(tt.row)), testNow)
			if err != nil || len(p.Events) != 1 {
				t.Fatalf("%+v, %v", p, err)
			}
			got := p.Events[0]
			if got.ID != tt.want.ID || got.Type != tt.want.Type || !got.CreatedAt.Equal(tt.want.CreatedAt) || got.Created != tt.want.Created || string(got.Data) != "{}" {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestBadRowSum: the same bytes have the same sum, on another page as well.
func TestBadRowSum(t *testing.T) {
	sum := func(rows ...string) uint64 {
		p, err := newParser().page([]byte(pageOf(rows...)), testNow)
		if err != nil || len(p.Bad) != 1 {
			t.Fatalf("%+v, %v", p, err)
		}
		return p.Bad[0].Sum
	}
	if a, b, c := sum(`{"x":1}`), sum(rowOf("a", "{}"), `{"x":1}`), sum(`{"x":2}`); a != b || a == c {
		t.Errorf("sums %x, %x, %x", a, b, c)
	}
}

// TestPageCost pins the allocations: about one an event.
func TestPageCost(t *testing.T) {
	body, p := listing(100), newParser()
	got := testing.AllocsPerRun(20, func() {
		if _, err := p.page(body, testNow); err != nil {
			t.Fatal(err)
		}
	})
	if got > 120 {
		t.Errorf("%v allocations for 100 events, want at most 120", got)
	}
}

// TestParserForgets: a parser is used on after a page of any size or fault.
func TestParserForgets(t *testing.T) {
	p := newParser()
	for _, body := range [][]byte{listing(2000), []byte("{"), []byte(pageOf("1", "2")), listing(3)} {
		_, _ = p.page(bytes.Clone(body), testNow)
		if p.body != nil || cap(p.rows) > 2000 {
			t.Fatal("the parser holds on to a body or a large table")
		}
	}
	page, err := p.page(listing(3), testNow)
	if err != nil || len(page.Events) != 3 || len(page.Bad) != 0 {
		t.Fatalf("%+v, %v", page, err)
	}
}
