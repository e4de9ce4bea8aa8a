package reconcile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"backstop/state"
)

const pushed = `{"event_type":"avatar_video.success","event_data":{"video_id":"vid_1","url":"https://files.example/v?Expires=1"}}`

// arrival is one request as the receiver got it.
type arrival struct {
	Method, Target, Host, Body string
	Length                     int64
	Encoding                   []string
	Header                     http.Header
}

// reply is one answer as the client got it.
type reply struct {
	Status, Body    string
	Length          int64
	Encoding        []string
	Header, Trailer http.Header
}

// tapWorld is a receiver with a tap before it, both on loopback.
type tapWorld struct {
	t            *testing.T
	tap          *Tap
	front, back  *httptest.Server
	said         *syncBuffer
	mu           sync.Mutex
	arrivals     []arrival
	recorded     []state.Sighting
	recordFailed error // guarded by mu; what Record says
}

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

// newTapWorld serves a receiver, and a tap with the receiver's base and path as
// its target.
func newTapWorld(t *testing.T, path string, answer http.HandlerFunc, change ...func(*TapOptions)) *tapWorld {
	t.Helper()
	w := &tapWorld{t: t, said: &syncBuffer{}}
	w.back = plainServer(w.note(answer))
	o := TapOptions{
		Target: func() string { return w.back.URL + path }, Record: w.record,
		Logger: slog.New(slog.NewTextHandler(w.said, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	w.tap = NewTap(o)
	w.front = plainServer(w.tap)
	t.Cleanup(func() {
		w.front.CloseClientConnections()
		w.front.Close()
		w.back.CloseClientConnections()
		w.back.Close()
		if own, ok := w.tap.transport.(*http.Transport); ok {
			own.CloseIdleConnections()
		}
	})
	return w
}

// plainServer leaves OPTIONS * to its handler.
func plainServer(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.DisableGeneralOptionsHandler = true
	s.Start()
	return s
}

func (w *tapWorld) note(answer http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if answer != nil && r.Header.Get("X-Early") != "" {
			answer(rw, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender broke off
		}
		a := arrival{r.Method, r.RequestURI, r.Host, string(body), r.ContentLength, r.TransferEncoding, r.Header.Clone()}
		w.mu.Lock()
		w.arrivals = append(w.arrivals, a)
		w.mu.Unlock()
		if answer != nil {
			answer(rw, r)
		}
	}
}

func (w *tapWorld) record(seen []state.Sighting) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.recordFailed != nil {
		return w.recordFailed
	}
	w.recorded = append(w.recorded, seen...)
	return nil
}

// last is the newest arrival.
func (w *tapWorld) last() arrival {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.arrivals) == 0 {
		w.t.Fatal("nothing arrived at the receiver")
	}
	return w.arrivals[len(w.arrivals)-1]
}

// queued is what Sync would record.
func (w *tapWorld) queued() (seen []state.Sighting) {
	_ = w.tap.Peek(w.t.Context(), func(s state.Sighting) { seen = append(seen, s) }) // never an error
	return seen
}

// send writes a request as it stands and reads the answer.
func send(t *testing.T, base, request string) reply {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, request) }() // an early answer may end it
	method, _, _ := strings.Cut(request, " ")
	return receive(t, bufio.NewReader(conn), method)
}

func receive(t *testing.T, from *bufio.Reader, method string) reply {
	t.Helper()
	for {
		resp, err := http.ReadResponse(from, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		if resp.StatusCode < http.StatusOK {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("the answer broke off: %v", err)
		}
		return reply{resp.Status, string(body), resp.ContentLength, resp.TransferEncoding, resp.Header, resp.Trailer}
	}
}

// headerLines are a push's, with what clients get away with.
const oddHeaders = "User-Agent: HeyGen/1\r\nHeygen-Event-Id: evt_1\r\nheygen-signature: ABC\r\nX-Odd:  a\t\"b\" ,c;=\xe9\xff \r\n" +
	"X-Empty:\r\nX-Twice: 1\r\nX-Twice: 2\r\nX_Under_Score: 1\r\nAccept: */*;q=0.1,,\r\nCookie: a=b; c=\"d\"\r\nAuthorization: Bearer t\r\n" +
	"Content-Type: application/json; charset=\"utf-8\"\r\n"

func chunkedOf(body string) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(len(body), 60_000)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

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

// An answer is passed on as it comes, and the body as it goes.
func TestTapStreams(t *testing.T) {
	goOn := make(chan struct{})
	w := newTapWorld(t, "/", func(rw http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(rw).EnableFullDuplex()
		piece := make([]byte, 5)
		for range 3 { // an echo, piece by piece
			if _, err := io.ReadFull(r.Body, piece); err != nil {
				t.Error(err)
			}
			_, _ = rw.Write(piece)
			_ = http.NewResponseController(rw).Flush()
		}
		_, _ = r.Body.Read(piece) // its end
		<-goOn
	})
	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.front.URL, in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Early", "1")
	req.Header.Set("Heygen-Event-Id", "evt_early")
	go func() { _, _ = io.WriteString(out, "piece") }()
	resp, err := w.front.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	piece := make([]byte, 5)
	for i := range 3 {
		if _, err := io.ReadFull(resp.Body, piece); err != nil || string(piece) != "piece" {
			t.Fatalf("piece %d: %q, %v", i, piece, err)
		}
		if i < 2 {
			_, _ = io.WriteString(out, "piece")
		}
	}
	if n := len(w.queued()); n != 0 {
		t.Errorf("%d queued before the body had come", n)
	}
	_ = out.Close()
	waitUntil(t, "the push is queued once its body has come", func() bool { return len(w.queued()) == 1 })
	close(goOn)
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Error(err)
	}
	if n := len(w.queued()); n != 1 {
		t.Errorf("%d queued", n)
	}
}

// A receiver may answer without having read the body: the id alone is known.
func TestTapKnowsAnEarlyAnswer(t *testing.T) {
	for _, answer := range []string{"", "fine", strings.Repeat("x", 100_000)} {
		w := newTapWorld(t, "/", func(rw http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(rw).EnableFullDuplex() // else it waits for the body
			rw.Header().Set("Connection", "close")
			rw.Header().Set("Content-Length", fmt.Sprint(len(answer)))
			_, _ = io.WriteString(rw, answer)
		})
		conn, err := net.Dial("tcp", w.front.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nX-Early: 1\r\nHeygen-Event-Id: evt_1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n")
		got := receive(t, bufio.NewReader(conn), "POST")
		if seen := w.queued(); got.Body != answer || len(seen) != 1 || seen[0].ID != "evt_1" || !seen[0].Fact.IsZero() {
			t.Errorf("%s, %d bytes; queued %+v", got.Status, len(got.Body), seen)
		}
		_ = conn.Close()
	}
}

// Nobody waits for an answer any more: the receiver learns it.
func TestTapPassesADisconnectOn(t *testing.T) {
	for _, body := range []string{"Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"} {
		arrived, left := make(chan struct{}), make(chan struct{})
		w := newTapWorld(t, "/", func(_ http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-r.Context().Done()
			close(left)
		})
		conn, err := net.Dial("tcp", w.front.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nHeygen-Event-Id: evt_1\r\n"+body)
		<-arrived
		_ = conn.Close()
		<-left
		w.front.Close()
		if said := w.said.String(); said != "" || len(w.queued()) != 0 {
			t.Errorf("logged %q, queued %v", said, w.queued())
		}
	}
}

// A sender that breaks off in its body is no failure of the receiver.
func TestTapForgivesABrokenBody(t *testing.T) {
	for _, body := range []string{"Content-Length: 9\r\n\r\n{}", "Content-Length: 2000000\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"} {
		w := newTapWorld(t, "/", nil)
		conn, err := net.Dial("tcp", w.front.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nHeygen-Event-Id: evt_1\r\n"+body)
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
		w.front.Close()
		if said := w.said.String(); said != "" || len(w.queued()) != 0 {
			t.Errorf("logged %q, queued %v", said, w.queued())
		}
	}
}

func TestTapRefusesWhatIsTooLong(t *testing.T) {
	w := newTapWorld(t, "/", nil)
	const long = "413 Request Entity Too Large"
	if got := send(t, w.front.URL, fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", maxPassed+1)); got.Status != long {
		t.Errorf("announced: %s", got.Status)
	}
	body := io.LimitReader(zeros{}, maxPassed+1)
	resp, err := w.front.Client().Post(w.front.URL, "application/json", struct{ io.Reader }{body})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.Status != long {
		t.Errorf("in chunks: %s", resp.Status)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.arrivals) != 0 || w.said.String() != "" {
		t.Errorf("%d requests passed on whole; logged %q", len(w.arrivals), w.said.String())
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Connections to the receiver are used again.
func TestTapKeepsConnections(t *testing.T) {
	var mu sync.Mutex
	from := map[string]bool{}
	w := newTapWorld(t, "/", func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		from[r.RemoteAddr] = true
	})
	for range 50 {
		send(t, w.front.URL, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nHeygen-Event-Id: e\r\n\r\n{}")
	}
	if len(from) > 10 { // a connection goes back to the pool beside the answer, and a slow machine lets it idle too long
		t.Errorf("%d connections for 50 requests one after the other", len(from))
	}
}

// closing is a connection that turns out to be closed when it is used again.
type closing struct {
	net.Conn
	uses *int
}

func (c closing) Write(p []byte) (int, error) {
	if *c.uses++; *c.uses > 1 {
		_ = c.Conn.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// The receiver closed a connection that was idle: the push goes over another.
func TestTapSurvivesAClosedConnection(t *testing.T) {
	own := newTapTransport()
	dialled := 0
	var mu sync.Mutex
	w := newTapWorld(t, "/", nil, func(o *TapOptions) {
		dial := own.DialContext
		own.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			mu.Lock()
			defer mu.Unlock()
			dialled++
			return closing{conn, new(int)}, err
		}
		o.Transport = own
	})
	for range 10 {
		if got := send(t, w.front.URL, "POST / HTTP/1.1\r\nHost: a\r\nHeygen-Event-Id: e\r\nContent-Length: 4\r\n\r\nbody"); got.Status != "200 OK" || w.last().Body != "body" {
			t.Fatalf("%+v, the receiver got %q", got, w.last().Body)
		}
	}
	if len(w.queued()) != 10 || len(w.arrivals) != 10 || dialled < 10 {
		t.Errorf("%d queued, %d arrived over %d connections", len(w.queued()), len(w.arrivals), dialled)
	}
}

// A receiver that is down is told at its edges, without its URL.
func TestTapWithoutAReceiver(t *testing.T) {
	w := newTapWorld(t, "/hook?token=tok_9", nil)
	address := w.back.Listener.Addr().String()
	w.back.Close()
	const request = "POST /x?sig=sig_9 HTTP/1.1\r\nHost: a\r\nHeygen-Event-Id: evt_9\r\nContent-Length: 9\r\n\r\n{\"a\":\"b\"}"
	for range 3 {
		got := send(t, w.front.URL, request)
		if got.Status != "502 Bad Gateway" || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") || len(got.Body) > 100 {
			t.Errorf("%+v", got)
		}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	again := &http.Server{Handler: http.HandlerFunc(variedAnswer)}
	go func() { _ = again.Serve(l) }()
	defer again.Close()
	for range 2 {
		if got := send(t, w.front.URL, request); got.Status != "200 OK" {
			t.Errorf("%+v", got)
		}
	}
	said := w.said.String()
	if strings.Count(said, "\n") != 2 || !strings.Contains(said, "reason=refused") || !strings.Contains(said, "failures=3") {
		t.Errorf("logged %s", said)
	}
	for _, inner := range []string{"tok_9", "sig_9", "evt_9", address} {
		if strings.Contains(said, inner) {
			t.Errorf("%s is in the log: %s", inner, said)
		}
	}
}

// By the last byte of the answer the push is queued, whatever the disk does.
func TestTapNeverWaitsForTheDisk(t *testing.T) {
	hanging, release := make(chan struct{}, 1), make(chan struct{})
	w := newTapWorld(t, "/", variedAnswer, func(o *TapOptions) {
		o.Record = func([]state.Sighting) error { hanging <- struct{}{}; <-release; return nil }
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.tap.Run(ctx) }()
	for i := range 60 {
		answer := []string{"json", "204", "long", "202", "trailer"}[i%5]
		send(t, w.front.URL, fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nHeygen-Event-Id: evt_%d\r\nX-Answer: %s\r\nContent-Length: 0\r\n\r\n", i, answer))
		if seen := w.queued(); len(seen) != i+1 || seen[i].ID != fmt.Sprintf("evt_%d", i) || seen[i].Proof != state.Tap || seen[i].At.IsZero() {
			t.Fatalf("after answer %d: %d queued", i, len(seen))
		}
	}
	<-hanging
	close(release)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := len(w.queued()); n != 0 {
		t.Errorf("%d left after the end", n)
	}
}

// A push with neither id nor content is passed on and counted.
func TestTapCountsWhatProvesNothing(t *testing.T) {
	w := newTapWorld(t, "/", variedAnswer)
	send(t, w.front.URL, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
	if w.tap.Unmatchable() != 1 || len(w.queued()) != 0 {
		t.Errorf("%d unmatchable, %d queued", w.tap.Unmatchable(), len(w.queued()))
	}
	fields := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(pushed), pushed)
	send(t, w.front.URL, "POST / HTTP/1.1\r\nHost: a\r\n"+fields)
	send(t, w.front.URL, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"+chunkedOf(pushed))
	seen := w.queued()
	if len(seen) != 2 || seen[0].ID != "" || seen[0].Fact.IsZero() || seen[0].Fact != seen[1].Fact {
		t.Errorf("anonymous pushes: %+v", seen)
	}
}

func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		runtime.Gosched()
	}
}

// Where many bodies are kept already, one is passed on unread: its id counts.
func TestTapWithoutRoomForABody(t *testing.T) {
	w := newTapWorld(t, "/", variedAnswer)
	if !w.tap.copies.TryAcquire(mostCopied) {
		t.Fatal("something is kept before the first request")
	}
	const head = "POST / HTTP/1.1\r\nHost: a\r\nHeygen-Event-Id: e\r\n"
	for _, request := range []string{head + "Transfer-Encoding: chunked\r\n\r\n" + chunkedOf(pushed), fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(pushed), pushed)} {
		if got := send(t, w.front.URL, request); got.Status != "200 OK" || w.last().Body != pushed {
			t.Errorf("%s, the receiver got %q", got.Status, w.last().Body)
		}
	}
	for _, seen := range w.queued() {
		if seen.ID != "e" || !seen.Fact.IsZero() {
			t.Errorf("queued %+v", seen)
		}
	}
	w.tap.copies.Release(mostCopied)
	send(t, w.front.URL, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(pushed), pushed))
	if seen := w.queued(); len(seen) != 3 || seen[2].Fact.IsZero() {
		t.Errorf("with room again: %+v", seen)
	}
	w.front.Close()
	if !w.tap.copies.TryAcquire(mostCopied) {
		t.Error("something is kept after the last request")
	}
}
