package simulate

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// object writes one JSON object the way one of several backends would: packed or with blanks,
// slashes escaped or not, ASCII only or UTF-8. A client must keep all of them byte for byte.
type object struct {
	b       []byte
	spaced  bool // as Python's json.dumps does it
	slashes bool // \/ for /, as PHP does it
	ascii   bool // \uXXXX beyond ASCII
	n       int  // members so far
}

func styled(r *rand.Rand) *object {
	return &object{
		b:      append(make([]byte, 0, 1536), '{'),
		spaced: r.IntN(8) == 0, slashes: r.IntN(8) == 0, ascii: r.IntN(4) == 0,
	}
}

func (o *object) end() []byte { return append(o.b, '}') }

func (o *object) key(k string) {
	if o.n++; o.n > 1 {
		o.b = append(o.b, ',')
		if o.spaced {
			o.b = append(o.b, ' ')
		}
	}
	o.b = append(o.quote(k), ':')
	if o.spaced {
		o.b = append(o.b, ' ')
	}
}

func (o *object) text(k, v string) {
	o.key(k)
	o.b = o.quote(v)
}

// maybe writes null for "".
func (o *object) maybe(k, v string) {
	if v == "" {
		o.raw(k, "null")
		return
	}
	o.text(k, v)
}

func (o *object) raw(k, value string) {
	o.key(k)
	o.b = append(o.b, value...)
}

func (o *object) float(k string, v float64) {
	o.raw(k, strconv.FormatFloat(v, 'f', -1, 64))
}

// link writes a text that has nothing to escape but slashes: links are most of the bytes.
func (o *object) link(k, v string) {
	if o.slashes {
		o.text(k, v)
		return
	}
	o.key(k)
	o.b = append(append(append(o.b, '"'), v...), '"')
}

func (o *object) quote(s string) []byte {
	b, done := append(o.b, '"'), 0
	for i, c := range s {
		if o.plain(c) {
			continue
		}
		b = append(b, s[done:i]...)
		done = i + utf8.RuneLen(c)
		b = o.escape(b, c)
	}
	b = append(b, s[done:]...)
	o.b = append(b, '"')
	return o.b
}

// plain reports whether a character stands for itself in this object's style.
func (o *object) plain(c rune) bool {
	switch {
	case c == '"' || c == '\\' || c < ' ':
		return false
	case c == '/':
		return !o.slashes
	}
	return c < 0x7f || !o.ascii
}

func (o *object) escape(b []byte, c rune) []byte {
	if c == '"' || c == '\\' || c == '/' {
		return append(b, '\\', byte(c))
	}
	if hi, lo := utf16.EncodeRune(c); hi != utf8.RuneError {
		return fmt.Appendf(b, `\u%04x\u%04x`, hi, lo)
	}
	return fmt.Appendf(b, `\u%04x`, c)
}

// The form of a signed link: CloudFront's, seven days, 256 bytes of signature.
const (
	linkLife       = 7 * 24 * time.Hour
	signatureChars = 344
	keyPair        = "KSIMULATED0000"
)

// signedLink writes a pre-signed URL for a file. The host ends in .invalid so that a test that
// follows it reaches nobody.
func signedLink(r *rand.Rand, path string, expires time.Time) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~"
	b := make([]byte, 0, len(path)+signatureChars+96)
	b = append(b, "https://files.heygen.invalid"...)
	b = append(b, path...)
	b = append(b, "?Expires="...)
	b = strconv.AppendInt(b, expires.Unix(), 10)
	b = append(b, "&Signature="...)
	for left := signatureChars; left > 0; left -= 10 {
		bits := r.Uint64()
		for range min(10, left) {
			b = append(b, alphabet[bits&63])
			bits >>= 6
		}
	}
	b = append(b, "&Key-Pair-Id="+keyPair...)
	return string(b)
}
