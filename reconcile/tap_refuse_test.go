package reconcile

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A tunnel would pass everything, and nothing of it could be known.
func TestTapPassesNoUpgradeOn(t *testing.T) {
	var asked string
	w := newTapWorld(t, "/", func(rw http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Upgrade") + r.Header.Get("Connection")
		rw.WriteHeader(http.StatusNoContent)
	})
	conn, err := net.Dial("tcp", w.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if got := receive(t, bufio.NewReader(conn), "GET"); !strings.HasPrefix(got.Status, "204") || asked != "" {
		t.Errorf("%s; the receiver was asked for %q", got.Status, asked)
	}
}

// A status that is none must not end in a panic.
func TestTapTakesNoStatusFor502(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n")
			_ = conn.Close()
		}
	}()
	w := newTapWorld(t, "/", nil)
	w.tap.target = func() string { return "http://" + l.Addr().String() }
	resp, err := w.front.Client().Post(w.front.URL, "application/json", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadGateway || len(w.queued()) != 0 {
		t.Errorf("%s, %d queued; want a 502 and nothing", resp.Status, len(w.queued()))
	}
}
