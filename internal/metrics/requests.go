package metrics

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Words in the place of a status, where there was no answer.
const (
	wordTimeout = "timeout"
	wordRefused = "refused"
	wordReset   = "reset"
	wordDNS     = "dns"
	wordTLS     = "tls"
	wordStopped = "stopped" // by our own end, or by whoever asked
	wordError   = "error"   // anything else
)

// codes are the label values that exist from the start: every word, and the statuses that are to be expected.
func codes() []string {
	return []string{
		wordTimeout, wordRefused, wordReset, wordDNS, wordTLS, wordStopped, wordError,
		"200", "201", "202", "204", "301", "302", "307", "308", "400", "401", "402", "403", "404", "405", "408", "409", "410", "413", "415",
		"422", "425", "429", "500", "501", "502", "503", "504",
	}
}

// code is the label value of an answer: its status, or the word.
func code(status int, word string) string {
	switch {
	case status == 0:
		return word
	case status < 100 || status > 599:
		return wordError
	}
	return strconv.Itoa(status)
}

// listing counts what HeyGen is asked.
type listing struct {
	requests *prometheus.CounterVec
	pages    prometheus.Counter
}

func newListing() listing {
	return listing{
		requests: counters("listing_requests_total", "Requests to HeyGen's listing, repeated ones included, by status or by why there was no answer.", "code", codes()...),
		pages:    counter("pages_total", "Pages of HeyGen's listing that were read."),
	}
}

func (l listing) register(r prometheus.Registerer) { r.MustRegister(l.requests, l.pages) }

// Request counts a request to the listing: the answer's status, or why there was none.
func (m *Metrics) Request(status int, err error) {
	m.listing.requests.WithLabelValues(code(status, wordOf(err))).Inc()
}

// Page counts a page that was read.
func (m *Metrics) Page() { m.listing.pages.Inc() }

// wordOf puts a failure of a connection into a word.
func wordOf(err error) string {
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		timeout     interface{ Timeout() bool }
	)
	switch {
	case errors.Is(err, context.Canceled):
		return wordStopped
	case errors.As(err, &dns):
		return wordDNS
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return wordTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return wordRefused
	case errors.As(err, &certificate), errors.As(err, &record):
		return wordTLS
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return wordReset
	}
	return wordError
}

// replays counts what the receiver is sent.
type replays struct {
	attempts *prometheus.CounterVec
	duration prometheus.Histogram
}

func newReplays() replays {
	return replays{
		attempts: counters("replay_attempts_total", "POSTs of replays to the receiver, by status or by why there was no answer.", "code", codes()...),
		duration: histogram("replay_duration_seconds", "Time from the start of a POST to the receiver's answer, or to the failure.",
			0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
	}
}

func (r replays) register(to prometheus.Registerer) { to.MustRegister(r.attempts, r.duration) }

// Attempt counts one POST: the answer's status, or in words why there was none, as reconcile.Answer has it.
func (m *Metrics) Attempt(status int, words string, took time.Duration) {
	m.replays.attempts.WithLabelValues(code(status, wordFor(words))).Inc()
	m.replays.duration.Observe(took.Seconds())
}

// wordFor is the one word for a few.
func wordFor(words string) string {
	first, _, _ := strings.Cut(words, " ")
	switch first = strings.TrimSuffix(first, ":"); first {
	case wordTimeout, wordRefused, wordReset, wordDNS, wordTLS, wordStopped:
		return first
	}
	return wordError
}
