package heygen

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Entity returns the id of what the event is about (a video, a session, a
// translation), "" when it has none. A name that stands twice counts as most
// receivers read it: the last one.
func (e Event) Entity() string { return entityOf(e.Data) }

func entityOf(data []byte) string {
	best, at := none, []byte(nil)
	for c := open(data, '{'); c.more(); {
		name, value := c.name(), c.value()
		if r := rank(plainName(name)); r <= best && r != none && usable(value) {
			best, at = r, value
		}
	}
	if at == nil {
		return ""
	}
	return scalarText(at)
}

// plainName is a name as it is compared, with its quotes: an escape is the
// character that it stands for.
func plainName(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted
	}
	text, err := jsontext.AppendUnquote([]byte{'"'}, quoted)
	if err != nil {
		return quoted
	}
	return append(text, '"')
}

// none is the rank of a name that tells no entity.
const none = 99

// rank orders the names that may tell the entity, the surest first.
func rank(name []byte) int {
	switch string(name) {
	case `"render_id"`:
		return 0
	case `"video_translate_id"`:
		return 1
	case `"video_translation_id"`:
		return 2
	case `"session_id"`:
		return 3
	case `"project_id"`:
		return 4
	case `"video_id"`:
		return 5
	case `"lipsync_id"`:
		return 6
	case `"ai_clipping_id"`:
		return 7
	case `"proofread_id"`:
		return 8
	case `"batch_id"`:
		return 9
	case `"avatar_id"`:
		return 10
	case `"group_id"`:
		return 11
	case `"id"`:
		return 12
	case `"callback_id"`:
		return 13
	default:
		return none
	}
}

// usable reports whether a value can be an id: a string with something in it,
// or a number.
func usable(value []byte) bool {
	if len(value) == 0 || len(value) > maxEntity+2 {
		return false
	}
	switch c := value[0]; {
	case c == '"':
		return len(value) > 2
	default:
		return c == '-' || '0' <= c && c <= '9'
	}
}

// scalarText returns what a string means, or a number as it is written. A
// string that is no UTF-8 stays as it stands, so that two of them never
// become one.
func scalarText(value []byte) string {
	if value[0] != '"' {
		return string(value)
	}
	if plain, ok := unescaped(value); ok {
		return string(plain)
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return string(value)
	}
	return string(text)
}

// unescaped returns what stands between the quotes when that is also what the
// string means: no escapes, and UTF-8.
func unescaped(quoted []byte) ([]byte, bool) {
	if len(quoted) < 2 || quoted[len(quoted)-1] != '"' {
		return nil, false
	}
	text := quoted[1 : len(quoted)-1]
	for _, c := range text {
		if c == '\\' || c < ' ' {
			return nil, false
		}
		if c >= utf8.RuneSelf {
			return text, utf8.Valid(text) && !hasBackslash(text)
		}
	}
	return text, true
}

func hasBackslash(text []byte) bool {
	for _, c := range text {
		if c == '\\' || c < ' ' {
			return true
		}
	}
	return false
}

// HashEntity returns a number for an entity, the same in every process and
// version (FNV-1a): 0 for "", never 0 otherwise.
func HashEntity(entity string) uint64 {
	if entity == "" {
		return 0
	}
	h := uint64(14695981039346656037)
	for i := range len(entity) {
		h = (h ^ uint64(entity[i])) * 1099511628211
	}
	return max(h, 1)
}
