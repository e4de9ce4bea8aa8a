package heygen

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// What an [Error] unwraps to; a caller branches on these.
var (
	// ErrCredentials: HeyGen refused the credentials (401, 402, 403), or they
	// could not be read.
	ErrCredentials = errors.New("HeyGen refused the credentials")
	// ErrCursor: HeyGen refused a cursor (400, 404, 410 of a request that had
	// one). The walk has to start again from the first page.
	ErrCursor = errors.New("HeyGen refused the cursor")
	// ErrRequest: HeyGen refused the request itself (any other 4xx). Asking
	// again does not help.
	ErrRequest = errors.New("HeyGen refused the request")
	// ErrUnreadable: the answer is not what the API documents: HTML, an error
	// object under 200, cut off, over a size bound. Retries are used up.
	ErrUnreadable = errors.New("HeyGen's answer is unreadable")
	// ErrUnreachable: no usable answer: network, timeout, 408, 425, 429, 5xx
	// after the retries, or a redirect.
	ErrUnreachable = errors.New("HeyGen is unreachable")
)

// Error is a request that failed. It never holds a cursor, a key, or a URL.
type Error struct {
	Kind       error         // one of the Err values of this package
	Doing      string        // what was asked for: "list events"
	Status     int           // HTTP status; 0 when there was no answer
	Code       string        // error.code of the answer; "" when absent
	Message    string        // error.message of the answer, cleaned and cut; "" when absent
	Param      string        // error.param of the answer; "" when absent
	RequestID  string        // X-Request-Id of the answer; "" when absent
	RetryAfter time.Duration // as HeyGen asked, at most 60 s; 0 when it did not
	Hint       string        // what to do about it
	Cause      error         // the failure below, nil when the answer is the failure

	retry bool // another attempt may help
}

// Error implements error. It ends with what to do.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Doing != "" {
		b.WriteString(e.Doing + ": ")
	}
	b.WriteString(e.Kind.Error())
	if detail := e.detail(); detail != "" {
		b.WriteString(": " + detail)
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

func (e *Error) detail() string {
	var parts []string
	if e.Status != 0 {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("status %d %s", e.Status, e.Code)))
	}
	if e.Message != "" {
		parts = append(parts, e.Message)
	}
	if e.Cause != nil {
		parts = append(parts, e.Cause.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives the kind first, then the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// Mask leaves the given secrets out of a text, in the forms in which programs write
// them; those of under four bytes are too short to be told from words.
func Mask(text string, secrets ...string) string {
	for _, s := range secrets {
		if len(s) < 4 {
			continue
		}
		for _, form := range forms(s) {
			text = strings.ReplaceAll(text, form, "…")
		}
	}
	return text
}

// forms are the ways in which programs write a secret that they have in a text:
// as it is, in a URL, in base64, in JSON and in HTML.
func forms(s string) []string {
	quoted := strconv.Quote(s)
	quoted = quoted[1 : len(quoted)-1] // as JSON has it, mostly
	all := []string{
		s, base64.StdEncoding.EncodeToString([]byte(s)), base64.URLEncoding.EncodeToString([]byte(s)),
		base64.RawStdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)),
		quoted, strings.ReplaceAll(quoted, "/", `\/`), html.EscapeString(s),
	}
	query := url.QueryEscape(s)
	for _, escaped := range []string{query, strings.ReplaceAll(query, "+", "%20"), url.PathEscape(s)} {
		all = append(all, escaped, percent.ReplaceAllStringFunc(escaped, strings.ToLower))
	}
	if b, err := json.Marshal(s); err == nil { // with \u0026 for &
		escaped := string(b[1 : len(b)-1])
		all = append(all, escaped, raised(escaped))
	}
	return all
}

// These find the escapes whose hexadecimal digits some write in one case and
// some in the other.
var (
	percent   = regexp.MustCompile(`%[0-9A-F]{2}`)
	codePoint = regexp.MustCompile(`\\u[0-9a-f]{4}`)
)

func raised(text string) string {
	return codePoint.ReplaceAllStringFunc(text, func(e string) string { return `\u` + strings.ToUpper(e[2:]) })
}

// Clean makes text that came from outside fit for a message: printable, on one
// line, without URL queries and without the given secrets (see Mask), at most 200
// runes.
func Clean(text string, secrets ...string) string {
	text = Mask(text, secrets...)
	const most = 200
	var b strings.Builder
	n := 0
	for _, r := range CutURLs(text) {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
