package reconcile

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"backstop/internal/heygen"
	"backstop/state"
)

// FuzzRetryAfter: whatever the receiver answers and asks for, after however many
// failures, the next attempt is between the shortest and the longest backoff
// away: never in the past, never at once, never out of sight.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"1", "-1", "0", "99999999999999999999", "9223372036854775807", "Wed, 01 Apr 2026 12:00:05 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", "1e9"} {
		f.Add(seed, 503, 3, int64(5*time.Second), int64(time.Hour), 0.5)
	}
	f.Add("30", 429, 0, int64(-1), int64(0), 0.0)
	f.Add("", 0, 1<<40, int64(1<<62), int64(1<<62+1), 0.999)
	now := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, header string, status, failures int, low, high int64, chance float64) {
		asked := retryAfter(http.Header{"Retry-After": {header}}, now)
		if asked < 0 {
			t.Errorf("%q asks for %v", header, asked)
		}
		o := Limits{BackoffMin: time.Duration(low), BackoffMax: time.Duration(high)}
		if chance >= 0 && chance < 1 {
			o.Jitter = func() float64 { return chance }
		}
		o = o.withDefaults()
		if wait := o.wait(failures, asked); wait < o.BackoffMin || wait > o.BackoffMax {
			t.Errorf("%q, failure %d: %v, want %v to %v", header, failures, wait, o.BackoffMin, o.BackoffMax)
		}
		claim := state.Claim{Event: heygen.Event{ID: "a"}, Attempt: failures}
		answer := Answer{Status: status, Class: classOf(status), RetryAfter: asked}
		out := Decide(claim, answer, state.Receiver{}, o, now)
		waits := out.Status == state.Replaying && answer.Class != Misconfigured
		if waits && (out.Due.Before(now.Add(o.BackoffMin)) || out.Due.After(now.Add(o.BackoffMax))) {
			t.Errorf("%d: due at %v, with %v to %v to wait", status, out.Due, o.BackoffMin, o.BackoffMax)
		}
		if (answer.Class == OK) != (status/100 == 2) || (out.Status == state.Seen) != (answer.Class == OK) {
			t.Errorf("%d is %v and makes the event %v", status, answer.Class, out.Status)
		}
	})
}

// FuzzReplay: what a replay sends is what HeyGen would send. The body holds
// event_type and event_data in this order, the data byte for byte as it was
// listed, and the signature is that of these bytes.
func FuzzReplay(f *testing.F) {
	for _, data := range []string{`{"video_id":"v"}`, ` [1,  2] `, "null", "{\"a\":\"\xff\",\"a\":1E400}", `"}"`} {
		f.Add("evt_1", "avatar_video.success", []byte(data), "2026-03-25T12:05:00Z", "whsec_x", 1)
	}
	f.Add("a b", "t\xff<&>\u2028", []byte("{}"), "", "", 12)
	f.Fuzz(func(t *testing.T, id, typ string, data []byte, created, secret string, attempt int) {
		if !heygen.PrintableID(id) || !json.Valid(data) {
			return // no page gives such an event
		}
		m := Message{
			Event:   heygen.Event{ID: id, Type: typ, Data: data, Created: created},
			Attempt: attempt, Reason: state.ReasonMissed, Secrets: []string{secret, "older"},
		}
		push := requestOf(t, BodyPush, m)
		if names := namesOf(t, push); names != "event_type,event_data" || !bytes.HasSuffix(push, append(bytes.Clone(data), '}')) {
			t.Errorf("a push of %q has %s: %q", data, names, push)
		}
		listing := requestOf(t, BodyListing, m)
		if names := namesOf(t, listing); names != "event_id,event_type,event_data,created_at" {
			t.Errorf("a listing's row has %s: %q", names, listing)
		}
	})
}

// requestOf builds the request, checks its headers, and gives its body.
func requestOf(t *testing.T, form string, m Message) []byte {
	s, err := NewSender(SenderOptions{URL: "https://example.com/hook?a=b", Body: form})
	if err != nil {
		t.Fatal(err)
	}
	req, err := s.Request(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(req.Body); err != nil {
		t.Fatal(err)
	}
	signed := req.Header.Get("Heygen-Signature")
	if heygen.Verify(m.Secrets[:1], body.Bytes(), signed) != (m.Secrets[0] != "") || signed != req.Header.Get("Signature") || (signed == "") != (m.Secrets[0] == "") {
		t.Errorf("signature %q under secret %q", signed, m.Secrets[0])
	}
	if req.Header.Get("Heygen-Event-Id") != m.Event.ID || req.Header.Get("X-Backstop-Attempt") != strconv.Itoa(m.Attempt) || req.ContentLength != int64(body.Len()) {
		t.Errorf("headers %v of %q", req.Header, m.Event.ID)
	}
	sameAsListed(t, body.Bytes(), m.Event)
	return body.Bytes()
}

// sameAsListed reads the body back.
func sameAsListed(t *testing.T, body []byte, e heygen.Event) {
	var got struct {
		ID      *string         `json:"event_id"`
		Type    string          `json:"event_type"`
		Data    json.RawMessage `json:"event_data"`
		Created *string         `json:"created_at"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("no JSON: %v: %q", err, body)
	}
	if !bytes.Equal(got.Data, bytes.TrimSpace(e.Data)) || utf8.ValidString(e.Type) && got.Type != e.Type || got.ID != nil && *got.ID != e.ID {
		t.Errorf("%+v became %q", e, body)
	}
	if got.Created != nil && utf8.ValidString(e.Created) && *got.Created != e.Created {
		t.Errorf("created_at %q became %q", e.Created, *got.Created)
	}
}

// namesOf are the names of a body's members in their order.
func namesOf(t *testing.T, body []byte) string {
	dec := json.NewDecoder(bytes.NewReader(body))
	var names []string
	_, _ = dec.Token()
	for dec.More() {
		name, err := dec.Token()
		var value json.RawMessage
		if err != nil || dec.Decode(&value) != nil {
			t.Fatalf("no JSON: %q", body)
		}
		names = append(names, name.(string))
	}
	return strings.Join(names, ",")
}

// FuzzAnswerText: whatever a receiver answers, what is kept of it is short and
// printable, on one line, shows no secret and no query of a link, and is the
// answer itself where that was short and plain.
func FuzzAnswerText(f *testing.F) {
	const secret = "whsec_9c1b77/+x"
	for _, seed := range []string{"", "busy", "\x1b[31mred", "\u202eb", "a\r\nb", "\x00\x01", "https://x.example/v?sig=1", "https:\\/\\/x\\/v?sig=1", "https://x\x01?sig=1", strings.Repeat("é", 700)} {
		f.Add([]byte(seed), 2, true)
	}
	f.Fuzz(func(t *testing.T, body []byte, at int, whole bool) {
		at = min(max(at, 0), len(body))
		echo := append(append(bytes.Clone(body[:at]), secret...), body[at:]...)
		for _, b := range [][]byte{body, echo, []byte(strings.ReplaceAll(string(echo), "/", `\/`))} {
			text := said{body: b, whole: whole}.text([]string{secret})
			if len(text) > 1024+len(textCut) || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q is told as %q", b, text)
			}
			if strings.Contains(text, secret) || strings.Contains(text, `9c1b77\/`) || heygen.CutURLs(text) != text {
				t.Errorf("%q shows too much: %q", b, text)
			}
			if whole && isPlain(string(b)) && text != string(b) {
				t.Errorf("%q is told as %q", b, text)
			}
		}
	})
}

// isPlain reports whether a body has nothing that must be changed: words of
// ASCII between single spaces.
func isPlain(s string) bool {
	if len(s) > 1024 || strings.Trim(s, " ") != s || strings.Contains(s, "  ") || strings.ContainsAny(s, ":_") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}
