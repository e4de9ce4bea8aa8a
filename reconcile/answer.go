package reconcile

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Class is what an answer of the receiver means for the event and for the
// receiver.
type Class uint8

// The classes.
const (
	OK            Class = iota + 1 // 2xx: the receiver has the event
	Retry                          // it did not work this time: 408, 425, 429, 5xx, or no answer
	Refused                        // the receiver does not want this event: any other 4xx
	Misconfigured                  // no event would be accepted: 401, 403, 405, 410, 3xx
)

// String returns the word that people read.
func (c Class) String() string {
	switch c {
	case OK:
		return "ok"
	case Retry:
		return "retry"
	case Refused:
		return "refused"
	case Misconfigured:
		return "misconfigured"
	}
	return ""
}

// Answer is what came of one POST.
type Answer struct {
	Status     int           // HTTP; 0: there was none
	Err        string        // timeout, refused, reset …, or redirect to HOST; "": nothing to add to Status
	Begun      time.Time     // when the attempt was begun; zero: Latency before it is looked at
	Latency    time.Duration // from the start of the attempt to the answer's headers, or to the error
	RetryAfter time.Duration // as the receiver asked; 0: it did not
	Class      Class
	Note       string // what was done to the event before it was sent, for people; "": nothing
	Body       string // how its body begins, made printable, for the event's story alone; "": it had none
}

// began is when the attempt was begun, at the latest.
func (a Answer) began(now time.Time) time.Time {
	if a.Begun.IsZero() {
		return now.Add(-a.Latency)
	}
	return a.Begun
}

// String says in a few words what happened, for reasons and logs. It holds
// nothing that the receiver could have put there but a host name: Body is never
// part of it.
func (a Answer) String() string {
	switch {
	case a.Status == 0:
		return a.Err
	case a.Err != "":
		return strconv.Itoa(a.Status) + ", " + a.Err
	}
	return strconv.Itoa(a.Status)
}

// classOf is the table of answers: what a status means.
func classOf(status int) Class {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return Retry
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusGone:
		return Misconfigured
	}
	switch status / 100 {
	case 2:
		return OK
	case 3:
		return Misconfigured
	case 4:
		return Refused
	}
	return Retry
}

// redirect names the host that a 3xx points at, and nothing else of it: the
// rest of a Location may carry secrets.
func redirect(resp *http.Response) string {
	if resp.StatusCode/100 != 3 {
		return ""
	}
	u, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || u.Host == "" || !plainHost(u.Host) {
		return "redirect"
	}
	return "redirect to " + u.Host
}

// plainHost keeps a hostile Location from writing into logs.
func plainHost(host string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]"
	return len(host) <= 255 && strings.Trim(host, allowed) == ""
}

// retryAfter reads a Retry-After in seconds or as a date; 0 when there is none
// that makes sense.
func retryAfter(h http.Header, now time.Time) time.Duration {
	const most = 365 * 24 * time.Hour // far below an overflow
	v := strings.TrimSpace(h.Get("Retry-After"))
	switch n, err := strconv.ParseInt(v, 10, 64); {
	case err == nil:
		return time.Duration(min(max(n, 0), int64(most/time.Second))) * time.Second
	case v != "" && strings.Trim(v, "0123456789") == "": // more than a number holds
		return most
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), most)
	}
	return 0
}

const (
	// wordStopped is the word for an attempt that our own end cut off.
	wordStopped = "stopped before the answer"

	wordTimeout = "timeout"
)

// words puts an error of the transport into words. The error's own text is
// never used: it may quote the URL or what the other side sent.
func words(ctx context.Context, err error) string {
	var (
		refused *refusedAddress
		dns     *net.DNSError
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.Is(context.Cause(ctx), errStopped):
		return wordStopped
	case errors.As(err, &refused):
		return "address refused: the name of the receiver leads to a link-local or metadata address"
	case errors.As(err, &dns):
		return "dns"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return wordTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route"
	}
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return "too many open files of backstop itself: raise its limit"
	}
	if why := tlsWords(err); why != "" {
		return why
	}
	if broken(err) {
		return "reset"
	}
	return "network"
}

func tlsWords(err error) string {
	var (
		invalid  x509.CertificateInvalidError
		host     x509.HostnameError
		unknown  x509.UnknownAuthorityError
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		alert    tls.AlertError
		protocol *tls.ECHRejectionError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "tls: the certificate is out of date"
	case errors.As(err, &host):
		return "tls: the certificate is for another host"
	case errors.As(err, &unknown):
		return "tls: the certificate's authority is unknown"
	case errors.As(err, &record):
		return "tls: the other side does not speak it"
	case errors.As(err, &verify), errors.As(err, &invalid), errors.As(err, &alert), errors.As(err, &protocol):
		return "tls"
	}
	return ""
}

// broken reports whether the connection ended before an answer.
func broken(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
