package reconcile

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

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

// A receiver may answer before the body has come. Where the rest of it never comes the receiver has no push.
func TestAPartOfAPushIsNone(t *testing.T) {
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
		_ = conn.Close()
		w.front.Close() // it waits for the request
		if seen := w.queued(); got.Body != answer || len(seen) != 0 {
			t.Errorf("%s, %d bytes; queued %+v, want nothing", got.Status, len(got.Body), seen)
		}
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
