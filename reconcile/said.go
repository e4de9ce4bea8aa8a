package reconcile

import (
	"errors"
	"strings"

	"backstop/internal/heygen"
)

// mostSaid is how much is told of what a program says of its failure, in bytes.
const mostSaid = 200

// head keeps the first bytes that a program writes.
type head struct {
	most int
	full func() // called when more come, which are then refused; nil: they are dropped
	text strings.Builder
	over bool
}

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	keep := min(len(p), h.most-h.text.Len())
	h.text.Write(p[:keep])
	if keep < len(p) && h.full != nil {
		h.over = true
		h.full()
		return keep, errors.New("too much")
	}
	return len(p), nil
}

// line is the first line of it: printable ASCII, at most mostSaid bytes; "" when
// nothing was said.
func (h *head) line() string {
	line, _, _ := strings.Cut(strings.TrimSpace(h.text.String()), "\n")
	line = strings.Map(ascii, strings.ReplaceAll(heygen.Clean(line), "…", "..."))
	return line[:min(len(line), mostSaid)]
}

func ascii(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}
