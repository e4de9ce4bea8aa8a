package reconcile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oddHeaders are a push's, with what clients get away with.
const oddHeaders = "User-Agent: HeyGen/1\r\nHeygen-Event-Id: evt_1\r\nheygen-signature: ABC\r\nX-Odd:  a\t\"b\" ,c;=\xe9\xff \r\n" +
	"X-Empty:\r\nX-Twice: 1\r\nX-Twice: 2\r\nX_Under_Score: 1\r\nAccept: */*;q=0.1,,\r\nCookie: a=b; c=\"d\"\r\nAuthorization: Bearer t\r\n" +
	"Content-Type: application/json; charset=\"utf-8\"\r\n"

// variedAnswer answers as the X-Answer of the request says.
func variedAnswer(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Date"] = []string{"Wed, 25 Mar 2026 12:00:00 GMT"}
	h.Add("X-Twice", "1")
	h.Add("X-Twice", "2 ; \xe9")
	h.Add("Set-Cookie", "a=b; Path=/")
	switch kind := r.Header.Get("X-Answer"); kind {
	case "", "json":
		h.Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true}`)
	case "bare":
		h["Date"], h["Content-Type"] = nil, nil
		_, _ = io.WriteString(w, "<html>x")
	case "gzip":
		h.Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		_, _ = io.WriteString(zip, strings.Repeat("a", 5000))
		_ = zip.Close()
	case "long":
		_, _ = w.Write(bytes.Repeat([]byte("0123456789"), 300_000))
	case "trailer":
		h.Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "x")
		h.Set("X-Sum", "1")
	case "hints":
		h.Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		h.Del("Link")
		h["Content-Type"] = nil
		_, _ = io.WriteString(w, "x")
	default:
		var status int
		_, _ = fmt.Sscan(kind, &status)
		h.Set("Location", "https://elsewhere.example/hook?x=%zz")
		h.Set("Retry-After", "7")
		w.WriteHeader(status)
	}
}

// What the receiver gets and what the client gets are what they would get
// without the tap, but for what the tap says of itself.
func TestTapChangesNothing(t *testing.T) {
	const path = "/hook%2fs/%7Ea?token=a;b%zz&c=+"
	big := strings.Repeat("0123456789abcdef", 5<<20/16)
	post := func(more, body string) string {
		return fmt.Sprintf("POST TARGET HTTP/1.1\r\nHost: hooks.example:99\r\n%s%sContent-Length: %d\r\n\r\n%s", oddHeaders, more, len(body), body)
	}
	chunks := func(body string) string {
		return "POST TARGET HTTP/1.1\r\nHost: hooks.example\r\n" + oddHeaders + "Transfer-Encoding: chunked\r\n\r\n" + chunkedOf(body)
	}
	bare := func(method string) string { return method + " TARGET HTTP/1.1\r\nHost: hooks.example\r\n\r\n" }
	tests := []struct {
		name, request string
		seen          bool
	}{
		{"a push", post("", pushed), true},
		{"an empty body", post("", ""), true},
		{"a body that is no JSON", post("", "\x00\xff\r\n\r\n"), true},
		{"a body as long as is kept", post("", big[:maxCopy]), true},
		{"a body longer than is kept", post("", big), true},
		{"chunks", chunks(pushed), true},
		{"no chunks", chunks(""), true},
		{"many chunks", chunks(big), true},
		{"expecting 100", post("Expect: 100-continue\r\n", pushed), true},
		{"asking for gzip", post("Accept-Encoding: gzip\r\nX-Answer: gzip\r\n", pushed), true},
		{"not asking for gzip", post("X-Answer: gzip\r\n", pushed), true},
		{"without a user agent", "POST TARGET HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nHeygen-Event-Id: e\r\n\r\n1", true},
		{"nothing to know it by", "POST TARGET HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1", false},
		{"an answer without type and date", post("X-Answer: bare\r\n", pushed), true},
		{"a long answer", post("X-Answer: long\r\n", pushed), true},
		{"a trailer", post("X-Answer: trailer\r\n", pushed), true},
		{"early hints", post("X-Answer: hints\r\n", pushed), true},
		{"202", post("X-Answer: 202\r\n", pushed), true},
		{"204", post("X-Answer: 204\r\n", pushed), true},
		{"301", post("X-Answer: 301\r\n", pushed), false},
		{"302", post("X-Answer: 302\r\n", pushed), false},
		{"304", post("X-Answer: 304\r\n", pushed), false},
		{"401", post("X-Answer: 401\r\n", pushed), false},
		{"404", post("X-Answer: 404\r\n", pushed), false},
		{"429", post("X-Answer: 429\r\n", pushed), false},
		{"500", post("X-Answer: 500\r\n", pushed), false},
		{"503", post("X-Answer: 503\r\n", pushed), false},
		{"OPTIONS", bare("OPTIONS"), false},
		{"GET", bare("GET"), false},
		{"HEAD", bare("HEAD"), false},
		{"DELETE", bare("DELETE"), false},
		{"a word of its own", bare("PROPFIND"), false},
		{"PUT", strings.Replace(post("", pushed), "POST", "PUT", 1), false},
		{"GET with a body", strings.Replace(post("", pushed), "POST", "GET", 1), false},
		{"an old client", strings.Replace(post("", pushed), "HTTP/1.1", "HTTP/1.0", 1), true},
	}
	for _, query := range []string{"", "?", "?a=%zz&b;c&=&&d=1+2%20&e", "?http://x/?y#"} {
		for _, tt := range tests {
			w := newTapWorld(t, path, variedAnswer)
			direct := path
			if query != "" && query != "?" {
				direct += "&" + query[1:]
			}
			wantReply := send(t, w.back.URL, strings.Replace(tt.request, "TARGET", direct, 1))
			want := w.last()
			gotReply := send(t, w.front.URL, strings.Replace(tt.request, "TARGET", "/somewhere/%2e%2e//else"+query, 1))
			got := w.last()
			for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if len(got.Header[name]) != 1 {
					t.Errorf("%s: %s: %q", tt.name, name, got.Header[name])
				}
				got.Header.Del(name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, query %q: the request (-direct +tapped): %.2000s", tt.name, query, diff)
			}
			if diff := cmp.Diff(wantReply, gotReply); diff != "" && !strings.Contains(tt.request, "HTTP/1.0") {
				t.Errorf("%s, query %q: the answer (-direct +tapped): %.2000s", tt.name, query, diff)
			}
			if n := len(w.queued()); n != map[bool]int{true: 1}[tt.seen] {
				t.Errorf("%s, query %q: %d pushes queued, want seen: %v", tt.name, query, n, tt.seen)
			}
			if said := w.said.String(); said != "" {
				t.Errorf("%s: logged %s", tt.name, said)
			}
		}
	}
}

// OPTIONS * has no path of its own.
func TestTapPassesOptionsOfTheServer(t *testing.T) {
	w := newTapWorld(t, "/hook", variedAnswer)
	if got := send(t, w.front.URL, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"); got.Status != "200 OK" || w.last().Target != "/hook" {
		t.Errorf("%+v, %+v", got, w.last())
	}
}

func TestTapTellsWhoAsked(t *testing.T) {
	w := newTapWorld(t, "/hook", nil)
	tests := []struct {
		name, headers string
		want          map[string][]string
	}{
		{"nobody before", "", map[string][]string{
			"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"hooks.example"}, "X-Forwarded-Proto": {"http"}, "Forwarded": nil,
		}},
		{"a proxy before", "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Host: a.example\r\nX-Forwarded-Proto: https\r\n", map[string][]string{
			"X-Forwarded-For": {"203.0.113.7, 127.0.0.1"}, "X-Forwarded-Host": {"a.example"}, "X-Forwarded-Proto": {"https"}, "Forwarded": nil,
		}},
		{"two lines", "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 10.0.0.1\r\n", map[string][]string{
			"X-Forwarded-For": {"203.0.113.7, 10.0.0.1, 127.0.0.1"},
		}},
		{"RFC 7239", "Forwarded: for=203.0.113.7;proto=https\r\n", map[string][]string{
			"X-Forwarded-For": {"127.0.0.1"}, "Forwarded": {"for=203.0.113.7;proto=https, for=127.0.0.1"},
		}},
	}
	for _, tt := range tests {
		send(t, w.front.URL, "POST / HTTP/1.1\r\nHost: hooks.example\r\nContent-Length: 0\r\n"+tt.headers+"\r\n")
		for name, want := range tt.want {
			if got := w.last().Header[name]; !cmp.Equal(got, want) {
				t.Errorf("%s: %s: %q, want %q", tt.name, name, got, want)
			}
		}
	}
	if got := forwardedFor("[2001:db8::1]:80"); got != `for="[2001:db8::1]"` {
		t.Errorf("an IPv6 address: %s", got)
	}
	if got := forwardedFor("@"); got != "" {
		t.Errorf("a unix socket: %s", got)
	}
}

// A receiver on https is asked by its own name, for its certificate is for that.
func TestTapNamesAnHTTPSReceiver(t *testing.T) {
	hosts := make(chan string, 1)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Host }))
	defer secure.Close()
	w := newTapWorld(t, "", nil, func(o *TapOptions) {
		o.Target = func() string { return secure.URL + "/hook" }
		trusting := newTapTransport()
		trusting.TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig
		o.Transport = trusting
	})
	got := send(t, w.front.URL, "POST / HTTP/1.1\r\nHost: hooks.example\r\nContent-Length: 0\r\n\r\n")
	if host := <-hosts; "https://"+host != secure.URL || got.Status != "200 OK" {
		t.Errorf("the receiver saw host %s and answered %s", host, got.Status)
	}
}

// The receiver's URL may change while the tap runs.
func TestTapFollowsTheTarget(t *testing.T) {
	var mu sync.Mutex
	target := ""
	w := newTapWorld(t, "", nil, func(o *TapOptions) {
		o.Target = func() string { mu.Lock(); defer mu.Unlock(); return target }
	})
	const request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nHeygen-Event-Id: e\r\n\r\n"
	if got := send(t, w.front.URL, request); got.Status != "502 Bad Gateway" || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("without a URL: %+v", got)
	}
	for _, path := range []string{"/one", "/two"} {
		mu.Lock()
		target = w.back.URL + path
		mu.Unlock()
		if send(t, w.front.URL, request); w.last().Target != path {
			t.Errorf("it went to %s, want %s", w.last().Target, path)
		}
	}
}
