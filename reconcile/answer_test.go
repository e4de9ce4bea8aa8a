package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestClassOf(t *testing.T) {
	for class, codes := range map[Class][]int{
		OK:            {200, 201, 202, 204, 206, 299},
		Retry:         {0, 101, 408, 425, 429, 500, 501, 502, 503, 504, 520, 599, 600, 999},
		Refused:       {400, 402, 404, 406, 409, 411, 413, 415, 418, 422, 426, 431, 451, 499},
		Misconfigured: {300, 301, 302, 303, 304, 307, 308, 399, 401, 403, 405, 410},
	} {
		for _, code := range codes {
			if got := classOf(code); got != class {
				t.Errorf("%d is %s, want %s", code, got, class)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := noon()
	for v, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"120":                           2 * time.Minute,
		" 5 ":                           5 * time.Second,
		"-5":                            0,
		"soon":                          0,
		"1.5":                           0,
		"Wed, 25 Mar 2026 12:00:30 GMT": 30 * time.Second,
		"Wed, 25 Mar 2026 11:00:00 GMT": 0,
		"9223372036854775807":           365 * 24 * time.Hour,
		"99999999999999999999":          365 * 24 * time.Hour,
		"-99999999999999999999":         0,
		"99999999999999999999x":         0,
		"+5":                            5 * time.Second,
		"Wed, 25 Mar 2026 12:00:30 CET": 0,
		"2026-03-25T12:00:30Z":          0,
		"Fri, 31 Dec 9999 23:59:59 GMT": 365 * 24 * time.Hour,
	} {
		h := http.Header{}
		h.Set("Retry-After", v)
		if got := retryAfter(h, now); got != want {
			t.Errorf("Retry-After %q: %v, want %v", v, got, want)
		}
	}
}

func TestRedirectNamesTheHostOnly(t *testing.T) {
	for location, want := range map[string]string{
		"https://other.example/hook?token=secret":    "redirect to other.example",
		"http://user:pw@other.example:8443/x#frag":   "redirect to other.example:8443",
		"/login?next=secret":                         "redirect",
		"":                                           "redirect",
		"https://a.example\x1b[31m/":                 "redirect",
		"https://" + string(make([]byte, 300)) + "/": "redirect",
		"https://[::1]:80/":                          "redirect to [::1]:80",
	} {
		resp := &http.Response{StatusCode: 302, Header: http.Header{"Location": {location}}}
		if got := redirect(resp); got != want {
			t.Errorf("Location %q: %q, want %q", location, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	ctx := t.Context()
	stopped, stop := context.WithCancelCause(ctx)
	stop(errStopped)
	op := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for _, tc := range []struct {
		ctx  context.Context
		err  error
		want string
	}{
		{ctx, context.DeadlineExceeded, "timeout"},
		{ctx, op(os.ErrDeadlineExceeded), "timeout"},
		{ctx, op(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "refused"},
		{ctx, op(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "no route"},
		{ctx, op(os.NewSyscallError("read", syscall.ECONNRESET)), "reset"},
		{ctx, fmt.Errorf("write: %w", syscall.EPIPE), "reset"},
		{ctx, io.EOF, "reset"},
		{ctx, io.ErrUnexpectedEOF, "reset"},
		{ctx, op(&net.DNSError{Err: "no such host", Name: "receiver.example", IsNotFound: true}), "dns"},
		{ctx, op(&net.DNSError{Err: "i/o timeout", Name: "receiver.example", IsTimeout: true}), "dns"},
		{ctx, errors.New(`malformed HTTP response "\x1b[31m?token=secret"`), "network"},
		{stopped, context.Canceled, wordStopped},
	} {
		if got := words(tc.ctx, tc.err); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.err, got, tc.want)
		}
	}
}
