package query_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"backstop/reconcile/query"
)

// A server that takes connections and says nothing, as a host behind a dropping
// firewall nearly does.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, w := range []*world{
		{driver: query.Postgres, ids: "SELECT event_id FROM inbox WHERE event_id = ANY($1)", dsn: "postgres://backstop:hunter2@" + l.Addr().String() + "/app"},
		{driver: query.MySQL, ids: "SELECT event_id FROM inbox WHERE JSON_CONTAINS(?, JSON_QUOTE(event_id))", dsn: "backstop:hunter2@tcp(" + l.Addr().String() + ")/app"},
	} {
		t.Run(w.driver, func(t *testing.T) {
			short := w.query(t, func(o *query.Options) { o.Timeout = time.Millisecond })
			says(t, refused(t, t.Context(), short), "no answer within 1.001s; is it reachable")
			patient := w.query(t, nil)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := patient.Have(ctx, events("evt_1"))
				done <- err
			}()
			if conn, err := l.Accept(); err == nil {
				defer func() { _ = conn.Close() }()
			}
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want one of the context", err)
			}
		})
	}
}

// A server that breaks every connection off, from another port of ours each time: what is said of it stays the same.
func TestServerThatResets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { resetAll(l) })
	defer serving.Wait()
	defer func() { _ = l.Close() }()
	at := l.Addr().String()
	w := &world{driver: query.Postgres, ids: "SELECT event_id FROM inbox WHERE event_id = ANY($1)", dsn: "postgres://u:hunter2@" + at + "/app?sslmode=disable"}
	q := w.query(t, nil)
	first := refused(t, t.Context(), q)
	says(t, first, "postgres: read tcp "+at+": ", "connection reset by peer")
	if again := refused(t, t.Context(), q); again != first {
		t.Errorf("the same failure reads %q, and then %q", first, again)
	}
}

// resetAll reads the first words of every connection, and resets it.
func resetAll(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}
