package reconcile

import (
	"bytes"
	"encoding/json"
	"testing"

	"backstop/internal/heygen"
	"backstop/state"
)

// FuzzLogLine: whatever a line holds, what it proves has an id that can be one, a content that the data has, and a time of
// the past; of JSON it is what encoding/json finds at the names. A file that holds the line among others gives it whole.
func FuzzLogLine(f *testing.F) {
	for _, seed := range []string{
		`{"event_id":"evt_1","status":200,"received_at":"2026-03-31T10:00:00Z"}`,
		`{"event_id":"-","status":"502, 200","event_type":"avatar_video.success","event_data":{"video_id":"v"}}`,
		`{"event_type":"avatar_video.success","event_data":"{\"video_id\":\"v\"}","status":"204","received_at":1774951200.5}`,
		`2026-03-31T10:00:00Z 200 evt_1`, `31/Mar/2026:10:00:00 +0000 204 -`, "{\"event_id\":\"\xff\",\"status\":200}",
		`{"event_id":"a","event_id":"b","status":200}`, "\x00\x00 1e9 200 evt_2\r", `[]`, `{"status":"2OO`,
	} {
		f.Add([]byte(seed))
	}
	byPath, err := newLineReader("", LogFields{EventID: "$.event_id", EventType: "$.event_type", EventData: "$.event_data", Status: "$.status", ReceivedAt: "$.received_at"})
	if err != nil {
		f.Fatal(err)
	}
	byPattern, err := newLineReader(`(?P<received_at>\S+(?: [+-]\d+)?) (?P<status>\d+) (?P<event_id>\S+)(?: (?P<event_type>\S+) (?P<event_data>.*))?`, LogFields{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		one, _, ok := byPath.sighting(line, logNow())
		fits(t, line, one, ok)
		if want := idOf(line); ok && one.ID != want {
			t.Errorf("%q has the id %q, want %q", line, one.ID, want)
		}
		one, _, ok = byPattern.sighting(line, logNow())
		fits(t, line, one, ok)
		whole(t, line)
	})
}

func fits(t *testing.T, line []byte, one state.Sighting, ok bool) {
	switch {
	case !ok && one != state.Sighting{}:
		t.Errorf("%q proves nothing, and %+v", line, one)
	case !ok:
	case one.ID != "" && !heygen.PrintableID(one.ID) || one.ID == "-":
		t.Errorf("%q has the id %q", line, one.ID)
	case one.ID == "" && one.Fact.IsZero(), one.Proof != state.Log:
		t.Errorf("%q proves %+v", line, one)
	case !one.At.IsZero() && (one.At.Year() < 2015 || one.At.Sub(logNow()).Hours() > 24):
		t.Errorf("%q was at %v", line, one.At)
	}
}

// idOf is the id as encoding/json reads it.
func idOf(line []byte) string {
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if decoder.Decode(&fields) != nil {
		return ""
	}
	var id string
	switch v := fields["event_id"].(type) {
	case string:
		id = v
	case json.Number:
		id = v.String()
	}
	if id == "-" || !heygen.PrintableID(id) {
		return ""
	}
	return id
}

// whole reads the line back from between two others.
func whole(t *testing.T, line []byte) {
	if bytes.ContainsAny(line, "\n") || len(line) > maxLine {
		return
	}
	file := append(append([]byte("before\n"), line...), "\nafter\ncut"...)
	var at mark
	lines := linesFrom(bytes.NewReader(file), &at)
	want := [][]byte{[]byte("before"), bytes.TrimSuffix(bytes.TrimLeft(line, "\x00"), []byte("\r")), []byte("after")}
	for _, w := range want {
		got, ok, err := lines.next()
		if !ok || err != nil || !bytes.Equal(got, w) {
			t.Fatalf("%q, %v, %v; want %q", got, ok, err, w)
		}
	}
	if _, ok, err := lines.next(); ok || err != nil || at.offset != int64(len(file)-len("cut")) {
		t.Errorf("the end: %v, %v at %d of %d", ok, err, at.offset, len(file))
	}
	again, err := markAt(bytes.NewReader(file), at.offset)
	if err != nil || again.print() != at.print() {
		t.Errorf("the fingerprint of what was read is not that of the file: %v", err)
	}
}
