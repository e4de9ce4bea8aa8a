package reconcile

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

const testSecret = "whsec_test_secret"

// awkward are event_data that a decoder and encoder would change.
func awkward() map[string]string {
	return map[string]string{
		"plain":          `{"video_id":"vid_xyz789","url":"https://files.heygen.com/video/vid_xyz789.mp4","callback_id":null}`,
		"html":           `{"video_id":"v","msg":"<a href='x'>&amp;</a>"}`,
		"signed URL":     `{"video_id":"v","url":"https://x.example/v.mp4?Expires=1&Signature=a~b&Key-Pair-Id=K"}`,
		"separators":     "{\"video_id\":\"v\",\"msg\":\"a\u2028b\u2029c\"}",
		"numbers":        `{"video_id":"v","duration":1.10,"n":9007199254740993,"e":1E400,"z":-0}`,
		"duplicate keys": `{"video_id":"v","video_id":"w","video_id":"v"}`,
		"white space":    "{ \"video_id\" :\t\"v\" ,\r\n  \"list\": [ 1,2 , 3 ] }",
		"escapes":        `{"video_id":"v","msg":"\u0041\/\ud83d\ude00 \ud800"}`,
		"bad UTF-8":      "{\"video_id\":\"v\",\"msg\":\"\xff\xfe\"}",
		"empty":          `{}`,
	}
}

// post is what a receiver got.
type post struct {
	method, uri string
	header      http.Header
	body        []byte
}

func (p post) hmac() string {
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write(p.body)
	return hex.EncodeToString(mac.Sum(nil))
}

// receivers are the receivers in use, by what they demand of a POST. Each was
// written from its demand, not from the Sender.
func receivers() map[string]func(p post) error {
	same := func(got, want string) error {
		if !hmac.Equal([]byte(got), []byte(want)) {
			return errors.New("signature " + got + " is not " + want)
		}
		return nil
	}
	return map[string]func(p post) error{
		"raw body, Heygen-Signature": func(p post) error { return same(p.header.Get("Heygen-Signature"), p.hmac()) },
		"raw body, Signature":        func(p post) error { return same(p.header.Get("Signature"), p.hmac()) },
		"timestamp of 300 s": func(p post) error {
			n, err := strconv.ParseInt(p.header.Get("Heygen-Timestamp"), 10, 64)
			if age := time.Since(time.Unix(n, 0)).Abs(); err != nil || age > 300*time.Second {
				return errors.New("timestamp " + p.header.Get("Heygen-Timestamp"))
			}
			return nil
		},
		"event id header": func(p post) error {
			if p.header.Get("Heygen-Event-Id") != "evt_abc123" {
				return errors.New("event id " + p.header.Get("Heygen-Event-Id"))
			}
			return nil
		},
		"JSON content type": func(p post) error {
			if p.header.Get("Content-Type") != "application/json" {
				return errors.New("content type " + p.header.Get("Content-Type"))
			}
			return nil
		},
		"token in the URL": func(p post) error {
			if p.method != "POST" || p.uri != "/hook?token=s%2Bcret&x=" {
				return errors.New(p.method + " " + p.uri)
			}
			return nil
		},
		"exactly two keys, signed again as a model": func(p post) error {
			var model struct {
				Type json.RawMessage `json:"event_type"`
				Data json.RawMessage `json:"event_data"`
			}
			dec := json.NewDecoder(bytes.NewReader(p.body))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&model); err != nil {
				return err
			}
			again := `{"event_type":` + string(model.Type) + `,"event_data":` + string(model.Data) + `}`
			mac := hmac.New(sha256.New, []byte(testSecret))
			mac.Write([]byte(again))
			return same(p.header.Get("Heygen-Signature"), hex.EncodeToString(mac.Sum(nil)))
		},
	}
}

// capture serves until the test ends and hands over what it got.
func capture(t *testing.T) (url string, posts <-chan post) {
	t.Helper()
	c := make(chan post, 16)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c <- post{r.Method, r.RequestURI, r.Header, body}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, c
}

func newTestSender(t *testing.T, o SenderOptions) *Sender {
	t.Helper()
	s, err := NewSender(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func message(data string) Message {
	return Message{
		Event:   heygen.Event{ID: "evt_abc123", Type: "avatar_video.success", Data: []byte(data), Created: "2026-03-25T12:05:00Z"},
		Attempt: 3, Reason: state.ReasonMissed, Secrets: []string{testSecret, "whsec_old"},
	}
}

func TestReceiversAcceptAReplay(t *testing.T) {
	url, posts := capture(t)
	s := newTestSender(t, SenderOptions{URL: url + "/hook?token=s%2Bcret&x="})
	for name, data := range awkward() {
		a := s.Send(t.Context(), message(data))
		if a.Class != OK || a.Status != 200 {
			t.Fatalf("%s: %+v", name, a)
		}
		p := <-posts
		for demand, check := range receivers() {
			if err := check(p); err != nil {
				t.Errorf("%s refused by a receiver with %s: %v", name, demand, err)
			}
		}
		if want := `{"event_type":"avatar_video.success","event_data":` + data + `}`; string(p.body) != want {
			t.Errorf("%s: body %q, want %q", name, p.body, want)
		}
	}
}

func TestKnownSignature(t *testing.T) {
	s := newTestSender(t, SenderOptions{URL: "https://receiver.example"})
	req, err := s.Request(t.Context(), message(awkward()["plain"]))
	if err != nil {
		t.Fatal(err)
	}
	const want = "1dd8b63e50ea7f832cd13b13dd7378277ebd314632db75bfe31b180eba8ee53c"
	for _, name := range []string{"Heygen-Signature", "Signature"} {
		if got := req.Header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestListingBody(t *testing.T) {
	s := newTestSender(t, SenderOptions{URL: "https://receiver.example", Body: BodyListing})
	for name, data := range awkward() {
		want := `{"event_id":"evt_abc123","event_type":"avatar_video.success","event_data":` + data + `,"created_at":"2026-03-25T12:05:00Z"}`
		if got := string(s.render(message(data).Event)); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	undated := heygen.Event{ID: `a"b<&>`, Type: "t", Data: []byte("{}")}
	if got, want := string(s.render(undated)), `{"event_id":"a\"b<&>","event_type":"t","event_data":{},"created_at":null}`; got != want {
		t.Errorf("undated: %s, want %s", got, want)
	}
}

func TestReplayHeaders(t *testing.T) {
	s := newTestSender(t, SenderOptions{URL: "https://receiver.example/x", Version: "1.2.3", Headers: map[string]string{
		"authorization": "Bearer abc", "host": "inner.example", "X-Env": "prod",
		"heygen-event-id": "forged", "X-Backstop-Replay": "0", "content-type": "text/plain", "User-Agent": "curl", "Signature": "forged",
	}})
	m := message("{}")
	m.Secrets = nil
	req, err := s.Request(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if req.Host != "inner.example" {
		t.Errorf("host %q", req.Host)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer abc", "X-Env": "prod", "User-Agent": "backstop/1.2.3", "Content-Type": "application/json",
		"Heygen-Event-Id": "evt_abc123", "X-Backstop-Replay": "1", "X-Backstop-Attempt": "3", "X-Backstop-Reason": "missed",
		"Signature": "", "Heygen-Signature": "", "Cookie": "",
	} {
		if got := req.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if s.headers.Get("Heygen-Timestamp") != "" {
		t.Error("headers of one attempt stayed for the next")
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var hits atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer other.Close()
	host := strings.TrimPrefix(other.URL, "http://")
	for _, code := range []int{301, 302, 303, 307, 308} {
		srv := httptest.NewServer(http.RedirectHandler(other.URL+"/x?token=secret", code))
		a := newTestSender(t, SenderOptions{URL: srv.URL}).Send(t.Context(), message("{}"))
		srv.Close()
		if a.Status != code || a.Class != Misconfigured || a.Err != "redirect to "+host {
			t.Errorf("%d: %+v", code, a)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d redirects were followed", hits.Load())
	}
}

func TestNoCookies(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "" {
			w.WriteHeader(500)
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
	}))
	defer srv.Close()
	s := newTestSender(t, SenderOptions{URL: srv.URL})
	for range 2 {
		if a := s.Send(t.Context(), message("{}")); a.Class != OK {
			t.Errorf("%+v", a)
		}
	}
}

// A 2xx is a 2xx, whatever comes behind its headers; and what comes is not read
// to its end.
func TestEndlessAnswer(t *testing.T) {
	var written atomic.Int64
	closed := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(closed)
		chunk := make([]byte, 32<<10)
		for {
			n, err := w.Write(chunk)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	a := newTestSender(t, SenderOptions{URL: srv.URL}).Send(t.Context(), message("{}"))
	if a.Status != 200 || a.Class != OK {
		t.Errorf("%+v", a)
	}
	<-closed
	if n := written.Load(); n > 64<<20 {
		t.Errorf("the receiver could send %d bytes", n)
	}
}

func TestBodyThatBreaksOffIsStillSuccess(t *testing.T) {
	srv := raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") })
	if a := newTestSender(t, SenderOptions{URL: srv}).Send(t.Context(), message("{}")); a.Class != OK {
		t.Errorf("%+v", a)
	}
}

func TestResetAfterProcessing(t *testing.T) {
	srv := raw(t, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) })
	a := newTestSender(t, SenderOptions{URL: srv}).Send(t.Context(), message("{}"))
	if a.Status != 0 || a.Err != "reset" || a.Class != Retry {
		t.Errorf("%+v", a)
	}
}

func TestGarbageAnswerIsNotQuoted(t *testing.T) {
	srv := raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "\x1b[31mhello?token=secret\r\n\r\n") })
	a := newTestSender(t, SenderOptions{URL: srv}).Send(t.Context(), message("{}"))
	if a.Status != 0 || a.Err != "network" || a.Class != Retry {
		t.Errorf("%+v", a)
	}
}

// raw answers each POST, once it was read whole, with what answer writes.
func raw(t *testing.T, answer func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var got []byte
			buf := make([]byte, 4096)
			for !bytes.HasSuffix(got, []byte(`"event_data":{}}`)) {
				n, err := c.Read(buf)
				if got = append(got, buf[:n]...); err != nil {
					break
				}
			}
			answer(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return "http://" + l.Addr().String()
}

func TestAnswerAfterTheTimeout(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	a := newTestSender(t, SenderOptions{URL: srv.URL, Timeout: 20 * time.Millisecond}).Send(t.Context(), message("{}"))
	if a.Status != 0 || a.Err != "timeout" || a.Class != Retry || a.Latency < 20*time.Millisecond {
		t.Errorf("%+v", a)
	}
}

func TestRefusedConnection(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	a := newTestSender(t, SenderOptions{URL: srv.URL}).Send(t.Context(), message("{}"))
	if a.Err != "refused" || a.Class != Retry {
		t.Errorf("%+v", a)
	}
}

func TestTLSErrors(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for url, want := range map[string]string{
		srv.URL: "tls: the certificate's authority is unknown",
		strings.Replace(plain.URL, "http:", "https:", 1): "tls: the other side does not speak it",
	} {
		a := newTestSender(t, SenderOptions{URL: url}).Send(t.Context(), message("{}"))
		if a.Err != want || a.Class != Retry {
			t.Errorf("%+v, want %s", a, want)
		}
	}
}

func TestRetryAfterIsRead(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "17")
		w.WriteHeader(429)
	}))
	defer srv.Close()
	a := newTestSender(t, SenderOptions{URL: srv.URL}).Send(t.Context(), message("{}"))
	if a.Status != 429 || a.RetryAfter != 17*time.Second || a.Class != Retry {
		t.Errorf("%+v", a)
	}
}

func TestLinkLocalAddressesAreRefused(t *testing.T) {
	for _, tc := range []struct {
		host, address string
		ok            bool
	}{
		{"receiver.example", "93.184.216.34:443", true},
		{"localhost", "127.0.0.1:80", true},
		{"receiver.example", "10.0.0.1:80", true},
		{"receiver.example", "169.254.169.254:80", false},
		{"receiver.example", "[::ffff:169.254.169.254]:80", false},
		{"receiver.example", "[fe80::1%eth0]:80", false},
		{"receiver.example", "[fd00:ec2::254]:80", false},
		{"169.254.169.254", "169.254.169.254:80", true},
		{"169.254.1.1", "169.254.169.254:80", false},
		{"fe80::1%eth0", "[fe80::1%eth0]:80", true},
		{"", "169.254.169.254:80", false},
		{"receiver.example", "nonsense", false},
	} {
		err := refuseLocal(tc.host)("tcp", tc.address, nil)
		if (err == nil) != tc.ok {
			t.Errorf("%s at %s: %v", tc.host, tc.address, err)
		}
	}
	err := refuseLocal("receiver.example")("tcp", "169.254.169.254:80", nil)
	if got := words(t.Context(), &net.OpError{Op: "dial", Err: err}); !strings.HasPrefix(got, "address refused") {
		t.Errorf("in words: %q", got)
	}
}

func TestBadReceiverURLIsNotQuoted(t *testing.T) {
	for _, url := range []string{"", "receiver", "ftp://x/?token=secret", "http://", "http://x\x7f/?token=secret", "://?token=secret"} {
		_, err := NewSender(SenderOptions{URL: url})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := NewSender(SenderOptions{URL: "http://x", Body: "xml"}); err == nil {
		t.Error("body xml was taken")
	}
}

// tripper is a RoundTripper that is a function.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCutOffIsStopped(t *testing.T) {
	ctx, cut := context.WithCancelCause(t.Context())
	s := newTestSender(t, SenderOptions{URL: "http://x", Transport: tripper(func(r *http.Request) (*http.Response, error) {
		cut(errStopped)
		<-r.Context().Done()
		return nil, r.Context().Err()
	})})
	if a := s.Send(ctx, message("{}")); a.Err != wordStopped || a.Class != Retry {
		t.Errorf("%+v", a)
	}
}

func TestEachPostIsObserved(t *testing.T) {
	var told []string
	observe := func(a Answer) { told = append(told, a.String()) }
	answers := []any{204, errors.New("anything"), 503}
	s := newTestSender(t, SenderOptions{URL: "http://receiver.example/", Observe: observe, Transport: tripper(func(*http.Request) (*http.Response, error) {
		next := answers[0]
		answers = answers[1:]
		if err, ok := next.(error); ok {
			return nil, err
		}
		return &http.Response{StatusCode: next.(int), Header: http.Header{}, Body: http.NoBody}, nil
	})})
	for range 3 {
		s.Send(t.Context(), message(`{}`))
	}
	if got := strings.Join(told, " "); got != "204 network 503" {
		t.Errorf("told %q", got)
	}
}
