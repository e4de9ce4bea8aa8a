package heygen

import (
	"strings"
	"testing"
)

func TestEntity(t *testing.T) {
	for _, tt := range []struct{ data, want string }{
		{`{"video_id":"v"}`, "v"},
		{`{"callback_id":"c","video_id":"v","session_id":"s"}`, "s"},
		{`{"id":"i","callback_id":"c"}`, "i"},
		{`{"callback_id":"c"}`, "c"},
		{`{"video_translation_id":"b","video_translate_id":"a","render_id":null}`, "a"},
		{`{"project_id":"p","video_id":"v"}`, "p"},
		{`{"render_id":"","video_id":"v"}`, "v"},
		{`{"render_id":{"video_id":"x"},"id":["y"],"video_id":"v"}`, "v"},
		{`{"project_id":12}`, "12"},
		{`{"video_id":"a","video_id":"b"}`, "b"},
		{` { "x" : {"video_id":"no"} , "video_id" : "v" } `, "v"},
		{`{"video_id":"\u0076"}`, "v"},
		{`{"video\u005fid":"v"}`, "v"},
		{`{"video_id":"é"}`, "é"},
		{`{"video_id":"` + strings.Repeat("x", maxEntity+1) + `"}`, ""},
		{`{"video_id":true}`, ""},
		{`{"url":"https://x/"}`, ""},
		{`{}`, ""}, {`null`, ""}, {`[]`, ""}, {`"video_id"`, ""}, {``, ""}, {`{"video_id"`, ""}, {`{"video_id":`, ""}, {`{"a"::`, ""},
	} {
		if got := (Event{Data: []byte(tt.data)}).Entity(); got != tt.want {
			t.Errorf("entity of %.60s is %q, want %q", tt.data, got, tt.want)
		}
	}
	if HashEntity("") != 0 || HashEntity("a") == 0 || HashEntity("a") == HashEntity("b") {
		t.Error("HashEntity: 0 for none, and only then, and two for two")
	}
	// Stored on disk: it must never change.
	if got := HashEntity("a"); got != 0xaf63dc4c8601ec8c {
		t.Errorf("HashEntity(a) = %#x", got)
	}
}

func TestFact(t *testing.T) {
	base := `{"video_id":"v","n":1.10,"url":"https://h/p?Expires=1","list":["a","https://h/q?x",{"b":1,"a":2}],"note":"x&y"}`
	for _, tt := range []struct {
		name, data string
		same       bool
	}{
		{"other link", strings.ReplaceAll(base, "Expires=1", "Expires=2"), true},
		{"link in capitals", strings.ReplaceAll(base, "https://h/p", "HTTPS://H/p"), true},
		{"link with escaped slashes", strings.ReplaceAll(base, "https://h/p", `https:\/\/h\/p`), true},
		{"link absent", strings.Replace(base, `"url":"https://h/p?Expires=1",`, "", 1), true},
		{"other order", `{"note":"x&y","list":["a","http://h/z",{"a":2,"b":1}],"n":1.10,"video_id":"v"}`, true},
		{"white space", strings.NewReplacer(",", " ,\n", ":1", " : 1").Replace(strings.ReplaceAll(base, "https://h/p?Expires=1", "https://h/")), true},
		{"escapes", strings.Replace(base, "x&y", `\u0078\u0026y`, 1), true},
		{"other number form", strings.Replace(base, "1.10", "1.1", 1), false},
		{"number as string", strings.Replace(base, "1.10", `"1.10"`, 1), false},
		{"other text", strings.Replace(base, "x&y", "x&z", 1), false},
		{"other list order", strings.Replace(base, `["a","https://h/q?x",{"b":1,"a":2}]`, `[{"b":1,"a":2},"a"]`, 1), false},
		{"other entity", strings.Replace(base, `"video_id":"v"`, `"video_id":"w"`, 1), false},
		{"link null", strings.Replace(base, `"https://h/p?Expires=1"`, "null", 1), false},
		{"member doubled", strings.Replace(base, `"n":1.10`, `"n":1.10,"n":1.10`, 1), false},
		{"invalid UTF-8", strings.Replace(base, "x&y", "x\xff", 1), false},
	} {
		want, ok := FactOf("t", []byte(base))
		got, ok2 := FactOf("t", []byte(tt.data))
		if !ok || !ok2 || got.IsZero() {
			t.Errorf("%s: no fact", tt.name)
		}
		if (got == want) != tt.same {
			t.Errorf("%s: same fact is %v", tt.name, got == want)
		}
	}
	a, _ := FactOf("t", []byte("{\"video_id\":\"v\",\"x\":\"\xff\"}"))
	b, _ := FactOf("t", []byte("{\"video_id\":\"v\",\"x\":\"\xfe\"}"))
	c, _ := FactOf("t", []byte("{\"video_id\":\"v\",\"x\":\"\ufffd\"}"))
	if a == b || a == c {
		t.Error("texts that differ only in bad UTF-8 are one fact")
	}
	if f, _ := FactOf("u", []byte(base)); f == mustFact(t, base) {
		t.Error("one fact across types")
	}
	if mustFact(t, `{"video_id":"v","a":1,"a":2}`) == mustFact(t, `{"video_id":"v","a":2,"a":1}`) {
		t.Error("the order of duplicates does not count")
	}
	if mustFact(t, `{"video_id":"v","a":["b"]}`) == mustFact(t, `{"video_id":"v","a":"b"}`) {
		t.Error("a list and its element are one fact")
	}
}

// TestFactStored pins a key: it is stored, and must never change.
func TestFactStored(t *testing.T) {
	got := mustFact(t, knownData)
	if got != mustFact(t, strings.Replace(knownData, "files.heygen.com", "cdn.heygen.com", 1)) {
		t.Fatal("the link counts")
	}
	if want := (Fact{0xaf, 0xf4, 0xc9, 0x71, 0xc3, 0x96, 0xde, 0xa3, 0x62, 0x1b, 0xdc, 0x47, 0x23, 0x1f, 0x15, 0x24}); got != want {
		t.Errorf("got %#v", got)
	}
}

func TestNoFact(t *testing.T) {
	for _, data := range []string{
		``, `null`, `{}`, `{"url":"https://h/"}`, `{"video_id":"v"`, `{"video_id":"v"}x`, `{"video_id":"v","a":}`, `{"video_id":"v","a":[1}`, `{"video_id":"v","a"1}`,
	} {
		if f, ok := FactOf("t", []byte(data)); ok || !f.IsZero() {
			t.Errorf("%s has a fact", data)
		}
	}
	if f, ok := (Event{Type: "t", Data: []byte(`{"video_id":"v"}`)}).Fact(); !ok || f != mustFact(t, `{"video_id":"v"}`) {
		t.Error("Event.Fact and FactOf differ")
	}
}

// Keys gives what Entity and Fact give, whatever it has read before.
func TestKeysAreThoseOfTheEvent(t *testing.T) {
	var keys Keys
	for _, data := range []string{
		knownData, `{}`, `{"video_id":"v","a":{"z":1,"b":"\u0068ttp://x","c":"hello","d":"h"}}`, `{"video_id":"v"`, `{"video_id":"v","a":"https:`,
		`{"video_id":"v"}`, `{"video_id":"v","a":"` + strings.Repeat("x", 5000) + `"}`, knownData,
	} {
		e := Event{Type: "t", Data: []byte(data)}
		want, _ := FactOf(e.Type, e.Data)
		if entity, fact := keys.Of(e); entity != e.Entity() || fact != want {
			t.Errorf("%.60s: entity %q and fact %x, want %q and %x", data, entity, fact, e.Entity(), want)
		}
	}
}

func mustFact(t *testing.T, data string) Fact {
	t.Helper()
	f, ok := FactOf("t", []byte(data))
	if !ok {
		t.Fatalf("no fact of %s", data)
	}
	return f
}
