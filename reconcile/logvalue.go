package reconcile

import (
	"strconv"
	"strings"
	"time"

	"backstop/internal/heygen"
)

// handled reports whether a status is a 2xx. nginx writes one for each server that it tried, "502, 200" or "502 : 200":
// the last is the answer. What can't be read proves nothing.
func handled(status string) bool {
	if i := strings.LastIndexAny(status, ",:"); i >= 0 {
		status = status[i+1:]
	}
	status = strings.TrimSpace(status)
	n, err := strconv.ParseUint(status, 10, 16)
	return err == nil && len(status) == 3 && n/100 == 2
}

// accessTime is how Apache, HAProxy and nginx's $time_local write the time.
const accessTime = "02/Jan/2006:15:04:05 -0700"

// receivedAt reads the time of a line; zero where there is none that can be.
func receivedAt(text string, now time.Time) time.Time {
	if at, ok := heygen.ParseTime(text, now); ok {
		return at
	}
	at, err := time.Parse(accessTime, strings.Trim(text, "[]"))
	if err != nil {
		at = unixTime(text)
	}
	at, _ = heygen.ParseTime(at.UTC().Format(time.RFC3339), now) // the same bounds
	return at
}

// unixTime reads Unix seconds with their fraction, as nginx's $msec has them, or milliseconds, as loggers of Node write.
func unixTime(text string) time.Time {
	if text == "" || strings.Trim(text, "0123456789.") != "" {
		return time.Time{}
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds > 1e14 {
		return time.Time{}
	}
	if seconds > 1e11 {
		seconds /= 1000
	}
	return time.Unix(int64(seconds), 0)
}
