package heygen

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is the longest pause that HeyGen can make us keep.
const maxRetryAfter = time.Minute

// checkRetry decides after each attempt. It is called with the failure of the
// connection, or with what reading the answer came to.
func checkRetry(ctx context.Context, _ *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	var e *Error
	if errors.As(err, &e) {
		return e.retry, nil
	}
	return err != nil && !hopeless(err), nil
}

// retryStatus reports whether the same request may fare better later.
func retryStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	default:
		return status >= 500
	}
}

// pause is how long to wait before the next attempt: as HeyGen asks, but never
// shorter than a first backoff may be, for a date may be but a moment away.
func pause(low, high time.Duration, attempt int, resp *http.Response) time.Duration {
	if resp != nil && retryStatus(resp.StatusCode) {
		if d, ok := retryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
			return max(d, low/2)
		}
	}
	return backoff(low, high, attempt)
}

// backoff doubles from low to high and takes between half and all of it by
// chance, so that many clients do not come back at one moment.
func backoff(low, high time.Duration, attempt int) time.Duration {
	d := low
	for range attempt {
		if d *= 2; d >= high || d <= 0 {
			break
		}
	}
	if d > high || d <= 0 {
		d = high
	}
	return d/2 + rand.N(d/2+1)
}

// retryAfter reads a Retry-After header: seconds, or an HTTP date, at most a
// minute. False means it asks for no wait that makes sense (absent, garbage,
// zero, negative, in the past): then the backoff decides, never a hot loop.
func retryAfter(header string, now time.Time) (time.Duration, bool) {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0, false
	}
	wait := time.Duration(0)
	if strings.Trim(header, "0123456789") == "" { // an error of ParseUint means then too many of them
		seconds, _ := strconv.ParseUint(header, 10, 64)
		wait = time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		wait = at.Sub(now)
	}
	if wait <= 0 {
		return 0, false
	}
	return min(wait, maxRetryAfter), true
}
