package heygen

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxErrorBody = 64 << 10 // what is read of an answer that is an error
	keepBody     = 1 << 20  // a buffer beyond this is not kept for the next page
)

// answer is what the headers of an answer tell.
type answer struct {
	status int
	id     string    // X-Request-Id
	date   time.Time // Date; zero: none
	wait   time.Duration
}

func answerOf(resp *http.Response) answer {
	a := answer{status: resp.StatusCode, id: requestID(resp.Header)}
	if t, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.date = t.UTC()
	}
	a.wait, _ = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	return a
}

func requestID(h http.Header) string {
	id := h.Get("X-Request-Id")
	if len(id) > 128 || !PrintableID(id) {
		return ""
	}
	return id
}

// read takes an answer to its end, inside the retry: what it returns decides
// whether another attempt follows.
func (c *Client) read(resp *http.Response, r request) error {
	defer resp.Body.Close()
	a := answerOf(resp)
	if a.status < 200 || a.status > 299 {
		err := c.refused(resp, a, r)
		c.log(r, a, 0, err)
		return err
	}
	room := c.bodies.Get().(*[]byte)
	body, err := readBody((*room)[:0], resp, r.bound)
	if err == nil {
		err = c.decode(body, a, r)
	} else {
		err = bodyError(err, a, r)
	}
	c.log(r, a, len(body), err)
	if cap(body) <= keepBody {
		*room = body[:0]
		c.bodies.Put(room)
	}
	return err
}

func (c *Client) decode(body []byte, a answer, r request) error {
	newest, err := r.decode(body, a)
	if err == nil {
		c.clock.observe(a.date, newest)
		return nil
	}
	e := a.error(ErrUnreadable, r)
	e.Hint, e.retry = "check heygen.base_url and what stands between (proxy, captive portal)", true
	var refused refusal
	if errors.As(err, &refused) {
		e.explain(refused.object, c.confidential(r))
		e.Hint = "try again later; if it stays, ask HeyGen's support"
	}
	e.Cause = err
	return e
}

// log writes one line for each answer. It holds no cursor, no URL and no text
// of the answer.
func (c *Client) log(r request, a answer, size int, err error) {
	c.o.Logger.Debug("HeyGen answered", "request", r.doing, "status", a.status,
		"bytes", size, "request_id", a.id, "ok", err == nil)
}

// errTooLarge is a body over its bound; asking again brings the same.
type errTooLarge int

func (e errTooLarge) Error() string { return fmt.Sprintf("larger than %d bytes", int(e)) }

// readBody reads a whole body of at most bound decoded bytes into buf. The
// buffer doubles up to just above the bound, so a body that unpacks to
// gigabytes costs about twice the bound and is refused there.
func readBody(buf []byte, resp *http.Response, bound int) ([]byte, error) {
	if resp.ContentLength > int64(bound) {
		return buf, errTooLarge(bound)
	}
	if n := int(resp.ContentLength) + 1; n > cap(buf) {
		buf = make([]byte, 0, n)
	}
	for {
		if len(buf) == cap(buf) {
			buf = grow(buf, bound)
		}
		n, err := resp.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > bound:
			return buf, errTooLarge(bound)
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}

func grow(buf []byte, bound int) []byte {
	size := min(max(2*cap(buf), 32<<10), bound+1)
	return append(make([]byte, 0, size), buf...)
}

// bodyError sorts what went wrong while a 2xx was read.
func bodyError(err error, a answer, r request) *Error {
	var network net.Error
	e := a.error(ErrUnreadable, r)
	e.Cause, e.retry = muted{err}, true
	e.Hint = "try again; check the network and any proxy between"
	var large errTooLarge
	switch {
	case errors.As(err, &large):
		e.retry = false
		e.Hint = "ask for fewer rows (heygen.page_size)"
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.Cause = errors.New("the body was cut off")
	case errors.As(err, &network) && network.Timeout():
		e.Kind, e.Cause = ErrUnreachable, errors.New("the body did not come in time")
	case errors.As(err, &network):
		e.Kind = ErrUnreachable
	}
	return e
}

// error begins an Error about this answer.
func (a answer) error(kind error, r request) *Error {
	return &Error{Kind: kind, Doing: r.doing, Status: a.status, RequestID: a.id, RetryAfter: a.wait}
}

// refused reads an answer that is no 2xx.
func (c *Client) refused(resp *http.Response, a answer, r request) *Error {
	e := a.error(ErrRequest, r)
	if a.status < 400 {
		e.Kind, e.Cause = ErrUnreachable, redirect(resp)
		e.Hint = "redirects are not followed; correct heygen.base_url"
		return e
	}
	// The body only explains; what can't be read of it is no further failure.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	e.explain(errorObject(body), c.confidential(r))
	e.classify(r)
	return e
}

// redirect names where a redirect leads to, but only the host: the rest may be
// secret.
func redirect(resp *http.Response) error {
	to := resp.Header.Get("Location")
	if to == "" {
		return errors.New("no answer to this request")
	}
	u, err := resp.Request.URL.Parse(to)
	if err != nil || u.Host == "" {
		return errors.New("a redirect to nowhere")
	}
	return fmt.Errorf("a redirect to %s", Clean(u.Host))
}

func (e *Error) classify(r request) {
	switch {
	case retryStatus(e.Status):
		e.Kind, e.retry = ErrUnreachable, true
		e.Hint = "try again later"
	case e.Status == 401 || e.Status == 402 || e.Status == 403:
		e.Kind = ErrCredentials
		e.Hint = credentialHint(e.Status)
	case r.token != "" && e.refusesCursor():
		e.Kind = ErrCursor
		e.Hint = "start again from the first page"
	case r.hint != "" && e.Status == http.StatusNotFound:
		e.Hint = r.hint
	case e.Status == http.StatusNotFound:
		e.Hint = "check heygen.base_url"
	default:
		e.Hint = "check heygen.event_types, heygen.entity_id and heygen.page_size"
	}
}

func credentialHint(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "check heygen.api_key or heygen.access_token"
	case http.StatusPaymentRequired:
		return "check the HeyGen plan and its credits"
	default:
		return "check what the key is allowed to do"
	}
}

// refusesCursor reports whether the status can mean the cursor, and the answer
// does not say that it means another parameter.
func (e *Error) refusesCursor() bool {
	switch e.Param {
	case "event_type", "entity_id", "limit":
		return false
	}
	return e.Status == 400 || e.Status == 404 || e.Status == 410
}

// errorObject finds the error object in an answer: under "error", or, as old
// paths have it, the answer itself.
func errorObject(body []byte) []byte {
	var envelope struct {
		Error jsontext.Value `json:"error"`
	}
	if json.Unmarshal(body, &envelope, lenient()...) != nil {
		return nil
	}
	if envelope.Error.Kind() == '{' {
		return envelope.Error
	}
	return body
}

// explain takes over what an error object says, without what is confidential.
func (e *Error) explain(object []byte, confidential []string) {
	var said struct {
		Code    jsontext.Value `json:"code"`
		Message jsontext.Value `json:"message"`
		Param   jsontext.Value `json:"param"`
	}
	if len(object) == 0 || json.Unmarshal(object, &said, lenient()...) != nil {
		return
	}
	text := func(v jsontext.Value) string {
		if k := v.Kind(); k != '"' && k != '0' {
			return ""
		}
		return Clean(scalarText(v), confidential...)
	}
	e.Code, e.Message, e.Param = text(said.Code), text(said.Message), text(said.Param)
}

func lenient() []json.Options {
	return []json.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
}

// confidential is what an answer might echo and no message may show.
func (c *Client) confidential(r request) []string {
	all := []string{r.token}
	if v, err := c.credential().Value(); err == nil {
		all = append(all, v)
	}
	return all
}

// muted is an error whose text leaves out what it quotes: bytes of the answer,
// or an address that came with it.
type muted struct{ error }

// quoted finds what a text quotes.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"?`)

func (m muted) Error() string { return Clean(quoted.ReplaceAllString(m.error.Error(), "…")) }
func (m muted) Unwrap() error { return m.error }

// unreachable turns a failure of the connection into one that says what it is
// without the URL, which holds the cursor.
func (c *Client) unreachable(r request, err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	var withURL *url.Error
	timeout := false
	if errors.As(err, &withURL) {
		timeout, err = withURL.Timeout(), withURL.Err
	}
	e = &Error{Kind: ErrUnreachable, Doing: r.doing, Cause: muted{err}, Hint: "check the network and heygen.base_url"}
	switch {
	case timeout:
		e.Cause = fmt.Errorf("no answer within %s", c.o.Timeout)
	case hopeless(err), strings.Contains(err.Error(), "tls: "):
		e.Hint = "check heygen.base_url, the system's certificates and its clock; TLS 1.2 and a valid certificate are required"
	}
	return e
}
