package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"backstop/internal/heygen"
	"backstop/state"
)

const (
	// answerCap is how much of an answer's body is read, so that the
	// connection can be used again. Success is told by the status alone.
	answerCap = 64 << 10

	// answerTime is how long that may take.
	answerTime = time.Second

	defaultTimeout = 10 * time.Second
)

// Forms of a replay's body.
const (
	BodyPush    = "push"    // event_type and event_data, as HeyGen pushes it
	BodyListing = "listing" // also event_id and created_at, as the listing has it
)

// errStopped is the cause with which an attempt is cut off at the end of the
// process: its outcome is unknown.
var errStopped = errors.New("stopped")

// SenderOptions say where and how a Sender posts.
type SenderOptions struct {
	URL         string            // the receiver's, sent as it is, query included
	Headers     map[string]string // added to every POST; none of backstop's own can be replaced
	Body        string            // BodyPush or BodyListing; "": BodyPush
	Timeout     time.Duration     // of one attempt; 0: 10 s
	Version     string            // for the User-Agent; "": dev
	Concurrency int               // connections kept open; 0: 1
	Transport   http.RoundTripper // nil: its own, with proxies from the environment
	Observe     func(Answer)      // told what came of each POST, by many goroutines; nil: nobody is
}

// Message is one event to be sent once.
type Message struct {
	Event   heygen.Event
	Attempt int
	Reason  state.Reason
	Secrets []string  // the first signs; none: unsigned
	At      time.Time // what Heygen-Timestamp says; zero: now, as for every replay
}

// Sender makes single POSTs of events to one receiver. It never retries, never
// follows a redirect, and keeps no cookies.
type Sender struct {
	url       *url.URL
	headers   http.Header
	host      string // from a configured Host header; "": the URL's
	body      string
	timeout   time.Duration
	agent     string
	transport http.RoundTripper
	observe   func(Answer)
	hidden    []string // never shown, although a receiver sends it back
}

// NewSender checks the URL; its error never quotes the URL's query.
func NewSender(o SenderOptions) (*Sender, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("receiver.url is no http or https URL; correct it in the configuration")
	}
	s := &Sender{url: u, body: o.Body, timeout: o.Timeout, transport: o.Transport, observe: o.Observe}
	if s.body == "" {
		s.body = BodyPush
	}
	if s.body != BodyPush && s.body != BodyListing {
		return nil, fmt.Errorf("receiver.body %q is neither push nor listing; correct it in the configuration", o.Body)
	}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	if s.transport == nil {
		s.transport = newTransport(u, max(o.Concurrency, 1))
	}
	s.agent = "backstop/" + version(o.Version)
	s.headers, s.host = extraHeaders(o.Headers)
	s.hidden = hiddenOf(u, o.Headers)
	return s, nil
}

func version(v string) string {
	if v == "" {
		return "dev"
	}
	return v
}

// Send posts m once and says what came of it. It returns within the timeout,
// and at once when ctx ends.
func (s *Sender) Send(ctx context.Context, m Message) Answer {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := s.Request(ctx, m)
	if err != nil {
		return Answer{Err: "the request could not be built", Class: Retry}
	}
	a := s.post(ctx, cancel, req, longestFirst(s.hidden, m.Secrets))
	if s.observe != nil {
		s.observe(a)
	}
	return a
}

func (s *Sender) post(ctx context.Context, cancel context.CancelFunc, req *http.Request, secrets []string) Answer {
	start := time.Now()
	resp, err := s.transport.RoundTrip(req)
	latency := time.Since(start)
	if err != nil {
		return Answer{Err: words(ctx, err), Begun: start, Latency: latency, Class: Retry}
	}
	body := listen(resp, cancel)
	return Answer{
		Status:     resp.StatusCode,
		Err:        redirect(resp),
		Begun:      start,
		Latency:    latency,
		RetryAfter: retryAfter(resp.Header, time.Now()),
		Class:      classOf(resp.StatusCode),
		Body:       body.text(secrets),
	}
}

// Request is the POST that Send would make now, for Send and for dry runs. The
// timestamp is new each time: receivers refuse old ones.
func (s *Sender) Request(ctx context.Context, m Message) (*http.Request, error) {
	body := s.render(m.Event)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = s.headers.Clone()
	req.Host = s.host
	set := req.Header.Set
	set("Content-Type", "application/json")
	set("User-Agent", s.agent)
	set("Heygen-Timestamp", strconv.FormatInt(m.stamp().Unix(), 10))
	set("Heygen-Event-Id", m.Event.ID)
	set("X-Backstop-Replay", "1")
	set("X-Backstop-Attempt", strconv.Itoa(m.Attempt))
	set("X-Backstop-Reason", string(m.Reason))
	if len(m.Secrets) > 0 && m.Secrets[0] != "" {
		signature := heygen.Sign(m.Secrets[0], body)
		set("Heygen-Signature", signature)
		set("Signature", signature)
	}
	return req, nil
}

// stamp is the time that the message says of itself.
func (m Message) stamp() time.Time {
	if m.At.IsZero() {
		return time.Now()
	}
	return m.At
}

// render makes the body. event_data is copied, never parsed: its bytes are the
// listing's.
func (s *Sender) render(e heygen.Event) []byte {
	if s.body == BodyPush {
		return heygen.Body(e.Type, e.Data)
	}
	var b bytes.Buffer
	b.WriteString(`{"event_id":`)
	b.Write(quote(e.ID))
	b.WriteString(`,"event_type":`)
	b.Write(quote(e.Type))
	b.WriteString(`,"event_data":`)
	b.Write(e.Data)
	b.WriteString(`,"created_at":`)
	b.Write(created(e))
	b.WriteByte('}')
	return b.Bytes()
}

func created(e heygen.Event) []byte {
	if e.Created == "" {
		return []byte("null")
	}
	return quote(e.Created)
}

// quote writes a JSON string as it is, <, > and & too; what is no UTF-8 becomes
// the replacement character.
func quote(s string) []byte {
	b, _ := jsontext.AppendQuote(nil, s)
	return b
}

// extraHeaders takes the configured headers but those that are backstop's own.
func extraHeaders(configured map[string]string) (h http.Header, host string) {
	h = http.Header{}
	for name, value := range configured {
		name = http.CanonicalHeaderKey(name)
		switch {
		case name == "Host":
			host = value
		case !reserved(name):
			h.Set(name, value)
		}
	}
	return h, host
}

// reserved are the headers that a receiver must be able to trust.
func reserved(name string) bool {
	switch name {
	case "Content-Type", "Content-Length", "User-Agent", "Signature":
		return true
	}
	return strings.HasPrefix(name, "Heygen-") || strings.HasPrefix(name, "X-Backstop-")
}
