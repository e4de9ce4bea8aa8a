package reconcile

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// exchange is one request that the tap passes on, and its answer.
type exchange struct {
	tap    *Tap
	w      http.ResponseWriter
	to     *url.URL
	header http.Header // as it came
	post   bool

	keep int64 // bytes of the body that may be kept

	mu       sync.Mutex // the body is read beside the answer
	body     []byte     // guarded by mu; what has come, while it is short enough to be kept
	length   int64      // guarded by mu; of what has come
	whole    bool       // guarded by mu; nothing more comes
	broken   bool       // guarded by mu; the sender broke off
	accepted bool       // guarded by mu; the receiver answered 2xx
	told     bool       // guarded by mu
}

// take prepares the body to be passed on. A status is one to refuse the request
// with.
func (x *exchange) take(r *http.Request) (out *http.Request, status int) {
	switch {
	case r.ContentLength > maxPassed:
		return r, http.StatusRequestEntityTooLarge
	case r.ContentLength == 0:
		x.whole = true
		return r, 0
	}
	x.keep = x.tap.room(r.ContentLength)
	control := http.NewResponseController(x.w)
	_ = control.SetReadDeadline(time.Now().Add(uploadTime)) // where that is not known, there is none
	out = r.WithContext(r.Context())                        // a copy; a handler leaves its request alone
	if r.ContentLength == x.keep {
		return out, x.read(out, control)
	}
	_ = control.EnableFullDuplex() // else the server reads the rest itself once an answer begins
	out.Body = &passedBody{ReadCloser: http.MaxBytesReader(x.w, r.Body, maxPassed), x: x, length: r.ContentLength, control: control}
	return out, 0
}

// read reads a short body before it is passed on: so it can be sent again where
// the receiver had closed the connection before anything was written to it.
func (x *exchange) read(r *http.Request, control *http.ResponseController) (status int) {
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return http.StatusBadRequest
	}
	_ = control.SetReadDeadline(time.Time{})
	x.body, x.whole = body, true
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody() // never an error
	return 0
}

// passedBody is a body that is passed on as it comes.
type passedBody struct {
	io.ReadCloser
	x       *exchange
	length  int64 // as announced; -1: unknown
	control *http.ResponseController
}

// Read keeps a copy of what it reads.
func (b *passedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.x.came(p[:n], err, b.length) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// came notes a piece of the body, and reports whether it was the last.
func (x *exchange) came(piece []byte, err error, announced int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.length += int64(len(piece))
	if x.length <= x.keep {
		x.body = append(x.body, piece...)
	} else {
		x.body = nil
	}
	x.whole = x.whole || errors.Is(err, io.EOF) || x.length == announced
	x.broken = x.broken || err != nil && !errors.Is(err, io.EOF)
	if x.accepted && x.whole {
		x.tellLocked()
	}
	return x.whole
}

// tellLocked queues the push, once.
func (x *exchange) tellLocked() {
	if !x.told {
		x.told = true
		x.tap.saw(x.header, x.body)
	}
}

// rewrite makes the request to the receiver.
func (x *exchange) rewrite(p *httputil.ProxyRequest) {
	to := *x.to
	to.RawQuery = joined(to.RawQuery, p.In.URL.RawQuery) // of In: Out has lost what can't be parsed
	to.ForceQuery = to.ForceQuery || p.In.URL.ForceQuery
	p.Out.URL = &to
	p.Out.Header.Del("Upgrade") // a tunnel would pass everything, and nothing of it could be known
	p.Out.Header.Del("Connection")
	if p.In.GetBody != nil { // bare, so that it goes in one write with the headers: all or nothing
		p.Out.Body, _ = p.In.GetBody() // never an error
	}
	if to.Scheme == "https" {
		p.Out.Host = "" // that of the URL: the certificate is for it
	}
	forwarded(p)
}

func joined(first, second string) string {
	if first == "" || second == "" {
		return first + second
	}
	return first + "&" + second
}

// forwarded tells the receiver who asked, as proxies do, and keeps what those
// before this one told.
func forwarded(p *httputil.ProxyRequest) {
	p.SetXForwarded() // of this hop alone: Out has lost what came
	in, out := p.In.Header, p.Out.Header
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto"} {
		if came, ok := in[name]; ok {
			out[name] = came
		}
	}
	for name, hop := range map[string]string{"X-Forwarded-For": out.Get("X-Forwarded-For"), "Forwarded": forwardedFor(p.In.RemoteAddr)} {
		came, ok := in[name]
		switch {
		case !ok:
		case hop == "": // over a unix socket there is no address
			out[name] = came
		default:
			out.Set(name, strings.Join(append(came[:len(came):len(came)], hop), ", "))
		}
	}
}

// forwardedFor is this hop's element of a Forwarded header (RFC 7239).
func forwardedFor(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	switch {
	case err != nil:
		return ""
	case strings.Contains(host, ":"):
		return `for="[` + host + `]"`
	}
	return "for=" + host
}

// answered sees the head of the receiver's answer.
func (x *exchange) answered(res *http.Response) error {
	if res.StatusCode < 100 {
		return errors.New("no HTTP status")
	}
	x.tap.reached()
	x.hush(res.Header)
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.whole {
		x.lastLocked()
	}
	if !x.post || res.StatusCode/100 != 2 {
		return nil
	}
	if x.accepted = true; x.whole { // else it may still break off: the receiver has not got it yet
		x.tellLocked()
	}
	return nil
}

// lastLocked closes the connection after this answer: what is left of the body
// may still be on its way, and would be taken for the next request.
func (x *exchange) lastLocked() { x.w.Header().Set("Connection", "close") }

// hush keeps the server from adding what the receiver did not say.
func (x *exchange) hush(answer http.Header) {
	for _, name := range []string{"Date", "Content-Type"} {
		if _, ok := answer[name]; !ok {
			x.w.Header()[name] = nil
		}
	}
}

// failed answers where the receiver did not.
func (x *exchange) failed(w http.ResponseWriter, r *http.Request, err error) {
	tooLarge := (*http.MaxBytesError)(nil)
	x.mu.Lock()
	broken := x.broken
	if !x.whole {
		x.lastLocked()
	}
	x.mu.Unlock()
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, "backstop: the body is over 64 MiB", http.StatusRequestEntityTooLarge)
	case broken, r.Context().Err() != nil: // nobody reads this; it says nothing of the receiver
		w.WriteHeader(http.StatusBadRequest)
	default:
		x.tap.unreachable(w, words(r.Context(), err))
	}
}
