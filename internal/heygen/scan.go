package heygen

import (
	"bytes"
	"iter"
)

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
	open := i
	for i++; ; {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b)
		}
		i += n + 1
		slashes := 0
		for k := i - 2; k > open && b[k] == '\\'; k-- {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
	}
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

// members yields the names, with their quotes, and the values of the object
// data; nothing when data is no object.
func members(data []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := skipSpace(data, 0)
		if i >= len(data) || data[i] != '{' {
			return
		}
		for i = skipSpace(data, i+1); i < len(data) && data[i] == '"'; i = skipSpace(data, i) {
			end := skipString(data, i)
			name := data[i:end]
			if i = skipSpace(data, end); i >= len(data) || data[i] != ':' {
				return
			}
			i = skipSpace(data, i+1)
			end = skipValue(data, i)
			if !yield(name, data[i:end]) {
				return
			}
			if i = skipSpace(data, end); i >= len(data) || data[i] != ',' {
				return
			}
			i = skipSpace(data, i+1)
		}
	}
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
