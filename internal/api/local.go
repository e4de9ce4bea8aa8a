package api

import (
	"io"
	"net/http"
	"os"
	"sync"
)

// local is a transport that serves every request from a handler in this
// process: what a verb uses when no daemon runs.
type local struct {
	handler http.Handler
	running sync.WaitGroup // requests under way
}

// RoundTrip implements http.RoundTripper. The answer's body streams while the
// handler runs.
func (l *local) RoundTrip(r *http.Request) (*http.Response, error) {
	reader, writer := io.Pipe()
	answer := &localAnswer{header: http.Header{}, body: writer, ready: make(chan struct{})}
	request := r.Clone(r.Context())
	request.RemoteAddr = peer(os.Geteuid()).String()
	if request.Body == nil {
		request.Body = http.NoBody
	}
	l.running.Go(func() {
		l.handler.ServeHTTP(answer, request)
		answer.WriteHeader(http.StatusOK)
		_ = writer.Close()
	})
	<-answer.ready
	return &http.Response{
		StatusCode: answer.status, Status: http.StatusText(answer.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: answer.header.Clone(), Body: reader, ContentLength: -1, Request: r,
	}, nil
}

// localAnswer is the handler's end of an answer.
type localAnswer struct {
	header http.Header
	body   *io.PipeWriter
	once   sync.Once
	status int           // written before ready is closed
	ready  chan struct{} // closed with the header
}

// Header implements http.ResponseWriter.
func (a *localAnswer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter; only the first call counts.
func (a *localAnswer) WriteHeader(status int) {
	a.once.Do(func() {
		a.status = status
		close(a.ready)
	})
}

// Write implements http.ResponseWriter.
func (a *localAnswer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// Flush implements http.Flusher; a pipe holds nothing back.
func (a *localAnswer) Flush() {}
