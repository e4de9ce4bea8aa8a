package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong, and where.
type Mistake struct {
	Place string // file or environment variable; "" for neither
	Line  int    // from 1; 0: the place has no lines
	Col   int    // from 1
	Key   string // "heygen.timeout"; "" for the file as a whole
	Text  string // what is wrong, what would be right; never a secret
}

// String gives place:line:column: key: text.
func (m Mistake) String() string {
	var b strings.Builder
	if m.Place != "" {
		b.WriteString(m.Place)
		if m.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", m.Line, m.Col)
		}
		b.WriteString(": ")
	}
	if m.Key != "" {
		b.WriteString(m.Key + ": ")
	}
	b.WriteString(m.Text)
	return b.String()
}

// Warning is something that works and had better be changed.
type Warning Mistake

// String gives place:line:column: key: text.
func (w Warning) String() string { return Mistake(w).String() }

// Errors holds all mistakes of a configuration, in the order of the file.
type Errors struct{ Mistakes []Mistake }

// Error gives one mistake a line.
func (e *Errors) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		lines[i] = m.String()
	}
	return strings.Join(lines, "\n")
}

// joined is nil without mistakes, else all of them in the order of the file.
func joined(mistakes []Mistake) error {
	if len(mistakes) == 0 {
		return nil
	}
	return &Errors{Mistakes: sorted(mistakes)}
}

// sorted leaves out what was found twice.
func sorted(mistakes []Mistake) []Mistake {
	mistakes = slices.Clone(mistakes)
	slices.SortStableFunc(mistakes, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return slices.Compact(mistakes)
}

// pending is a value that is written but cannot be had: a variable that is
// not set, a secret file that cannot be read. Only a verb that needs the
// value fails over it.
type pending struct {
	mistake Mistake
	text    string // as it is written, for Redacted
}

// Need is nil when the values under keys can be had. A key names one value
// ("heygen.api_key") or a part ("receiver"); without keys all are meant, as
// for config check. Asked for by its own name, heygen.api_key must also be
// set somewhere. The error is an *Errors.
func (c *Config) Need(keys ...string) error {
	var found []Mistake
	for _, p := range c.pending {
		if len(keys) == 0 || slices.ContainsFunc(keys, func(key string) bool { return within(p.mistake.Key, key) }) {
			found = append(found, p.mistake)
		}
	}
	if len(found) == 0 && slices.Contains(keys, keyAPIKey) && !c.hasCredentials() {
		found = append(found, Mistake{Place: c.File, Key: keyAPIKey, Text: noCredentials})
	}
	return joined(found)
}

const (
	keyAPIKey     = "heygen.api_key"
	noCredentials = "not set, write api_key_file here or set HEYGEN_API_KEY"
)

func (c *Config) hasCredentials() bool {
	return !c.Heygen.APIKey.IsZero() || !c.Heygen.AccessToken.IsZero()
}

// within reports whether key is part itself, its _file twin, or lies under it.
func within(key, part string) bool {
	if key == part || key == part+fileSuffix {
		return true
	}
	rest, ok := strings.CutPrefix(key, part)
	return ok && (rest[0] == '.' || rest[0] == '[')
}

const fileSuffix = "_file"
