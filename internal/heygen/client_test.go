package heygen

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"backstop/internal/secret"
)

const testKey = "hg_key_that_must_not_show"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server and a client of it with short pauses.
func serve(t *testing.T, h http.HandlerFunc, change ...func(*Options)) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return client(t, server.URL, change...)
}

func client(t *testing.T, base string, change ...func(*Options)) *Client {
	t.Helper()
	o := Options{
		BaseURL: base, APIKey: secret.Text(testKey), Version: "1.2.3", Timeout: 5 * time.Second,
		Attempts: 3, BackoffMin: time.Millisecond, BackoffMax: 2 * time.Millisecond,
	}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// sequence answers with one handler after the other, then the last for ever.
func sequence(hs ...http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		hs[min(int(n.Add(1)), len(hs))-1](w, r)
	}
}

func text(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// raw takes the connection over and writes what is given, then closes it.
func raw(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err) // unreachable: HTTP/1
		}
		io.WriteString(conn, answer)
		if tcp, ok := conn.(*net.TCPConn); ok && strings.HasSuffix(answer, "reset") {
			tcp.SetLinger(0)
		}
		conn.Close()
	}
}

func fine() http.HandlerFunc { return text(200, pageOf(rowOf("a", "{}"))) }

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want string
	}{
		{"fine", Options{BaseURL: "https://api.heygen.com"}, ""},
		{"fine, prefix", Options{BaseURL: "http://127.0.0.1:1/p/"}, ""},
		{"empty", Options{}, "base URL"},
		{"no scheme", Options{BaseURL: "api.heygen.com"}, "base URL"},
		{"other scheme", Options{BaseURL: "ftp://api.heygen.com"}, "base URL"},
		{"no host", Options{BaseURL: "https:///v3"}, "base URL"},
		{"user", Options{BaseURL: "https://u:" + testKey + "@h"}, "user or password"},
		{"query", Options{BaseURL: "https://h?k=" + testKey}, "query"},
		{"garbage", Options{BaseURL: "http://[" + testKey}, "base URL"},
		{"both", Options{BaseURL: "https://h", APIKey: secret.Text("a"), AccessToken: secret.Text("b")}, "both"},
		{"negative", Options{BaseURL: "https://h", Rate: -1}, "negative"},
	} {
		_, err := New(tt.o)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err != nil && strings.Contains(err.Error(), testKey) {
			t.Errorf("%s: the error shows what was in the URL", tt.name)
		}
	}
}

func TestRequest(t *testing.T) {
	var got *http.Request
	h := func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		text(200, pageOf(rowOf("a", "{}")), "X-Request-Id", "req-1", "Date", "Wed, 25 Mar 2026 12:00:00 GMT")(w, r)
	}
	c := serve(t, h, func(o *Options) { o.BaseURL += "/prefix/" })
	page, err := c.Page(t.Context(), PageRequest{Query: Query{"avatar_video.success", "v&1"}, Limit: 100, Token: "c=1"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != "GET" || got.URL.Path != "/prefix/v3/webhooks/events" || got.URL.RawQuery != "entity_id=v%261&event_type=avatar_video.success&limit=100&token=c%3D1" {
		t.Errorf("%s %s", got.Method, got.URL)
	}
	if got.Header.Get("X-Api-Key") != testKey || got.Header.Get("Authorization") != "" || got.UserAgent() != "backstop/1.2.3" {
		t.Error("the key or the user agent was not sent, or an Authorization was")
	}
	if page.RequestID != "req-1" || !page.Date.Equal(time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)) || len(page.Events) != 1 || c.Requests() != 1 {
		t.Errorf("%+v after %d requests", page, c.Requests())
	}

	c = client(t, c.o.BaseURL, func(o *Options) { o.APIKey, o.AccessToken = secret.Secret{}, secret.Text("oauth") })
	if _, err := c.Page(t.Context(), PageRequest{}); err != nil {
		t.Fatal(err)
	}
	if got.Header.Get("Authorization") != "Bearer oauth" || got.Header.Get("X-Api-Key") != "" || got.URL.RawQuery != "" {
		t.Error("the access token was not sent, or something else was")
	}
}

// TestToken: a cursor of any characters arrives as it was given.
func TestToken(t *testing.T) {
	odd := "+/=%&#?;é\u2028 \"\\<http://169.254.169.254/latest>"
	for _, token := range []string{odd, strings.Repeat(odd, (64<<10)/len(odd)+1)} {
		var got string
		c := serve(t, func(w http.ResponseWriter, r *http.Request) { got = r.URL.Query().Get("token"); fine()(w, r) })
		if _, err := c.Page(t.Context(), PageRequest{Token: token}); err != nil {
			t.Fatal(err)
		}
		if got != token {
			t.Errorf("a token of %d bytes arrived as %d other ones", len(token), len(got))
		}
	}
}

// TestFaults lists what an answer can be, what it comes to, and how many
// requests it takes.
func TestFaults(t *testing.T) {
	row := rowOf("a", "{}")
	apiError := func(code string) string {
		return `{"error":{"code":"` + code + `","message":"bad tok_cur_1 and ` + testKey + ` https://x/?sig=1","param":null}}`
	}
	for _, tt := range []struct {
		name     string
		h        http.HandlerFunc
		token    string
		kind     error
		requests int64
		says     string
	}{
		{"500 then fine", sequence(text(500, ""), fine()), "", nil, 2, ""},
		{"408, 425, fine", sequence(text(408, ""), text(425, ""), fine()), "", nil, 3, ""},
		{"429 with garbage, fine", sequence(text(429, "", "Retry-After", "soon"), fine()), "", nil, 2, ""},
		{"429 in the past, fine", sequence(text(429, "", "Retry-After", "Mon, 01 Jan 2001 00:00:00 GMT"), fine()), "", nil, 2, ""},
		{"429 for ever", text(429, apiError("rate_limit_exceeded"), "Retry-After", "-1"), "", ErrUnreachable, 3, "status 429 rate_limit_exceeded"},
		{"520 for ever", text(520, "<html>", "X-Request-Id", "r1"), "", ErrUnreachable, 3, "request r1"},
		{"401", text(401, apiError("unauthorized")), "tok_cur_1", ErrCredentials, 1, "check heygen.api_key"},
		{"402", text(402, apiError("x")), "", ErrCredentials, 1, "credits"},
		{"403", text(403, "<html>"), "", ErrCredentials, 1, "allowed"},
		{"400 of a cursor", text(400, apiError("invalid_parameter")), "tok_cur_1", ErrCursor, 1, "first page"},
		{"404 of a cursor", text(404, ""), "tok_cur_1", ErrCursor, 1, "first page"},
		{"410 of a cursor", text(410, ""), "tok_cur_1", ErrCursor, 1, "first page"},
		{"400 of a type, with a cursor", text(400, `{"error":{"code":"invalid_parameter","param":"event_type"}}`), "tok_cur_1", ErrRequest, 1, "event_types"},
		{"400", text(400, apiError("invalid_parameter")), "", ErrRequest, 1, "invalid_parameter"},
		{"404", text(404, ""), "", ErrRequest, 1, "base_url"},
		{"code is a number", text(400, `{"error":{"code":40012,"message":"no"}}`), "", ErrRequest, 1, "40012"},
		{"old error object", text(400, `{"code":40012,"message":"old path"}`), "", ErrRequest, 1, "old path"},
		{"HTML then fine", sequence(text(200, "<!DOCTYPE html>", "Content-Type", "text/html"), fine()), "", nil, 2, ""},
		{"HTML for ever", text(200, "<!DOCTYPE html>"), "", ErrUnreadable, 3, "HTML"},
		{"204", text(204, ""), "", ErrUnreadable, 3, "an empty body"},
		{"error under 200", text(200, apiError("internal")), "tok_cur_1", ErrUnreadable, 3, "internal"},
		{"trailing garbage then fine", sequence(text(200, pageOf(row)+"x"), fine()), "", nil, 2, ""},
		{"trailing garbage for ever", text(200, pageOf(row)+"x"), "", ErrUnreadable, 3, "something follows"},
		{"cut JSON then fine", sequence(text(200, pageOf(row)[:50]), fine()), "", nil, 2, ""},
		{"cut body then fine", sequence(raw("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"data\":"), fine()), "", nil, 2, ""},
		{"cut body for ever", raw("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"data\":"), "", ErrUnreadable, 3, "cut off"},
		{"cut chunk for ever", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n90\r\n{\"data\":"), "", ErrUnreadable, 3, "cut off"},
		{"reset then fine", sequence(raw("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nreset"), fine()), "", nil, 2, ""},
		{"no HTTP", raw("SSH-2.0-" + testKey + "\r\n"), "", ErrUnreachable, 3, "check the network"},
		{"broken gzip", text(200, strings.Repeat("no gzip", 9), "Content-Encoding", "gzip"), "", ErrUnreadable, 3, "gzip"},
		{"header bomb", headerBomb, "", ErrUnreachable, 3, "header"},
		{"1xx for ever", raw(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <"+strings.Repeat("x", 4<<10)+">\r\n\r\n", 1000)), "", ErrUnreachable, 3, "exceeded 1048576 bytes"},
		{"bad Location", text(302, "", "Location", "http://h\x7f/"+testKey), "", ErrUnreachable, 3, ""},
		{"304", text(304, ""), "", ErrUnreachable, 1, "no answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log syncBuffer
			c := serve(t, tt.h, func(o *Options) {
				o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			page, err := c.Page(t.Context(), PageRequest{Token: tt.token, Limit: 10})
			if got := c.Requests(); got != tt.requests {
				t.Errorf("%d requests, want %d (%v)", got, tt.requests, err)
			}
			if tt.kind == nil && (err != nil || len(page.Events) != 1) {
				t.Errorf("%+v, %v", page, err)
			}
			if tt.kind != nil && (page != nil || !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("got %v; want %v that says %q", err, tt.kind, tt.says)
			}
			for _, hidden := range []string{testKey, tt.token, "sig=1", "http://127"} {
				if hidden != "" && strings.Contains(fmt.Sprint(err, log.String()), hidden) {
					t.Errorf("the error or the log shows %q", hidden[:4])
				}
			}
		})
	}
}

func headerBomb(w http.ResponseWriter, _ *http.Request) {
	for i := range 300 {
		w.Header().Set(fmt.Sprintf("X-Bomb-%d", i), strings.Repeat("b", 8<<10))
	}
	w.WriteHeader(200)
}

// TestSecretsInAnswersAreMasked: also as a secret stands in a query, in a path or
// in a header.
func TestSecretsInAnswersAreMasked(t *testing.T) {
	const secret = "hk/+ 1?&%"
	for _, form := range []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"hk%2f%2b%201%3f%26%25", `hk/+ 1?\u0026%`, `hk\/+ 1?&%`, "hk/+ 1?&amp;%",
	} {
		if got := Clean("key "+form+" is refused", secret); got != "key … is refused" {
			t.Errorf("%q was told as %q", form, got)
		}
	}
	if got := Clean(`key a\u003Cbcd is refused`, "a<bcd"); got != "key … is refused" {
		t.Errorf("told as %q", got)
	}
}

// TestErrorFields: a caller gets the answer's own words.
func TestErrorFields(t *testing.T) {
	c := serve(t, text(429, `{"error":{"code":"rate_limit_exceeded","message":"slow\u001b[2Jdown","param":null,"doc_url":null}}`,
		"Retry-After", "1", "X-Request-Id", "abc"), func(o *Options) { o.Attempts = 1 })
	_, err := c.Page(t.Context(), PageRequest{})
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if e.Status != 429 || e.Code != "rate_limit_exceeded" || e.Message != "slow [2Jdown" || e.RequestID != "abc" || e.RetryAfter != time.Second {
		t.Errorf("%+v", e)
	}
}

func TestRedirects(t *testing.T) {
	var reached atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer other.Close()
	host := strings.TrimPrefix(other.URL, "http://")
	for _, status := range []int{301, 302, 303, 307, 308} {
		for location, says := range map[string]string{
			other.URL + "/in/secret?token=s3cret":          "a redirect to " + host + ";",
			"//" + host + "/secret":                        "a redirect to " + host + ";",
			"https://user:s3cret@elsewhere.example/secret": "a redirect to elsewhere.example;",
			"file:///etc/secret":                           "a redirect to nowhere;",
		} {
			c := serve(t, text(status, "", "Location", location))
			_, err := c.Page(t.Context(), PageRequest{})
			if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "/secret") {
				t.Errorf("%d to %s: %v", status, location, err)
			}
			if c.Requests() != 1 {
				t.Errorf("%d: %d requests", status, c.Requests())
			}
		}
	}
	if reached.Load() != 0 {
		t.Error("the other server was asked")
	}
}

// TestRefresh: a refused credential is read again once, and tried once more
// if it changed.
func TestRefresh(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	stamp := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	put := func(key string) {
		if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != "key-2" {
			put("key-2") // rotated, and nothing to see from outside
			text(401, "")(w, r)
			return
		}
		fine()(w, r)
	}, func(o *Options) { o.APIKey = secret.File(path) })
	put("key-1")
	if _, err := c.Page(t.Context(), PageRequest{}); err != nil || c.Requests() != 2 {
		t.Fatalf("%d requests, %v", c.Requests(), err)
	}

	refused := serve(t, text(401, ""), func(o *Options) { o.APIKey = secret.File(path) })
	if _, err := refused.Page(t.Context(), PageRequest{}); !errors.Is(err, ErrCredentials) || refused.Requests() != 1 {
		t.Fatalf("unchanged: %d requests, %v", refused.Requests(), err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := refused.Page(t.Context(), PageRequest{}); !errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(), path) {
		t.Fatalf("absent: %v", err)
	}
}

func TestKeyThatNoHeaderTakes(t *testing.T) {
	c := serve(t, fine(), func(o *Options) { o.APIKey = secret.Text(testKey + "\nX-Other: 1") })
	_, err := c.Page(t.Context(), PageRequest{})
	if !errors.Is(err, ErrCredentials) || c.Requests() != 0 || strings.Contains(err.Error(), testKey) {
		t.Errorf("%d requests, %v", c.Requests(), err)
	}
}

// TestGzipBomb: half a megabyte that unpacks to 512 MiB is refused at the
// bound, at once, and costs less than four times the bound. The bound is that
// of small answers, which is read the same way and takes less time.
func TestGzipBomb(t *testing.T) {
	// A gzip file may be many in a row, which makes a bomb quick to build.
	bomb := gzipped(`{"data":"`) + strings.Repeat(gzipped(strings.Repeat("0", 1<<20)), 512)
	c := serve(t, text(200, bomb, "Content-Encoding", "gzip"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.EventTypes(t.Context())
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "larger than") || c.Requests() != 1 {
		t.Errorf("%d requests, %v", c.Requests(), err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 4*maxObject {
		t.Errorf("it cost %d MiB", got>>20)
	}
}

func gzipped(text string) string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

func TestBound(t *testing.T) {
	large := &http.Response{ContentLength: 11, Body: io.NopCloser(strings.NewReader("12345678901"))}
	if _, err := readBody(nil, large, 10); !errors.Is(err, errTooLarge(10)) {
		t.Errorf("announced: %v", err)
	}
	for _, tt := range []struct {
		body string
		fits bool
	}{{"", true}, {"1234567890", true}, {"12345678901", false}} {
		resp := &http.Response{ContentLength: -1, Body: io.NopCloser(strings.NewReader(tt.body))}
		got, err := readBody(nil, resp, 10)
		if (err == nil) != tt.fits || tt.fits && string(got) != tt.body {
			t.Errorf("%q: %q, %v", tt.body, got, err)
		}
	}
	if (PageRequest{Limit: 1}).bound() != maxPageOfOne || (PageRequest{Limit: 2}).bound() != maxPage || (PageRequest{}).bound() != maxPage {
		t.Error("bounds of pages")
	}
}

// TestNeverAnswers: an attempt ends by itself, and a stop does not wait for it.
func TestNeverAnswers(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	hangInBody := func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"data":`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	for name, h := range map[string]http.HandlerFunc{"before": hang, "in the body": hangInBody} {
		c := serve(t, h, func(o *Options) { o.Timeout, o.Attempts = 30*time.Millisecond, 2 })
		_, err := c.Page(t.Context(), PageRequest{})
		if !errors.Is(err, ErrUnreachable) || c.Requests() != 2 || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %d requests, %v", name, c.Requests(), err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { stop(); hang(w, r) })
	if _, err := c.Page(ctx, PageRequest{}); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) || c.Requests() != 1 {
		t.Errorf("stopped: %d requests, %v", c.Requests(), err)
	}
}

// instant answers without a network, as a test in a synctest bubble needs.
type instant func(n int) *http.Response

func (i instant) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := i(0)
	resp.Request = r
	return resp, nil
}

func answerWith(status int, body string, headers ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1}
	for i := 0; i+1 < len(headers); i += 2 {
		resp.Header.Set(headers[i], headers[i+1])
	}
	return resp
}

// TestRate: every try keeps the rate, the first and the repeated ones; and
// what Retry-After asks for is waited for, but never more than a minute each.
func TestRate(t *testing.T) {
	for _, tt := range []struct {
		name       string
		status     int
		retryAfter string
		want       time.Duration // of four requests: two calls of two attempts
	}{
		{"rate", 500, "", 3 * 2 * time.Second},
		{"Retry-After", 429, "5", 5*time.Second + 2*time.Second + 5*time.Second},
		{"Retry-After, clamped", 429, "9999", time.Minute + 2*time.Second + time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, "http://test", func(o *Options) {
					o.Rate, o.Attempts = 0.5, 2
					o.Transport = instant(func(int) *http.Response { return answerWith(tt.status, "", "Retry-After", tt.retryAfter) })
				})
				start := time.Now()
				for range 2 {
					if _, err := c.Page(t.Context(), PageRequest{}); !errors.Is(err, ErrUnreachable) {
						t.Fatal(err)
					}
				}
				if got := time.Since(start).Round(time.Second); got != tt.want || c.Requests() != 4 {
					t.Errorf("%d requests took %v, want %v", c.Requests(), got, tt.want)
				}
			})
		})
	}
}

// TestStopInPause: a stop ends the wait for the rate and for a retry.
func TestStopInPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, "http://test", func(o *Options) {
			o.Rate = 1
			o.Transport = instant(func(int) *http.Response { return answerWith(429, "", "Retry-After", "60") })
		})
		for _, want := range []time.Duration{10 * time.Second, 0} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if want == 0 {
				cancel()
			}
			start := time.Now()
			_, err := c.Page(ctx, PageRequest{})
			if !errors.Is(err, ctx.Err()) || time.Since(start) != want {
				t.Errorf("%v after %v, want %v", err, time.Since(start), want)
			}
			cancel()
		}
	})
}

// TestNow: the client's clock follows the Date of what it reads.
func TestNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		date := time.Now().Add(-time.Hour).UTC()
		c := client(t, "http://test", func(o *Options) {
			o.Transport = instant(func(int) *http.Response {
				return answerWith(200, pageOf(), "Date", date.Format(http.TimeFormat))
			})
		})
		if !c.Now().Equal(time.Now()) {
			t.Error("before any answer it is not the local time")
		}
		if _, err := c.Page(t.Context(), PageRequest{}); err != nil {
			t.Fatal(err)
		}
		if got := c.Now(); !got.Equal(date) {
			t.Errorf("%v, want %v", got, date)
		}
	})
}

// TestSideBySide: several walks share a client.
func TestSideBySide(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		text(200, pageOf(rowOf(r.URL.Query().Get("token"), `{"video_id":"`+r.URL.Query().Get("token")+`"}`)))(w, r)
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 20 {
				want := fmt.Sprintf("t%d-%d", i, k)
				p, err := c.Page(t.Context(), PageRequest{Token: want})
				if err != nil || p.Events[0].ID != want || p.Events[0].Entity() != want {
					t.Errorf("%s: %+v, %v", want, p, err)
				}
			}
		})
	}
	wg.Wait()
}

// syncBuffer is a buffer that a server's goroutine may write to as well.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
