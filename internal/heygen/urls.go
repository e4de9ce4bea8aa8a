package heygen

import (
	"regexp"
	"strings"
)

// anyURL finds http and https URLs in any text, JSON with escaped slashes
// included. What follows the scheme may hold anything but what ends a URL in
// text: white space, control characters, quotes and angle brackets.
var anyURL = regexp.MustCompile(`(?i)https?:(?:\\?/){2}[^\x00-\x20\x7f"'` + "`" + `<>]*`)

// secretPart finds where the part of a URL begins that may be a credential.
var secretPart = regexp.MustCompile(`(?i)\?|#|\\u003f|\\u0023`)

// userInfo finds the user and password of a URL, and of each that stands in the
// path of another.
var userInfo = regexp.MustCompile(`(?i)(https?:(?:\\?/){2})[^/\\?#]*@`)

// CutURLs replaces the query and fragment of every http or https URL in s by
// "?…", and a user and password by "…@": they carry signatures and tokens. It
// is for all that people read.
func CutURLs(s string) string {
	if !strings.Contains(s, ":") {
		return s
	}
	return anyURL.ReplaceAllStringFunc(s, cutURL)
}

func cutURL(u string) string {
	// Backslashes at the end escape the quote that follows, and punctuation
	// there belongs to the sentence; both stay.
	text := strings.TrimRight(u, `\,;:.)`)
	tail := u[len(text):]
	text = userInfo.ReplaceAllString(text, "${1}…@")
	if at := secretPart.FindStringIndex(text); at != nil {
		text = text[:at[0]] + "?…"
	}
	return text + tail
}
