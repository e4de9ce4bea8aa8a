// Package log owns the shape of backstop's own log: one line a record, in
// colour for people, in JSON for the journal. Whatever a record carries, what
// is written is printable, holds no query of a URL and no secret. It never
// decides what is worth logging.
package log

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
)

// Formats and colours, as they are written in the configuration and the flags.
const (
	Auto   = "auto"
	Text   = "text"
	JSON   = "json"
	Always = "always"
	Never  = "never"
)

// Options say how a log looks. The zero Options are plain text from info on.
type Options struct {
	Level    slog.Leveler                // nil: info; a *slog.LevelVar can be changed later
	Format   string                      // Auto ("" too): JSON under the journal, else Text
	Color    string                      // Auto ("" too): on a terminal without NO_COLOR
	Terminal bool                        // the writer is a terminal
	Env      func(string) (string, bool) // nil: os.LookupEnv
	Cut      func(string) string         // takes the queries off the URLs in a text; nil: they stay
}

// New returns a logger that writes to w, a record in one Write.
func New(w io.Writer, o Options) *slog.Logger {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.Level == nil {
		o.Level = slog.LevelInfo
	}
	if o.Cut == nil {
		o.Cut = func(s string) string { return s }
	}
	return slog.New(clean{next: o.handler(w), cut: o.Cut})
}

func (o Options) handler(w io.Writer) slog.Handler {
	if o.isJSON() {
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: o.Level})
	}
	layout := time.RFC3339
	if o.Terminal {
		layout = time.TimeOnly // a person watches; the day is known
	}
	return tint.NewTextHandler(w, &tint.Options{Level: o.Level, TimeFormat: layout, NoColor: !o.Colored()})
}

func (o Options) isJSON() bool {
	switch o.Format {
	case JSON:
		return true
	case Text:
		return false
	}
	return !o.Terminal && o.isSet("JOURNAL_STREAM")
}

// Colored reports whether what is written has colour.
func (o Options) Colored() bool {
	switch o.Color {
	case Always:
		return true
	case Never:
		return false
	}
	term, _ := o.Env("TERM")
	return o.Terminal && term != "dumb" && !o.isSet("NO_COLOR")
}

// isSet follows no-color.org: an empty variable is as good as none.
func (o Options) isSet(name string) bool {
	value, _ := o.Env(name)
	return value != ""
}
