package api

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"backstop/state"
)

func TestParseSeen(t *testing.T) {
	now := time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)
	long := strings.Repeat("x", 513)
	push := `{"event_type":"avatar_video.success","event_data":{"video_id":"v1","url":"https://a/b?c=d"}}`
	for _, tc := range []struct {
		name, body  string
		ids         []string // "" is content
		unmatchable int
		wrong       string // part of the error; "" none
	}{
		{name: "one object", body: `{"event_id":"evt_1"}`, ids: []string{"evt_1"}},
		{name: "array", body: ` [ {"event_id":"a"} , {"event_id":"b"} ] `, ids: []string{"a", "b"}},
		{name: "lines", body: "{\"event_id\":\"a\"}\n{\"event_id\":\"b\"}\n", ids: []string{"a", "b"}},
		{name: "arrays after each other", body: `[{"event_id":"a"}][{"event_id":"b"}]`, ids: []string{"a", "b"}},
		{name: "other keys are passed over", body: `{"event_id":"a","more":{"x":[1,2]}}`, ids: []string{"a"}},
		{name: "a whole row of the listing goes by its id", body: `{"event_id":"a","event_type":"t","event_data":{},"created_at":"2026-03-25T12:05:00Z"}`, ids: []string{"a"}},
		{name: "received_at", body: `{"event_id":"a","received_at":"2026-03-25T11:00:00Z"}`, ids: []string{"a"}},
		{name: "anonymous push", body: push, ids: []string{""}},
		{name: "null id is no id", body: `{"event_id":null,` + push[1:], ids: []string{""}},
		{name: "content without an entity accounts for nothing", body: `{"event_type":"t","event_data":{"x":1}}`, unmatchable: 1},
		{name: "longest id", body: `{"event_id":"` + long[:512] + `"}`, ids: []string{long[:512]}},

		{name: "empty body", body: "", wrong: "empty"},
		{name: "white space", body: " \n", wrong: "empty"},
		{name: "empty array", body: "[]", wrong: "empty"},
		{name: "empty object", body: "{}", wrong: "neither event_id nor event_type"},
		{name: "no JSON", body: "evt_1", wrong: "item 1"},
		{name: "a bare string", body: `"evt_1"`, wrong: "no JSON object"},
		{name: "a number in an array", body: `[{"event_id":"a"},7]`, wrong: "item 2"},
		{name: "empty id", body: `{"event_id":""}`, wrong: "printable ASCII"},
		{name: "too long", body: `{"event_id":"` + long + `"}`, wrong: "printable ASCII"},
		{name: "line feed in an id", body: `{"event_id":"a\nb"}`, wrong: "printable ASCII"},
		{name: "not ASCII", body: `{"event_id":"é"}`, wrong: "printable ASCII"},
		{name: "number as an id", body: `{"event_id":7}`, wrong: "no string"},
		{name: "id twice", body: `{"event_id":"a","event_id":"b"}`, wrong: "twice"},
		{name: "id and then null", body: `{"event_id":"a","event_id":null}`, wrong: "event_id is there twice"},
		{name: "bad item among good ones", body: `[{"event_id":"a"},{"event_id":"b"},{"event_id":""}]`, wrong: "item 3"},
		{name: "type without data", body: `{"event_type":"t"}`, wrong: "no event_data"},
		{name: "cut off", body: `{"event_id":"a"`, wrong: "item 1"},
		{name: "cut off in an array", body: `[{"event_id":"a"},`, wrong: "item 2"},
		{name: "trailing garbage", body: `{"event_id":"a"} x`, wrong: "item 2"},
		{name: "time of no kind", body: `{"event_id":"a","received_at":"yesterday"}`, wrong: "received_at"},
		{name: "time of the far future", body: `{"event_id":"a","received_at":"2027-03-25T11:00:00Z"}`, wrong: "received_at"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			seen, unmatchable, err := parseSeen([]byte(tc.body), state.Report, now)
			if tc.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wrong) {
					t.Fatalf("error %v, want one with %q", err, tc.wrong)
				}
				if seen != nil {
					t.Errorf("a refused body gave %d items", len(seen))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, s := range seen {
				ids = append(ids, s.ID)
				if s.Proof != state.Report || s.At.After(now) {
					t.Errorf("item %+v, want proof report and a time of the past", s)
				}
				if s.ID == "" && s.Fact.IsZero() {
					t.Error("content without a fact")
				}
			}
			if got, want := strings.Join(ids, ","), strings.Join(tc.ids, ","); got != want || len(ids) != len(tc.ids) {
				t.Errorf("ids %q, want %q", got, want)
			}
			if unmatchable != tc.unmatchable {
				t.Errorf("unmatchable %d, want %d", unmatchable, tc.unmatchable)
			}
		})
	}
}

// What a verb asks for is what the daemon understands.
func TestFilterThereAndBack(t *testing.T) {
	want := state.Filter{
		Status: []state.Status{state.Seen, state.Dead}, Type: []string{"a", "b"}, Entity: "e", Proof: state.Replay,
		Since: time.Date(2026, 3, 25, 12, 0, 0, 1, time.UTC), Until: time.Date(2026, 3, 26, 12, 0, 0, 0, time.UTC), Limit: 7,
	}
	if got, err := parseFilter(formatFilter(want)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	if _, err := parseFilter(url.Values{"proof": {"love"}}); err == nil || !strings.HasPrefix(err.Error(), "proof: ") {
		t.Errorf("got %v", err)
	}
}
