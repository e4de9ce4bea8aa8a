package reconcile

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"backstop/internal/heygen"
	"backstop/internal/log"
)

const (
	// textMost is how much of an answer's text is kept, in bytes.
	textMost = 1 << 10

	// textRead is how much of a body is looked at for it: links and secrets
	// that begin within what is kept mostly end within this.
	textRead = 8 << 10

	// textCut marks a text that is not the whole answer.
	textCut = "… (cut)"
)

// said is what was read of an answer's body.
type said struct {
	body    []byte
	whole   bool // there was no more
	encoded bool // compressed, as nobody asked for: it is not unpacked, whatever is in it
}

// listen reads a bounded part of a body for a bounded time and closes it. Its
// errors mean nothing: the answer has been given by its status.
func listen(resp *http.Response, cancel context.CancelFunc) said {
	timer := time.AfterFunc(answerTime, cancel)
	defer timer.Stop()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerCap))
	_ = resp.Body.Close()
	encoding := strings.TrimSpace(resp.Header.Get("Content-Encoding"))
	return said{
		body: body, whole: err == nil && len(body) < answerCap,
		encoded: encoding != "" && !strings.EqualFold(encoding, "identity"),
	}
}

// text makes what was said fit for people: printable, on one line, without the
// queries of URLs and without the secrets, at most textMost bytes and the mark
// of a cut; "" when nothing was said.
func (s said) text(secrets []string) string {
	switch {
	case len(s.body) == 0:
		return ""
	case s.encoded:
		return "(compressed, " + s.size() + ")"
	case isBinary(s.body):
		return "(binary, " + s.size() + ")"
	}
	head, whole := s.head()
	text := heygen.CutURLs(heygen.Mask(head, secrets...))
	text = log.Printable(strings.Join(strings.Fields(text), " "))
	text = heygen.CutURLs(heygen.Mask(text, secrets...)) // what folding and escaping have put together
	if len(text) > textMost {
		text, whole = text[:textMost], false
	}
	if whole {
		return text
	}
	return strings.TrimRightFunc(wholeRunes(text), unicode.IsSpace) + textCut
}

func (s said) size() string {
	if s.whole {
		return fmt.Sprintf("%d bytes", len(s.body))
	}
	return fmt.Sprintf("%d bytes and more", len(s.body))
}

// head is the beginning of the body. Where more came, the last word is left out:
// it may be the first half of a link or of a secret, which nothing would find.
func (s said) head() (text string, whole bool) {
	if s.whole && len(s.body) <= textRead {
		return string(s.body), true
	}
	head := s.body[:min(len(s.body), textRead)]
	return string(head[:bytes.LastIndexAny(head, " \t\r\n\"'<>")+1]), false
}

// isBinary reports whether a body is no text in UTF-8, or hardly.
func isBinary(body []byte) bool {
	head := body[:min(len(body), textRead)]
	if bytes.IndexByte(head, 0) >= 0 {
		return true
	}
	runes, bad := 0, 0
	for len(head) > 0 {
		r, size := utf8.DecodeRune(head)
		if r == utf8.RuneError && size == 1 {
			bad++
		}
		runes++
		head = head[size:]
	}
	return bad*10 > runes
}

// wholeRunes leaves out a character that was cut in two at the end.
func wholeRunes(text string) string {
	for len(text) > 0 {
		if r, size := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || size > 1 {
			break
		}
		text = text[:len(text)-1]
	}
	return text
}

// hiddenOf is what of the configuration must not be shown although the receiver
// sends it back: the values of headers, and what is secret in its URL.
func hiddenOf(u *url.URL, headers map[string]string) []string {
	var list []string
	for name, value := range headers {
		if http.CanonicalHeaderKey(name) != "Host" {
			list = append(list, headerSecrets(value)...)
		}
	}
	for _, values := range u.Query() {
		list = append(list, values...)
	}
	password, _ := u.User.Password()
	return append(list, u.RawQuery, password)
}

// headerSecrets is a value, and what follows the scheme of a credential in it.
func headerSecrets(value string) []string {
	list := []string{value}
	scheme, credential, ok := strings.Cut(value, " ")
	if !ok {
		return list
	}
	list = append(list, strings.TrimSpace(credential))
	if plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credential)); err == nil && strings.EqualFold(scheme, "Basic") {
		_, password, _ := strings.Cut(string(plain), ":")
		list = append(list, string(plain), password)
	}
	return list
}

// longestFirst keeps a secret that is a part of another from leaving the rest of
// that.
func longestFirst(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(all)
}
