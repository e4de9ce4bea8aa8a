package heygen

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// FuzzPage: whatever comes, a page is read or refused, and what is read obeys
// the rules: printable ids, types without control characters, and event_data
// that is JSON and stands in the body as it is.
func FuzzPage(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "[]", pageOf(), pageOf(rowOf("a", `{"video_id":"v","url":"https://h/?x"}`), "null"),
		`{"data":[{"EVENT_ID":"a"}],"has_more":true,"next_token":"\u00fc"}`, `{"error":{}}`, "{\"data\":[\"\xff\"]}", `{"data":[[[[`, string(listing(2)),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		original := bytes.Clone(body)
		page, err := newParser().page(body, testNow)
		if err != nil {
			return
		}
		if !page.Last && page.Next == "" && !bytes.Contains(original, []byte("true")) {
			t.Error("not the last page, without a token and without has_more")
		}
		for _, e := range page.Events {
			if !PrintableID(e.ID) || !validType([]byte(e.Type)) || len(e.Created) > maxCreated {
				t.Errorf("an event that breaks the rules: %q, %q, %q", e.ID, e.Type, e.Created)
			}
			if !bytes.Contains(original, e.Data) || !json.Valid(e.Data) {
				t.Errorf("event_data is not as listed: %q", e.Data)
			}
			if fact, ok := e.Fact(); ok != (e.Entity() != "") || ok == fact.IsZero() {
				t.Errorf("fact %v of entity %q", ok, e.Entity())
			}
		}
	})
}

// FuzzFact: data that never was validated harms nothing.
func FuzzFact(f *testing.F) {
	for _, seed := range []string{`{"video_id":"v","a":[1,{}]}`, `{"video_id":"v",`, `{"id":"\`, `{"a"::`, `[:`, `{"video_id":"v","a":[:]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, ok := FactOf("t", data)
		if b, again := FactOf("t", data); a != b || ok != again || ok == a.IsZero() {
			t.Error("a fact that is not one")
		}
	})
}

// FuzzParseTime: agrees with the standard library wherever that reads the text.
func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{"2026-03-25T12:05:00Z", "2023-04-03T05:40:46.769845", "2026-03-25 12:05:00+02:00", "0001-01-01T00:00:00Z", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseTime(s, testNow)
		if ok == got.IsZero() || ok && (got.Nanosecond() != 0 || got.Year() < 2015 || got.After(testNow.Add(24*time.Hour))) {
			t.Errorf("%q: %v, %v", s, got, ok)
		}
		if want, err := time.Parse(time.RFC3339, s); err == nil && ok && !got.Equal(want.Truncate(time.Second)) {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	})
}

// FuzzRetryAfter: never negative, never more than a minute, never 0 as a wait.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"1", "-1", "0", "999999999999999999999", "Wed, 01 Apr 2026 12:00:05 GMT", "soon"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := retryAfter(s, testNow); got < 0 || got > maxRetryAfter || ok != (got > 0) {
			t.Errorf("%q: %v, %v", s, got, ok)
		}
	})
}
