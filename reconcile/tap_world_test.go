package reconcile

import (
	"bufio"
	"bytes"
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
	t           *testing.T
	tap         *Tap
	front, back *httptest.Server
	said        *syncBuffer
	mu          sync.Mutex
	arrivals    []arrival
	recorded    []state.Sighting
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

func chunkedOf(body string) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(len(body), 60_000)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
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
