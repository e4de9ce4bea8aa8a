package log_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"backstop/internal/log"
	"backstop/internal/secret"
)

func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestShape(t *testing.T) {
	const (
		plain   = "plain text"
		colored = "coloured text"
		asJSON  = "JSON"
	)
	journal := env("JOURNAL_STREAM", "8:1234")
	tests := []struct {
		name    string
		options log.Options
		want    string
	}{
		{"zero", log.Options{Env: env()}, plain},
		{"terminal", log.Options{Env: env(), Terminal: true}, colored},
		{"terminal, NO_COLOR", log.Options{Env: env("NO_COLOR", "1"), Terminal: true}, plain},
		{"terminal, empty NO_COLOR", log.Options{Env: env("NO_COLOR", ""), Terminal: true}, colored},
		{"dumb terminal", log.Options{Env: env("TERM", "dumb"), Terminal: true}, plain},
		{"never on a terminal", log.Options{Env: env(), Terminal: true, Color: log.Never}, plain},
		{"always into a pipe", log.Options{Env: env("NO_COLOR", "1"), Color: log.Always}, colored},
		{"journal", log.Options{Env: journal, Format: log.Auto}, asJSON},
		{"a terminal of a desktop session", log.Options{Env: journal, Terminal: true}, colored},
		{"text wanted under the journal", log.Options{Env: journal, Format: log.Text}, plain},
		{"JSON wanted on a terminal", log.Options{Env: env(), Terminal: true, Format: log.JSON}, asJSON},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			log.New(&out, tt.options).Warn("hello", "n", 1)
			got := plain
			switch {
			case json.Valid(out.Bytes()):
				got = asJSON
			case strings.Contains(out.String(), "\x1b["):
				got = colored
			}
			if got != tt.want || !strings.Contains(out.String(), "hello") {
				t.Errorf("got %s, want %s: %q", got, tt.want, out.String())
			}
		})
	}
}

func TestLevelCanBeChanged(t *testing.T) {
	for _, format := range []string{log.Text, log.JSON} {
		var out bytes.Buffer
		var level slog.LevelVar
		logger := log.New(&out, log.Options{Level: &level, Format: format}).With("part", "poll")
		logger.Debug("first")
		level.Set(slog.LevelDebug)
		logger.Debug("second")
		level.Set(slog.LevelError)
		logger.Warn("third")
		if got := out.String(); strings.Contains(got, "first") || !strings.Contains(got, "second") || strings.Contains(got, "third") {
			t.Errorf("%s: %q", format, got)
		}
	}
}

// hostile prints what a stranger sent in every way a record can carry it.
func hostile(logger *slog.Logger, s string) {
	logger.Info(s, s, 1)
	logger.Info("string", "a", s)
	logger.Info("error", "a", errors.New(s))
	logger.Info("wrapped", "a", fmt.Errorf("walk: %w", errors.New(s)))
	logger.Info("bytes", "a", []byte(s))
	logger.Info("list", "a", []string{s})
	logger.Info("map", "a", map[string]any{s: []any{s, 1.5, nil}})
	logger.Info("struct", "a", struct{ S string }{s})
	logger.Info("channel", "a", struct {
		S string
		C chan int
	}{S: s})
	logger.Info("group", slog.Group("g", slog.String("a", s)))
	logger.Info("valuer", "a", valuer(s))
	logger.Info("stringer", "a", stringer(s))
	logger.With("a", s).WithGroup(s).Info("with")
}

type valuer string

func (v valuer) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("inner", errors.New(string(v))))
}

type stringer string

func (s stringer) String() string { return string(s) }

func TestHostileText(t *testing.T) {
	texts := []string{"a\nlevel=ERROR forged", "\x1b]0;title\x07\x1b[2J", "\u202eevil", "bad \xff\xfe bytes", "\u2028x", "\x00\x7f\u009b31m", "\r\b"}
	for _, format := range []string{log.Text, log.JSON} {
		for _, text := range texts {
			var out bytes.Buffer
			hostile(log.New(&out, log.Options{Format: format}), text)
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if len(lines) != 13 {
				t.Errorf("%s %q: %d lines, want 13", format, text, len(lines))
			}
			for _, line := range lines {
				if log.Printable(line) != line {
					t.Errorf("%s %q: unprintable: %q", format, text, line)
				}
				if format == log.JSON {
					unprintableInside(t, line)
				}
			}
		}
	}
}

// unprintableInside decodes a line: who reads JSON prints what is inside.
func unprintableInside(t *testing.T, line string) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(line))
	for {
		token, err := decoder.Token()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("%v: %q", err, line)
			}
			return
		}
		if s, ok := token.(string); ok && log.Printable(s) != s {
			t.Errorf("unprintable inside: %q", s)
		}
	}
}

func TestQueriesAreCut(t *testing.T) {
	queries := regexp.MustCompile(`\?[^ "]*`)
	cut := func(s string) string { return queries.ReplaceAllString(s, "?…") }
	for _, format := range []string{log.Text, log.JSON} {
		var out bytes.Buffer
		hostile(log.New(&out, log.Options{Format: format, Cut: cut}), "https://files.example/v.mp4?Signature=s3cret-of-ours")
		if strings.Contains(out.String(), "s3cret-of-ours") || !strings.Contains(out.String(), "https://files.example/v.mp4?…") {
			t.Errorf("%s: %s", format, out.String())
		}
	}
}

func TestSecretsStayHidden(t *testing.T) {
	s := secret.Text("s3cret-of-ours")
	type holder struct {
		Key    secret.Secret
		hidden secret.Secret
	}
	h := holder{s, s}
	for _, format := range []string{log.Text, log.JSON} {
		var out bytes.Buffer
		logger := log.New(&out, log.Options{Format: format})
		logger.With("key", s).Info("a", "key", s, "pointer", &s, "holder", h, "at", &h,
			"list", []secret.Secret{s}, "map", map[string]secret.Secret{"key": s}, "error", fmt.Errorf("key %v %+v", s, h.hidden))
		logger.Info("b", slog.Group("g", "key", s))
		if strings.Contains(out.String(), "s3cret-of-ours") || !strings.Contains(out.String(), "[redacted]") {
			t.Errorf("%s: %s", format, out.String())
		}
	}
}

func TestNilsDoNotPanic(t *testing.T) {
	var broken *bytes.Buffer
	var none error
	var out bytes.Buffer
	log.New(&out, log.Options{}).Info("nils", "buffer", broken, "error", none, "failure", (*failure)(nil))
	if !strings.Contains(out.String(), "nils") {
		t.Errorf("%q", out.String())
	}
}

type failure struct{ text string }

func (f *failure) Error() string { return f.text }

func TestPrintable(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"plain, ünïcode, 日本, \\n", "plain, ünïcode, 日本, \\n"},
		{"a\nb\tc\r", `a\nb\tc\r`},
		{"\x1b[31m", `\x1b[31m`},
		{"\xff", `\xff`},
		{"\ufffd", "\ufffd"},
		{"\u202e", `\u202e`},
		{"\U000e0001", `\U000e0001`},
	}
	for _, tt := range tests {
		if got := log.Printable(tt.in); got != tt.want {
			t.Errorf("Printable(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
