package heygen

import "bytes"

// The functions here step over JSON that is known, or hoped, to be valid. They
// never recurse, so depth costs no stack, and on anything else they end early
// or late but inside the slice.

// skipSpace returns the index of the first byte at or after i that is no white
// space of JSON.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipString returns the index after the string that opens at b[i].
func skipString(b []byte, i int) int {
	for from := i + 1; ; from = i {
		n := bytes.IndexByte(b[from:], '"')
		if n < 0 {
			return len(b)
		}
		i = from + n + 1
		if n == 0 || b[i-2] != '\\' || !escaped(b[from:i-1]) {
			return i
		}
	}
}

// escaped reports whether what follows text is escaped: an odd number of
// backslashes ends it.
func escaped(text []byte) bool {
	slashes := len(text) - len(bytes.TrimRight(text, `\`))
	return slashes%2 == 1
}

// skipValue returns the index after the value that begins at b[i], or len(b).
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return len(b)
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	default:
		return skipScalar(b, i)
	}
}

func skipScalar(b []byte, i int) int {
	for ; i < len(b); i++ {
		switch b[i] {
		case ',', '}', ']', ':', ' ', '\n', '\r', '\t':
			return i
		}
	}
	return i
}

func skipNested(b []byte, i int) int {
	for depth := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return len(b)
}

// cursor steps through an object or an array, each byte once. After anything
// unexpected it stands at the end.
type cursor struct {
	b []byte
	i int
}

// open returns a cursor inside the object or array (kind '{' or '[') that data
// is; at the end when data is none.
func open(data []byte, kind byte) cursor {
	c := cursor{data, skipSpace(data, 0)}
	if c.kind() != kind {
		c.i = len(data)
	}
	c.i++
	return c
}

// kind returns the byte that the cursor stands at, 0 at the end.
func (c *cursor) kind() byte {
	if c.i >= len(c.b) {
		return 0
	}
	return c.b[c.i]
}

// more goes to the next member or element; without one it steps over the
// closing bracket and reports false.
func (c *cursor) more() bool {
	c.i = skipSpace(c.b, c.i)
	if c.kind() == ',' {
		c.i = skipSpace(c.b, c.i+1)
	}
	switch c.kind() {
	case '}', ']':
		c.i++
		return false
	default:
		return c.i < len(c.b)
	}
}

// name takes a member's name, with its quotes, and goes to its value.
func (c *cursor) name() []byte {
	if c.kind() != '"' {
		c.i = len(c.b)
		return nil
	}
	from := c.i
	c.i = skipString(c.b, c.i)
	name := c.b[from:c.i]
	c.i = skipSpace(c.b, c.i)
	c.i = skipSpace(c.b, c.i+1) // the colon
	return name
}

// value takes the value that the cursor stands at.
func (c *cursor) value() []byte {
	from := min(c.i, len(c.b))
	c.i = skipValue(c.b, from)
	value := c.b[from:c.i]
	if len(value) == 0 {
		c.i = len(c.b)
	}
	return value
}

// cutDeep overwrites, in place, every value of body that is nested deeper than
// most by a 0 and spaces, and returns where. The parser behind it recurses; it
// never sees more than most levels, and the rows that were cut are known.
func cutDeep(body []byte, most int) (cut []int) {
	if bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) <= most {
		return nil // the common page: two fast passes, no scan
	}
	depth := 0
	for i := 0; i < len(body); {
		switch body[i] {
		case '"':
			i = skipString(body, i)
			continue
		case '{', '[':
			if depth == most {
				end := skipNested(body, i)
				blank(body[i:end])
				cut = append(cut, i)
				i = end
				continue
			}
			depth++
		case '}', ']':
			depth--
		}
		i++
	}
	return cut
}

func blank(b []byte) {
	for i := range b {
		b[i] = ' '
	}
	b[0] = '0'
}
