// Package secret holds values that must never be printed: API keys, webhook
// secrets, tokens. It owns reading them from files and reading them again
// when the file changes. It never writes one anywhere.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is all that any way of printing a Secret gives.
const redacted = "[redacted]"

// Secret is a value that never prints itself, whatever the verb or encoder,
// also as an unexported field of another struct, where its methods are not
// asked: what it points at is behind a function. Copies share what they hold,
// so a Refresh of one is seen by all. The zero Secret is empty.
type Secret struct{ p *holder }

// Text returns a Secret that holds s. An empty s gives the zero Secret.
func Text(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{hold(&vault{text: s, read: true})}
}

// File returns a Secret that is read from path at its first use, and again
// when the file's modification time, size or identity changes. An empty path
// gives the zero Secret.
func File(path string) Secret {
	if path == "" {
		return Secret{}
	}
	return Secret{hold(&vault{path: path})}
}

// Value returns the secret itself; "" for the zero Secret. The error, which
// only a file can cause, names the file and what to do.
func (s Secret) Value() (string, error) {
	if s.p == nil {
		return "", nil
	}
	return s.p.vault().value()
}

// Refresh reads the file now, whatever its modification time, and reports
// whether the value differs from the one last handed out. It is for the moment
// after a value was refused. A Text never changes.
func (s Secret) Refresh() (changed bool, err error) {
	if s.p == nil {
		return false, nil
	}
	return s.p.vault().refresh()
}

// IsZero reports whether there is neither a text nor a file.
func (s Secret) IsZero() bool { return s.p == nil }

// Source tells where the value comes from without telling the value: "",
// "text", or "file PATH".
func (s Secret) Source() string {
	if s.p == nil {
		return ""
	}
	if path := s.p.vault().path; path != "" {
		return "file " + path
	}
	return "text"
}

// String implements [fmt.Stringer].
func (s Secret) String() string {
	if s.p == nil {
		return ""
	}
	return redacted
}

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return s.String() }

// Format implements [fmt.Formatter], so that no verb reaches the fields.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON implements [json.Marshaler].
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// MarshalYAML is what YAML encoders call; no YAML package is needed for it.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }
