package heygen

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		header string
		want   time.Duration // 0: the backoff decides
	}{
		{"1", time.Second}, {" 7 ", 7 * time.Second}, {"60", time.Minute}, {"61", time.Minute},
		{"86400", time.Minute}, {"99999999999999999999999999", time.Minute},
		{"Wed, 01 Apr 2026 12:00:05 GMT", 5 * time.Second},
		{"Wed, 01 Apr 2026 13:00:00 GMT", time.Minute},
		{"Wednesday, 01-Apr-26 12:00:09 GMT", 9 * time.Second},
		{"Fri, 31 Dec 9999 23:59:59 GMT", time.Minute},
		{"Wed, 01 Apr 2026 11:59:59 GMT", 0}, {"Wed, 01 Apr 2026 12:00:00 GMT", 0},
		{"", 0}, {"0", 0}, {"-1", 0}, {"-99999999999999999999", 0}, {"1.5", 0}, {"1e3", 0}, {"NaN", 0}, {"Inf", 0},
		{"0x10", 0}, {"20000000000000000000A", 0}, {"soon", 0}, {"2026-04-01T12:00:05Z", 0}, {"5 seconds", 0}, {"\x00", 0},
	} {
		got, ok := retryAfter(tt.header, now)
		if got != tt.want || ok != (tt.want > 0) {
			t.Errorf("retryAfter(%q) = %v, %v; want %v", tt.header, got, ok, tt.want)
		}
	}
}

func TestPause(t *testing.T) {
	const low, high = 500 * time.Millisecond, 30 * time.Second
	for _, tt := range []struct {
		name     string
		status   int // 0: no answer
		header   string
		attempt  int
		min, max time.Duration
	}{
		{"first", 500, "", 0, low / 2, low},
		{"second", 502, "", 1, low, 2 * low},
		{"bounded", 503, "", 10, high / 2, high},
		{"very many", 503, "", 1000, high / 2, high},
		{"no answer", 0, "", 0, low / 2, low},
		{"told", 429, "7", 0, 7 * time.Second, 7 * time.Second},
		{"told by 503", 503, "7", 3, 7 * time.Second, 7 * time.Second},
		{"told too much", 429, "3600", 0, time.Minute, time.Minute},
		{"told zero", 429, "0", 0, low / 2, low},
		{"told a negative", 429, "-5", 0, low / 2, low},
		{"told garbage", 429, "later", 2, 2 * low, 4 * low},
		{"told the past", 429, "Mon, 01 Jan 2001 00:00:00 GMT", 0, low / 2, low},
		{"told under 200", 200, "7", 0, low / 2, low},
	} {
		var resp *http.Response
		if tt.status != 0 {
			resp = &http.Response{StatusCode: tt.status, Header: http.Header{"Retry-After": {tt.header}}}
		}
		differ := false
		first := pause(low, high, tt.attempt, resp)
		for range 50 {
			got := pause(low, high, tt.attempt, resp)
			differ = differ || got != first
			if got < tt.min || got > tt.max {
				t.Errorf("%s: %v, want %v to %v", tt.name, got, tt.min, tt.max)
			}
		}
		if differ != (tt.min != tt.max) {
			t.Errorf("%s: jitter is %v", tt.name, differ)
		}
	}
}

// TestPauseUntilADate: a date that is a moment away makes no hot loop.
func TestPauseUntilADate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const low = 500 * time.Millisecond
		for ahead, want := range map[time.Duration]time.Duration{3 * time.Second: 2001 * time.Millisecond, time.Second: low / 2} {
			resp := &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {time.Now().Add(ahead).UTC().Format(http.TimeFormat)}}}
			time.Sleep(999 * time.Millisecond)
			if got := pause(low, time.Minute, 0, resp); got != want {
				t.Errorf("%v ahead: %v, want %v", ahead, got, want)
			}
			time.Sleep(time.Millisecond)
		}
	})
}

func TestCheckRetry(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		err  error
		want bool
	}{
		{"fine", t.Context(), nil, false},
		{"network", t.Context(), io.ErrUnexpectedEOF, true},
		{"certificate", t.Context(), &tls.CertificateVerificationError{Err: errors.New("expired")}, false},
		{"no TLS there", t.Context(), tls.RecordHeaderError{Msg: "http"}, false},
		{"an answer worth another try", t.Context(), &Error{Kind: ErrUnreachable, retry: true}, true},
		{"a final answer", t.Context(), &Error{Kind: ErrRequest}, false},
		{"ended", ended, io.ErrUnexpectedEOF, false},
	} {
		if got, _ := checkRetry(tt.ctx, nil, tt.err); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	for status, want := range map[int]bool{
		400: false, 401: false, 402: false, 403: false, 404: false, 408: true, 409: false, 410: false, 422: false, 425: true, 429: true,
		500: true, 501: true, 502: true, 503: true, 504: true, 520: true,
	} {
		if got := retryStatus(status); got != want {
			t.Errorf("%d is repeated: %v", status, got)
		}
	}
}
