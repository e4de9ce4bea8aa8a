package heygen

import (
	"regexp"
	"strconv"
	"time"
)

// The two ways in which a pre-signed URL tells when it expires: CloudFront's
// moment in Unix seconds, and Amazon's start with a number of seconds. In JSON
// an ampersand may be escaped.
var (
	expiresAt   = regexp.MustCompile(`(?:\?|&|\\u0026)Expires=(\d{1,11})(?:[^\d]|$)`)
	signedAt    = regexp.MustCompile(`(?:\?|&|\\u0026)X-Amz-Date=(\d{8}T\d{6}Z)`)
	expireAfter = regexp.MustCompile(`(?:\?|&|\\u0026)X-Amz-Expires=(\d{1,8})(?:[^\d]|$)`)
)

// amzDate is how X-Amz-Date is written.
const amzDate = "20060102T150405Z"

// ExpiredLinks counts the pre-signed URLs in event_data that have expired by
// now: a receiver that fetches them gets 403.
func ExpiredLinks(data []byte, now time.Time) (n int) {
	for _, link := range anyURL.FindAll(data, -1) {
		if until, ok := expiry(link); ok && !until.After(now) {
			n++
		}
	}
	return n
}

// expiry is when a pre-signed URL expires; false for one that does not say.
func expiry(link []byte) (time.Time, bool) {
	if m := expiresAt.FindSubmatch(link); m != nil {
		seconds, err := strconv.ParseInt(string(m[1]), 10, 64)
		return time.Unix(seconds, 0).UTC(), err == nil
	}
	date, span := signedAt.FindSubmatch(link), expireAfter.FindSubmatch(link)
	if date == nil || span == nil {
		return time.Time{}, false
	}
	begun, err := time.Parse(amzDate, string(date[1]))
	seconds, spanErr := strconv.Atoi(string(span[1]))
	return begun.Add(time.Duration(seconds) * time.Second), err == nil && spanErr == nil
}
