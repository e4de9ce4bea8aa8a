package heygen

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// createdForm is the form that ParseTime documents.
var createdForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}[Tt ]([01]\d|2[0-3]):\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?$`)

// FuzzParseTime: the documented form, read by the standard library, within the
// documented bounds, and nothing else.
func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{
		"2026-03-25T12:05:00Z", "2023-04-03T05:40:46.769845", "2026-03-25 12:05:00+02:00", "0001-01-01T00:00:00Z", "", "2015-01-01T00:30:00+01:00",
		"2026-04-02T00:00:00Z", "2026-04-02T00:00:00.9Z", "2026-04-02T00:00:01Z", "2014-12-31T23:59:59.999-00:01", "2024-02-29t23:59:59z",
		"2023-02-29T00:00:00Z", "2026-03-25T12:05:00,5Z", "2026-03-25T12:05:00+24:00", "2026-03-25T12:05:60Z", "2026-03-25T12:05:00-0730", "2026-03-25T12:05:00+01",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseTime(s, testNow)
		want, exists := standardTime(s)
		want = want.Truncate(time.Second)
		if exists && (want.Year() < earliest || want.After(testNow.Add(24*time.Hour))) {
			exists = false
		}
		if ok != exists || ok && (!got.Equal(want) || got.Location() != time.UTC || got.Nanosecond() != 0) || ok == got.IsZero() {
			t.Errorf("%q: %v, %v; want %v, %v", s, got, ok, want, exists)
		}
	})
}

// standardTime reads the documented form with time.Parse.
func standardTime(s string) (time.Time, bool) {
	if !createdForm.MatchString(s) {
		return time.Time{}, false
	}
	s = s[:10] + "T" + strings.ToUpper(s[11:])
	for _, zone := range []string{"", "Z07:00", "Z0700", "Z07"} {
		if t, err := time.Parse("2006-01-02T15:04:05"+zone, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// FuzzRetryAfter: whatever the header says and however often we were refused,
// the wait is never negative, never a hot loop, and never more than the longer
// of a minute and our own longest.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"1", "-1", "0", "+5", "999999999999999999999", "Wed, 01 Apr 2026 12:00:05 GMT", "soon", "1e9", "0x10", " 7\t", "Wed Apr  1 00:00:30 2026"} {
		f.Add(seed, 503, 3)
	}
	f.Fuzz(func(t *testing.T, header string, status, attempt int) {
		got, ok := retryAfter(header, testNow)
		if got < 0 || got > maxRetryAfter || ok != (got > 0) {
			t.Errorf("%q: %v, %v", header, got, ok)
		}
		if want, exists := standardWait(header); got != want || ok != exists {
			t.Errorf("%q: %v, %v; want %v, %v", header, got, ok, want, exists)
		}
		const low, high = 500 * time.Millisecond, 30 * time.Second
		resp := &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {header}}}
		if wait := pause(low, high, attempt, resp); wait < low/2 || wait > maxRetryAfter {
			t.Errorf("%q under %d, attempt %d: a pause of %v", header, status, attempt, wait)
		}
	})
}

var digits = regexp.MustCompile(`^[0-9]+$`)

// standardWait reads the header another way: digits by their length first.
func standardWait(header string) (time.Duration, bool) {
	header = strings.TrimSpace(header)
	if digits.MatchString(header) {
		short := strings.TrimLeft(header, "0")
		if len(short) > 2 || short > "60" && len(short) == 2 {
			return time.Minute, true
		}
		d, err := time.ParseDuration("0" + short + "s")
		return d, err == nil && d > 0
	}
	at, err := http.ParseTime(header)
	if err != nil || !at.After(testNow) {
		return 0, false
	}
	return min(at.Sub(testNow), time.Minute), true
}

// FuzzCutURLs: a query, a fragment and a password of a link that stands
// anywhere in a text never come through; text without links stays as it is;
// cutting twice changes nothing.
func FuzzCutURLs(f *testing.F) {
	for _, seed := range [][2]string{
		{"", ""}, {"see ", ", then"}, {`{"url":"`, `"}`}, {"https://a/?", "&x"}, {`http:\/\/a\/`, `\u003f`}, {"https://proxy/", "@x"}, {"HTTP://é", "\x00"},
		{"https://u:p@h/", "#"}, {"(https:", ")."}, {"http", "@@"}, {`https://a\`, `\`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, link := range []string{
			"https://h.example/p?Signature=S3CRET", `https:\/\/h.example\/p\u003fSignature=S3CRET`, "HTTPS://h.example/p#S3CRET", "http://user:S3CRET@h.example/p",
		} {
			cut := CutURLs(before + link + after)
			if strings.Contains(cut, "S3CRET") && !strings.Contains(before+after, "S3CRET") {
				t.Errorf("%q in %q, %q came through: %q", link, before, after, cut)
			}
			if again := CutURLs(cut); again != cut {
				t.Errorf("cut %q again: %q", cut, again)
			}
		}
		if text := before + after; !strings.Contains(strings.ToLower(text), "http") && CutURLs(text) != text {
			t.Errorf("no link in %q: %q", text, CutURLs(text))
		}
	})
}
