package heygen

import (
	"strings"
	"testing"
)

// The known answer of HeyGen's signature.
const (
	knownSecret    = "whsec_test_secret"
	knownData      = `{"video_id":"vid_xyz789","url":"https://files.heygen.com/video/vid_xyz789.mp4","callback_id":null}`
	knownBody      = `{"event_type":"avatar_video.success","event_data":` + knownData + `}`
	knownSignature = "1dd8b63e50ea7f832cd13b13dd7378277ebd314632db75bfe31b180eba8ee53c"
)

func TestSign(t *testing.T) {
	if len(knownBody) != 149 {
		t.Fatalf("the known body has %d bytes", len(knownBody))
	}
	if got := Sign(knownSecret, []byte(knownBody)); got != knownSignature {
		t.Errorf("got %s, want %s", got, knownSignature)
	}
	if got := Sign(knownSecret, Body("avatar_video.success", []byte(knownData))); got != knownSignature {
		t.Errorf("the body we make signs to %s", got)
	}
}

func TestVerify(t *testing.T) {
	for _, tt := range []struct {
		name      string
		secrets   []string
		body      string
		signature string
		want      bool
	}{
		{"known", []string{knownSecret}, knownBody, knownSignature, true},
		{"upper case", []string{knownSecret}, knownBody, strings.ToUpper(knownSignature), true},
		{"white space around", []string{knownSecret}, knownBody, " " + knownSignature + "\n", true},
		{"second secret", []string{"other", knownSecret}, knownBody, knownSignature, true},
		{"first of two", []string{knownSecret, "other"}, knownBody, knownSignature, true},
		{"other secret", []string{"other"}, knownBody, knownSignature, false},
		{"secret without its prefix", []string{"test_secret"}, knownBody, knownSignature, false},
		{"other body", []string{knownSecret}, knownBody + "\n", knownSignature, false},
		{"cut", []string{knownSecret}, knownBody, knownSignature[:62], false},
		{"not hex", []string{knownSecret}, knownBody, strings.Repeat("zz", 32), false},
		{"empty signature", []string{knownSecret}, knownBody, "", false},
		{"no secret", nil, knownBody, knownSignature, false},
		{"empty secret", []string{""}, knownBody, Sign("", []byte(knownBody)), false},
	} {
		if got := Verify(tt.secrets, []byte(tt.body), tt.signature); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestBody(t *testing.T) {
	for _, tt := range []struct{ eventType, data, want string }{
		{"t", `{"a":1}`, `{"event_type":"t","event_data":{"a":1}}`},
		{"a<b>&c", "{ \"u\":\"x&y\" }", "{\"event_type\":\"a<b>&c\",\"event_data\":{ \"u\":\"x&y\" }}"},
		{`q"\`, "null", `{"event_type":"q\"\\","event_data":null}`},
		{"ü\u2028", "\"\xff\"", "{\"event_type\":\"ü\u2028\",\"event_data\":\"\xff\"}"},
	} {
		if got := string(Body(tt.eventType, []byte(tt.data))); got != tt.want {
			t.Errorf("Body(%q, %q) = %q, want %q", tt.eventType, tt.data, got, tt.want)
		}
	}
}

func TestCutURLs(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"no url: here?", "no url: here?"},
		{"https://h/p", "https://h/p"},
		{"https://h/p?Signature=x", "https://h/p?…"},
		{"HTTP://h?x", "HTTP://h?…"},
		{"see https://h/p?a=1&b=2 and http://i/q?c now", "see https://h/p?… and http://i/q?… now"},
		{`{"u":"https://h/p?a=1","v":"https://i/?b"}`, `{"u":"https://h/p?…","v":"https://i/?…"}`},
		{`{"u":"https:\/\/h\/p?a=1"}`, `{"u":"https:\/\/h\/p?…"}`},
		{`{"u":"https://h/p\u003fa=1\u0026b"}`, `{"u":"https://h/p?…"}`},
		{`"{\"u\":\"https://h/p?a=1\"}"`, `"{\"u\":\"https://h/p?…\"}"`},
		{"https://user:pw@h/p", "https://…@h/p"},
		{"https://h/p#access_token=x", "https://h/p?…"},
		{"https://h/a@b", "https://h/a@b"},
		{"https://h/?u=https://i/?k=v", "https://h/?…"},
		{"https://proxy/https://user:pw@h/p", "https://proxy/https://…@h/p"},
	} {
		if got := CutURLs(tt.in); got != tt.want {
			t.Errorf("CutURLs(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
