package reconcile

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"backstop/state"
)

func TestAnswerText(t *testing.T) {
	long := strings.Repeat("word ", 300)
	tests := map[string]struct {
		body    string
		more    bool // it did not end there
		encoded bool
		want    string
	}{
		"nothing":               {body: "", want: ""},
		"plain":                 {body: `{"error":"no such video"}`, want: `{"error":"no such video"}`},
		"a page":                {body: "<html>\r\n  <h1>502 Bad Gateway</h1>\r\n</html>\n", want: "<html> <h1>502 Bad Gateway</h1> </html>"},
		"other scripts":         {body: "数据库 не отвечает 🙂", want: "数据库 не отвечает 🙂"},
		"escapes":               {body: "\x1b[31mred\x1b[0m\a", want: `\x1b[31mred\x1b[0m\a`},
		"a title of the window": {body: "\x1b]0;owned\x07ok", want: `\x1b]0;owned\aok`},
		"overwritten line":      {body: "bad\rfine", want: "bad fine"},
		"turned around":         {body: "a\u202eb\u2066c\u200fd\ufeff", want: `a\u202eb\u2066c\u200fd\ufeff`},
		"other spaces":          {body: "a\u2028b\u0085c\u00a0d\v\fe", want: "a b c d e"},
		"Latin-1":               {body: "the server is tired: m\xfcde, it is late", want: `the server is tired: m\xfcde, it is late`},
		"binary":                {body: "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", want: "(binary, 16 bytes)"},
		"noise":                 {body: "\xff\xfe\xfd", want: "(binary, 3 bytes)"},
		"endless binary":        {body: "\x00\x00", more: true, want: "(binary, 2 bytes and more)"},
		"compressed":            {body: "\x1f\x8babc", encoded: true, want: "(compressed, 5 bytes)"},
		"only white space":      {body: " \r\n\t ", want: ""},
		"a signed link":         {body: `see https://files.example/v.mp4?Signature=abc&Expires=1`, want: "see https://files.example/v.mp4?…"},
		"an escaped link":       {body: `{"url":"https:\/\/files.example\/v.mp4?Signature=abc"}`, want: `{"url":"https:\/\/files.example\/v.mp4?…"}`},
		"a password":            {body: "cannot reach postgres at https://app:hunter2@db/x", want: "cannot reach postgres at https://…@db/x"},
		"the signing secret":    {body: "want hmac(whsec_test_secret)", want: "want hmac(…)"},
		"an older secret":       {body: "want hmac(whsec_old)", want: "want hmac(…)"},
		"one within another":    {body: "whsec_old_and_longer", want: "…"},
		"a link made whole":     {body: "https://x\x01?sig=abc", want: `https://x\x01?…`},
		"a header's token":      {body: "bad token abcd1234", want: "bad token …"},
		"a header's value":      {body: "Authorization: Bearer abcd1234!", want: "Authorization: …!"},
		"in base64":             {body: base64.StdEncoding.EncodeToString([]byte("whsec_test_secret")), want: "…"},
		"in a query":            {body: "secret=q%2Fuoted+one", want: "secret=…"},
		"in JSON":               {body: `q\/uoted one`, want: "…"},
		"across two lines":      {body: "q/uoted\none", want: "…"},
		"our own query":         {body: "no route /hook?key=query-31cc", want: "no route /hook?…"},
		"a part of our query":   {body: "key query-31cc is unknown", want: "key … is unknown"},
		"just as much":          {body: strings.Repeat("x", textMost), want: strings.Repeat("x", textMost)},
		"one more":              {body: strings.Repeat("x", textMost+1), want: strings.Repeat("x", textMost) + textCut},
		"a cut character":       {body: strings.Repeat("é", textMost), want: strings.Repeat("é", textMost/2) + textCut},
		"half a character":      {body: "x" + strings.Repeat("é", textMost), want: "x" + strings.Repeat("é", textMost/2-1) + textCut},
		"long":                  {body: long, want: long[:textMost-textMost%5+4] + textCut},
		"broken off":            {body: "the secret is whsec_te", more: true, want: "the secret is" + textCut},
		"one broken word":       {body: "whsec_test_secre", more: true, want: textCut},
	}
	hidden := hiddenOf(&url.URL{RawQuery: "key=query-31cc"}, map[string]string{"Authorization": "Bearer abcd1234", "X-Old": "whsec_old_and_longer", "X-Q": "q/uoted one"})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := said{body: []byte(tt.body), whole: !tt.more, encoded: tt.encoded}
			if got := s.text(longestFirst(hidden, message("{}").Secrets)); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// What a credential is made of must not be shown either.
func TestHeaderSecrets(t *testing.T) {
	value := "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:open sesame"))
	text := said{body: []byte("ann has the password open sesame, or ann:open sesame"), whole: true}.text(longestFirst(headerSecrets(value)))
	if text != "ann has the password …, or …" {
		t.Errorf("%q", text)
	}
}

// The answer of a receiver becomes part of the event's story, and of nothing
// else that is told of the attempt.
func TestAnswersAreKept(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "busy: "+r.Header.Get("X-Auth")+" "+r.RequestURI)
	}))
	defer srv.Close()
	s := newTestSender(t, SenderOptions{URL: srv.URL + "/hook?signed=query-31cc", Headers: map[string]string{"X-Auth": "header-77aa10"}})
	a := s.Send(t.Context(), message("{}"))
	if a.Body != "busy: … /hook?…" || a.String() != "503" {
		t.Errorf("%+v is told as %q", a, a)
	}
	out := Decide(claimOf(7), a, state.Receiver{}, Limits{}, time.Now())
	if out.Attempt.Answer != a.Body || strings.Contains(out.Why, "busy") {
		t.Errorf("%+v", out)
	}
}

// A body that would unpack to much more than it is stays packed: nobody asked
// for it.
func TestABombStaysPacked(t *testing.T) {
	var bomb bytes.Buffer
	w, err := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	for range 64 {
		_, _ = w.Write(make([]byte, 1<<20))
	}
	_ = w.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if accepts := r.Header.Get("Accept-Encoding"); accepts != "" {
			t.Errorf("a compressed answer was asked for: %s", accepts)
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	}))
	defer srv.Close()
	a := newTestSender(t, SenderOptions{URL: srv.URL}).Send(t.Context(), message("{}"))
	if a.Class != OK || !strings.HasPrefix(a.Body, "(compressed, ") {
		t.Errorf("%+v", a)
	}
}
