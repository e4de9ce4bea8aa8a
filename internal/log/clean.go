package log

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean is the handler before the one that writes. It rewrites every string of
// a record, so that nothing a stranger sent us can move the cursor of a
// terminal, forge a line, or carry a signature into a log.
type clean struct {
	next slog.Handler
	cut  func(string) string
}

// Enabled implements [slog.Handler].
func (c clean) Enabled(ctx context.Context, level slog.Level) bool {
	return c.next.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (c clean) Handle(ctx context.Context, r slog.Record) error {
	cleaned := slog.NewRecord(r.Time, r.Level, c.text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		cleaned.AddAttrs(c.attr(a))
		return true
	})
	return c.next.Handle(ctx, cleaned)
}

// WithAttrs implements [slog.Handler].
func (c clean) WithAttrs(attrs []slog.Attr) slog.Handler {
	return clean{next: c.next.WithAttrs(c.attrs(attrs)), cut: c.cut}
}

// WithGroup implements [slog.Handler].
func (c clean) WithGroup(name string) slog.Handler {
	return clean{next: c.next.WithGroup(c.text(name)), cut: c.cut}
}

func (c clean) attrs(attrs []slog.Attr) []slog.Attr {
	cleaned := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		cleaned[i] = c.attr(a)
	}
	return cleaned
}

func (c clean) attr(a slog.Attr) slog.Attr {
	return slog.Attr{Key: c.text(a.Key), Value: c.value(a.Value.Resolve())}
}

func (c clean) value(v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(c.text(v.String()))
	case slog.KindGroup:
		return slog.GroupValue(c.attrs(v.Group())...)
	case slog.KindAny:
		return c.any(v.Any())
	}
	return v // numbers, times and the like print nothing but themselves
}

// any takes apart what has strings inside. fmt.Sprint calls Error and String,
// for it survives the panic of a nil pointer.
func (c clean) any(v any) slog.Value {
	switch v := v.(type) {
	case nil:
		return slog.AnyValue(nil)
	case error, fmt.Stringer:
		return slog.StringValue(c.text(fmt.Sprint(v)))
	case []byte:
		return slog.StringValue(c.text(string(v)))
	}
	plain, err := plainOf(v)
	if err != nil {
		return slog.StringValue(c.text(fmt.Sprintf("%+v", v)))
	}
	return slog.AnyValue(c.plain(plain))
}

// plainOf gives the maps, lists and scalars that v is in JSON: there what is
// unexported stays behind and a secret has hidden itself.
func plainOf(v any) (plain any, err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	err = decoder.Decode(&plain)
	return plain, err
}

func (c clean) plain(v any) any {
	switch v := v.(type) {
	case string:
		return c.text(v)
	case []any:
		for i := range v {
			v[i] = c.plain(v[i])
		}
		return v
	case map[string]any:
		cleaned := make(map[string]any, len(v))
		for key, inner := range v {
			cleaned[c.text(key)] = c.plain(inner)
		}
		return cleaned
	}
	return v
}

func (c clean) text(s string) string { return Printable(c.cut(s)) }

// Printable escapes what is not: control characters, line ends, marks that
// turn the direction of text, and bytes that are no UTF-8. The rest of s stays
// as it is.
func Printable(s string) string {
	if isPrintable(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return b.String()
}

func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
