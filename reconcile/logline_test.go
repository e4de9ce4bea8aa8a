package reconcile

import (
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

func logNow() time.Time { return time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC) }

func TestLogLines(t *testing.T) {
	const data = `{"video_id":"v1","url":"https://a/b?c"}`
	fact, _ := heygen.FactOf("avatar_video.success", []byte(data))
	all := LogFields{EventID: "$.id", EventType: "$.type", EventData: "$.data", Status: "$.status", ReceivedAt: "$.at"}
	const text = `^(?P<received_at>\S+) (?P<status>\d+) (?P<event_id>\S+)`
	at := time.Date(2026, 3, 31, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		name, pattern string
		fields        LogFields
		line          string
		want          state.Sighting // without proof
		none          bool
	}{
		{name: "id alone", fields: LogFields{EventID: "$.event_id"}, line: `{"event_id":"evt_1"}`, want: state.Sighting{ID: "evt_1"}},
		{name: "nested", fields: LogFields{EventID: `$.headers['heygen-event-id']`}, line: `{"headers":{"heygen-event-id":"evt_1"}}`, want: state.Sighting{ID: "evt_1"}},
		{name: "in a list, as Caddy logs", fields: LogFields{EventID: `$.request.headers['Heygen-Event-Id'][0]`}, line: `{"request":{"headers":{"Heygen-Event-Id":["evt_1"]}}}`, want: state.Sighting{ID: "evt_1"}},
		{name: "number as id", fields: LogFields{EventID: "$.id"}, line: `{"id":12345678901234567890}`, want: state.Sighting{ID: "12345678901234567890"}},
		{name: "all", fields: all, line: `{"id":"evt_1","type":"avatar_video.success","data":` + data + `,"status":200,"at":"2026-03-31T12:00:00+02:00"}`, want: state.Sighting{ID: "evt_1", Fact: fact, At: at}},
		{name: "content without id", fields: all, line: `{"id":"-","type":"avatar_video.success","data":` + data + `,"status":"204"}`, want: state.Sighting{Fact: fact}},
		{name: "content in a string", fields: all, line: `{"type":"avatar_video.success","data":"{\"video_id\":\"v1\"}","status":"204"}`, want: state.Sighting{Fact: fact}},
		{name: "content that is no object", fields: all, line: `{"type":"avatar_video.success","data":"[1]","status":"204"}`, none: true},
		{name: "content cut off", fields: all, line: `{"type":"avatar_video.success","data":"{\"video_id\":\"v1\"","status":"204"}`, none: true},
		{name: "content without an entity", fields: all, line: `{"type":"avatar_video.success","data":{"a":1},"status":200}`, none: true},
		{name: "no status", fields: all, line: `{"id":"evt_1"}`, none: true},
		{name: "status 500", fields: all, line: `{"id":"evt_1","status":500}`, none: true},
		{name: "the last of nginx's statuses", fields: all, line: `{"id":"evt_1","status":"502, 200"}`, want: state.Sighting{ID: "evt_1"}},
		{name: "the last is bad", fields: all, line: `{"id":"evt_1","status":"200 : 502"}`, none: true},
		{name: "unprintable id", fields: all, line: `{"id":"evt\u00e9","status":200}`, none: true},
		{name: "id that is no UTF-8", fields: all, line: "{\"id\":\"evt\xff\",\"status\":200}", none: true},
		{name: "bad UTF-8 elsewhere", fields: all, line: "{\"id\":\"evt_1\",\"status\":200,\"agent\":\"\xff\"}", want: state.Sighting{ID: "evt_1"}},
		{name: "id too long", fields: all, line: `{"id":"` + strings.Repeat("x", 513) + `","status":200}`, none: true},
		{name: "null id", fields: all, line: `{"id":null,"status":200}`, none: true},
		{name: "object as id", fields: LogFields{EventID: "$.id"}, line: `{"id":["a"]}`, none: true},
		{name: "unreadable time is now", fields: all, line: `{"id":"evt_1","status":200,"at":"soon"}`, want: state.Sighting{ID: "evt_1"}},
		{name: "no JSON", fields: all, line: `evt_1 200`, none: true},
		{name: "more behind the JSON", fields: all, line: `{"id":"evt_1","status":200} x`, none: true},
		{name: "empty", fields: all, line: ``, none: true},
		{name: "text", pattern: text, line: "2026-03-31T10:00:00Z 200 evt_1 more", want: state.Sighting{ID: "evt_1", At: at}},
		{name: "text without id", pattern: text, line: "2026-03-31T10:00:00Z 200 -", none: true},
		{name: "text of a failure", pattern: text, line: "2026-03-31T10:00:00Z 503 evt_1", none: true},
		{name: "other text", pattern: text, line: "started", none: true},
		{name: "text with content", pattern: `type=(?P<event_type>\S+) data=(?P<event_data>\{.*\})`, line: "type=avatar_video.success data=" + data, want: state.Sighting{Fact: fact}},
		{name: "text with a bad byte", pattern: `id=(?P<event_id>\S+)`, line: "\xff id=evt_1", want: state.Sighting{ID: "evt_1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := newLineReader(tt.pattern, tt.fields)
			if err != nil {
				t.Fatal(err)
			}
			got, _, ok := r.sighting([]byte(tt.line), logNow())
			if !tt.none {
				tt.want.Proof = state.Log
			}
			if ok == tt.none || ok && got != tt.want {
				t.Errorf("%s shows %+v, %v; want %+v", tt.line, got, ok, tt.want)
			}
		})
	}
}

func TestLogStatus(t *testing.T) {
	for status, want := range map[string]bool{
		"200": true, "204": true, "299": true, "502, 200": true, "502 : 200": true, "500, 502 : 201": true, " 200 ": true,
		"": false, "-": false, "200, -": false, "-, 200": true, "302": false, "20": false, "2000": false, "+20": false, "2e2": false, "OK": false, "200, 502": false,
	} {
		if handled(status) != want {
			t.Errorf("%q is handled: %v", status, !want)
		}
	}
}

func TestLogTimes(t *testing.T) {
	want := time.Date(2026, 3, 31, 10, 0, 0, 0, time.UTC)
	for _, text := range []string{
		"2026-03-31T10:00:00Z", "2026-03-31T12:00:00+02:00", "2026-03-31 10:00:00.123", "1774951200", "1774951200.123", "1774951200123",
		"31/Mar/2026:12:00:00 +0200", "[31/Mar/2026:12:00:00 +0200]",
	} {
		if at := receivedAt(text, logNow()); !at.Equal(want) {
			t.Errorf("%q is %v, want %v", text, at, want)
		}
	}
	for _, text := range []string{"", "-", "now", "0", "NaN", "Inf", "1e9", "0x10", "1.2.3", "99999999999999999999", "2027-01-01T00:00:00Z", "9999999999"} {
		if at := receivedAt(text, logNow()); !at.IsZero() {
			t.Errorf("%q is %v, want none", text, at)
		}
	}
}

func TestLogConfigurationIsChecked(t *testing.T) {
	tests := []struct {
		err  error
		want string // "": none
	}{
		{err: CheckJSONPath(`$.headers['heygen-event-id']`)},
		{err: CheckJSONPath(`event_id`), want: "no JSONPath"},
		{err: CheckJSONPath(``), want: "no JSONPath"},
		{err: CheckLogFields(LogFields{EventID: "$.a"})},
		{err: CheckLogFields(LogFields{EventType: "$.a", EventData: "$.b"})},
		{err: CheckLogFields(LogFields{EventType: "$.a"}), want: "no field tells the event"},
		{err: CheckLogFields(LogFields{Status: "$.a"}), want: "no field tells the event"},
		{err: CheckLogFields(LogFields{EventID: "$.a", Status: "$["}), want: "status: "},
		{err: CheckLogPattern(`(?P<event_id>\S+)`)},
		{err: CheckLogPattern(`(?<event_type>\S+) (?P<event_data>.*)`)},
		{err: CheckLogPattern(`(?P<id>\S+)`), want: `"id", which is no field; known are event_id, event_type, event_data, status, received_at`},
		{err: CheckLogPattern(`(?P<status>\d+)`), want: "no group that tells the event"},
		{err: CheckLogPattern(`(`), want: "no regular expression: missing closing )"},
	}
	for i, tt := range tests {
		if got := errText(tt.err); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%d: %q, want %q", i, got, tt.want)
		}
	}
	for _, o := range []LogOptions{
		{}, {Path: "a", Journal: "b", Fields: LogFields{EventID: "$.a"}}, {Path: "a"},
		{Path: "a", Pattern: `(?P<event_id>.)`, Fields: LogFields{EventID: "$.a"}},
	} {
		if _, err := NewLog(o); err == nil || !strings.HasPrefix(err.Error(), "seen.log") {
			t.Errorf("%+v: %v, want a refusal", o, err)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
