package reconcile

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"backstop/state"
)

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
	if said := w.tap.Notice(); !strings.HasPrefix(said, "1 push that the receiver took has neither") {
		t.Errorf("it says %q", said)
	}
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
