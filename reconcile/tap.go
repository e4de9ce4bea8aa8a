package reconcile

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"backstop/state"
)

const (
	// maxCopy is how much of a body is kept to know its content, in bytes. Of a
	// longer one the id alone counts.
	maxCopy = 1 << 20

	// mostCopied bounds what is kept of all bodies at once: a flood must not
	// take the memory. Beyond it bodies are passed on unread.
	mostCopied = 128 << 20

	// maxPassed bounds the body of one request, in bytes.
	maxPassed = 64 << 20

	// uploadTime is how long a body may take to come.
	uploadTime = time.Minute

	// tapIdle is how long a connection to the receiver is kept without use. It
	// is below what common servers do: a push into a connection that the
	// receiver just closed may or may not have arrived, so it is not sent again.
	tapIdle = time.Second

	tapConnections = 64 // kept open without use
)

// TapOptions makes a Tap.
type TapOptions struct {
	Target    func() string                // receiver.url as it is configured now; "": requests get a 502
	Record    func([]state.Sighting) error // durable when it returns
	Now       func() time.Time             // nil: time.Now
	Transport http.RoundTripper            // to the receiver; nil: its own
	Logger    *slog.Logger
}

// Tap stands before the receiver: it passes every request on to the receiver's
// URL and the answer back, unchanged, and knows a push that the receiver
// answered 2xx as seen. It never waits for the disk: what it knows is queued
// before the last byte of the answer is passed on, and recorded by Run and Sync.
//
// It is an http.Handler and a Recorder. It sends nothing twice that may have
// reached the receiver, and follows no redirect.
type Tap struct {
	target      func() string
	now         func() time.Time
	transport   http.RoundTripper
	queue       *tapQueue
	log         *slog.Logger
	quiet       *log.Logger // the proxy's own words may quote what others sent
	buffers     buffers
	copies      *semaphore.Weighted
	down        edge // the receiver, or its URL
	unmatchable atomic.Int64
}

// NewTap makes a Tap. Its Run must be called for what it knows to become
// durable by itself.
func NewTap(o TapOptions) *Tap {
	t := &Tap{
		target:    o.Target,
		now:       o.Now,
		transport: o.Transport,
		queue:     newTapQueue(o.Record, o.Logger),
		log:       o.Logger,
		quiet:     log.New(io.Discard, "", 0),
		copies:    semaphore.NewWeighted(mostCopied),
	}
	if t.now == nil {
		t.now = time.Now
	}
	if t.transport == nil {
		t.transport = newTapTransport()
	}
	return t
}

// newTapTransport speaks HTTP/1.1 as most receivers do, without a proxy: the
// receiver is near. HeyGen's own patience bounds a request, so nothing here
// does but the dialling.
func newTapTransport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(address) // the dialler refuses what is no address
			dialer := &net.Dialer{Timeout: defaultTimeout, KeepAlive: 30 * time.Second, Control: refuseLocal(host)}
			return dialer.DialContext(ctx, network, address)
		},
		DisableCompression:  true, // else it asks for gzip and unpacks it
		MaxIdleConns:        tapConnections,
		MaxIdleConnsPerHost: tapConnections,
		IdleConnTimeout:     tapIdle,
		TLSHandshakeTimeout: defaultTimeout,
	}
}

// ServeHTTP passes one request on.
func (t *Tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, err := url.Parse(t.target())
	if err != nil || to.Host == "" {
		t.unreachable(w, "receiver.url is not set")
		return
	}
	x := &exchange{tap: t, w: w, to: to, header: r.Header, post: r.Method == http.MethodPost}
	r, status := x.take(r)
	defer t.copies.Release(x.keep)
	if status != 0 {
		http.Error(w, "backstop: "+http.StatusText(status), status)
		return
	}
	proxy := httputil.ReverseProxy{
		Rewrite:        x.rewrite,
		Transport:      t.transport,
		FlushInterval:  -1, // an answer may come in pieces
		ErrorLog:       t.quiet,
		BufferPool:     &t.buffers,
		ModifyResponse: x.answered,
		ErrorHandler:   x.failed,
	}
	proxy.ServeHTTP(w, r)
}

// room reserves what may be kept of a body of a length; -1 is an unknown one. 0
// when there is no room, or the body is too long.
func (t *Tap) room(length int64) int64 {
	switch {
	case length > maxCopy:
		return 0
	case length < 0:
		length = maxCopy
	}
	if !t.copies.TryAcquire(length) {
		return 0
	}
	return length
}

// unreachable answers 502: HeyGen pushes again later.
func (t *Tap) unreachable(w http.ResponseWriter, why string) {
	if t.down.failed(why) {
		t.log.Warn("the tap can't reach the receiver: pushes get a 502", "reason", why)
	}
	http.Error(w, "backstop: the receiver can't be reached", http.StatusBadGateway)
}

// reached notes that the receiver answered.
func (t *Tap) reached() {
	if failures := t.down.worked(); failures > 0 {
		t.log.Info("the tap reaches the receiver again", "failures", failures)
	}
}

// saw queues what a push proves that the receiver has taken.
func (t *Tap) saw(h http.Header, body []byte) {
	seen, ok := Push(h, body, state.Tap, t.now())
	if !ok {
		t.unmatchable.Add(1)
		return
	}
	t.queue.add(seen)
}

// Unmatchable is how many pushes the receiver took that prove nothing: they
// have neither an id nor content that can be matched.
func (t *Tap) Unmatchable() int64 { return t.unmatchable.Load() }

// Notice is what a person should know although nothing failed; "" when there is nothing to say. It counts over the life of
// the process, and may be called at any time.
func (t *Tap) Notice() string {
	switch n := t.Unmatchable(); n {
	case 0:
		return ""
	case 1:
		return "1 push that the receiver took has neither an id nor content that can be matched"
	default:
		return fmt.Sprintf("%d pushes that the receiver took have neither an id nor content that can be matched", n)
	}
}

// Run records what is queued until ctx ends, then what is left. End ctx after
// the last request. A full state is tried again each minute, and what is queued
// stays; any other error of the state ends Run, for it can't be written to.
func (t *Tap) Run(ctx context.Context) error { return t.queue.run(ctx) }

// Sync records all that is queued. Its error says that more was seen: the state
// is full, or the queue was. The latter it says once.
func (t *Tap) Sync(ctx context.Context) error { return t.queue.sync(ctx) }

// Peek tells what is queued.
func (t *Tap) Peek(_ context.Context, tell func(state.Sighting)) error {
	for _, seen := range t.queue.all() {
		tell(seen)
	}
	return nil
}

// buffers are for copying answers.
type buffers struct{ pool sync.Pool }

type buffer [32 << 10]byte

// Get is httputil.BufferPool.
func (b *buffers) Get() []byte {
	if one, ok := b.pool.Get().(*buffer); ok {
		return one[:]
	}
	return new(buffer)[:]
}

// Put is httputil.BufferPool.
func (b *buffers) Put(used []byte) { b.pool.Put((*buffer)(used)) }
