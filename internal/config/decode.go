package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is one value on its way into the Config: a node of the file, or a text
// from elsewhere.
type value struct {
	key    string     // its full name, "heygen.timeout"
	node   *yaml.Node // nil: not from the file
	origin string     // where text comes from, "environment HEYGEN_API_BASE"
	text   string     // taken as it is, nothing is expanded
}

// decoder fills a Config and collects all mistakes on the way.
type decoder struct {
	file     string
	env      func(string) (string, bool)
	checks   Checks
	config   *Config
	written  map[string]value // by key: what the file or the environment says
	inline   value            // a secret that stands in the file itself; no node: none
	mistakes []Mistake
	warnings []Warning
}

type fields map[string]func(value)

// place is a Mistake with nothing but the place of v filled in.
func (d *decoder) place(v value) Mistake {
	switch {
	case v.node != nil:
		return Mistake{Place: d.file, Line: v.node.Line, Col: v.node.Column, Key: v.key}
	case v.origin != "":
		return Mistake{Place: v.origin, Key: v.key}
	}
	return Mistake{Place: d.file, Key: v.key}
}

func (d *decoder) wrong(v value, format string, args ...any) {
	m := d.place(v)
	m.Text = fmt.Sprintf(format, args...)
	d.mistakes = append(d.mistakes, m)
}

func (d *decoder) warn(v value, format string, args ...any) {
	m := d.place(v)
	m.Text = fmt.Sprintf(format, args...)
	d.warnings = append(d.warnings, Warning(m))
}

// postpone notes a value that cannot be had; see Config.Need.
func (d *decoder) postpone(v value, err error) {
	m := d.place(v)
	m.Text = err.Error()
	d.config.pending = append(d.config.pending, pending{mistake: m, text: v.shown()})
}

// raw is the text of a scalar as it is written, before anything is expanded:
// what a message may quote.
func (v value) raw() string {
	if v.node != nil {
		return v.node.Value
	}
	return v.text
}

// shown is the raw text where nothing in it can be secret: one variable alone,
// or the path of a secret file.
func (v value) shown() string {
	if variable.FindString(v.raw()) == v.raw() || strings.HasSuffix(v.key, fileSuffix) {
		return v.raw()
	}
	return redacted
}

// literal reports whether the value itself stands in the file.
func (v value) literal() bool {
	return v.node != nil && !strings.Contains(v.node.Value, "${")
}

// isNull is true for a key with nothing behind it.
func (v value) isNull() bool {
	return v.node != nil && v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!null"
}

// is checks what v is made of, and says what it should be.
func (d *decoder) is(v value, kind yaml.Kind, want string) bool {
	switch {
	case v.node == nil:
		return kind == yaml.ScalarNode
	case v.node.Kind == yaml.AliasNode:
		d.wrong(v, "is an alias, write the value out, in quotes when it begins with *")
	case v.node.Style&yaml.TaggedStyle != 0:
		d.wrong(v, "has a tag, write the value alone, in quotes when it begins with !")
	case v.node.Kind != kind:
		d.wrong(v, "is %s, write %s", kindName(v.node.Kind), want)
	default:
		return true
	}
	return false
}

func kindName(kind yaml.Kind) string {
	switch kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// pairs calls each for every key of a mapping, once; at is the key's place.
func (d *decoder) pairs(v value, each func(name string, at, inner value)) {
	if v.isNull() || !d.is(v, yaml.MappingNode, "keys and values under it") {
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, inner := v.node.Content[i], v.node.Content[i+1]
		at := value{key: v.key, node: key}
		if !d.is(at, yaml.ScalarNode, "a plain key") {
			continue
		}
		at.key = under(v.key, key.Value)
		if seen[key.Value] {
			d.wrong(at, "is written twice, remove one")
			continue
		}
		seen[key.Value] = true
		each(key.Value, at, value{key: at.key, node: inner})
	}
}

// under is the full name of a key. One that is no plain name is quoted: it
// must not break the line of a message.
func under(part, name string) string {
	if _, err := word(name); err != nil {
		name = strconv.Quote(shortened(name))
	}
	if part == "" {
		return name
	}
	return part + "." + name
}

// mapping hands each known key's value to its field.
func (d *decoder) mapping(v value, known fields) {
	d.pairs(v, func(name string, at, inner value) {
		set, ok := known[name]
		if !ok {
			d.wrong(at, "unknown key, %s", suggestion(name, slices.Sorted(maps.Keys(known))))
			return
		}
		d.written[inner.key] = inner
		set(inner)
	})
}

// list hands each item to each, under the key with its index.
func (d *decoder) list(v value, each func(value)) {
	if v.isNull() || !d.is(v, yaml.SequenceNode, "a list, [] when empty") {
		return
	}
	for i, node := range v.node.Content {
		each(value{key: fmt.Sprintf("%s[%d]", v.key, i), node: node})
	}
}

// text is a scalar with the environment put in. It is false when there is
// none; that was noted then.
func (d *decoder) text(v value) (string, bool) {
	if v.node == nil {
		return v.text, true
	}
	if !d.is(v, yaml.ScalarNode, "a single value") {
		return "", false
	}
	if v.isNull() {
		d.wrong(v, "has no value, write one (\"\" for an empty one) or remove the line")
		return "", false
	}
	text, err := expand(v.node.Value, d.env)
	var unset unsetError
	switch {
	case errors.As(err, &unset):
		d.postpone(v, err)
	case err != nil:
		d.wrong(v, "%s", err)
	}
	return text, err == nil
}

// scalar makes a field from the parser of its text.
func scalar[T any](d *decoder, field *T, parse func(string) (T, error)) func(value) {
	return func(v value) {
		text, ok := d.text(v)
		if !ok {
			return
		}
		parsed, err := parse(text)
		if err != nil {
			d.wrong(v, "%q %s", shortened(v.raw()), err)
			return
		}
		*field = parsed
	}
}

// words makes a field from a list of distinct words.
func (d *decoder) words(field *[]string, parse func(string) (string, error)) func(value) {
	return func(v value) {
		*field = nil
		d.list(v, func(item value) {
			var text string
			scalar(d, &text, parse)(item)
			switch {
			case text == "": // noted
			case slices.Contains(*field, text):
				d.wrong(item, "%q is listed twice, remove one", shortened(item.raw()))
			default:
				*field = append(*field, text)
			}
		})
	}
}

func shortened(text string) string {
	const most = 60
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// suggestion names the known key that is nearest, or all when none is near.
func suggestion(name string, known []string) string {
	best, least := "", max(1, len(name)/3)+1
	for _, k := range known {
		if n := distance(strings.ToLower(name), k); n < least {
			best, least = k, n
		}
	}
	switch {
	case best != "":
		return "did you mean " + best + "?"
	case len(known) == 0:
		return "no key is known here, write {}"
	}
	return "known here: " + strings.Join(known, ", ")
}

// distance counts the insertions, deletions and replacements from a to b.
// Names of absurd length are near to nothing.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
