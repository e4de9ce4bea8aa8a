package main

import (
	"bytes"
	"io"
	"net/http"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// keep NAME PATH: $NAME is from now on what stands there in the JSON object that
// was printed last.
func keepValue(ts *testscript.TestScript, neg bool, args []string) {
	arg(ts, neg, args, 2)
	ts.Setenv(args[0], valueAt(parseObject(ts, ts.ReadFile("stdout")), args[1]))
}

// bodies keeps the last body of each event that came to the receiver of a
// script: GET /body/ID.
type bodies struct {
	mu   sync.Mutex
	last map[string][]byte
}

// of lets a handler have what is kept.
func (b *bodies) of(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("Heygen-Event-Id"); id != "" {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return // it went away
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			b.mu.Lock()
			b.last[id] = body
			b.mu.Unlock()
		}
		h.ServeHTTP(w, r)
	})
}

func (b *bodies) serve(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, _ = w.Write(b.last[r.PathValue("id")])
}
