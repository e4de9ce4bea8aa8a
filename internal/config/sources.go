package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"backstop/internal/secret"
)

// defaultQuestion is how long a database or a program may take to answer.
const defaultQuestion = 5 * time.Second

// An answer may be ten seconds old at most when an event is sent.
const (
	tooLate   = 10 * time.Second
	lateWords = "its timeout is so long that the answer is too old to be used, write less than 10s"
)

// seen reads a list of sources, each a mapping with its kind as the one key.
func (d *decoder) seen(v value) {
	if v.isNull() { // every item is commented out
		return
	}
	d.config.Seen = nil
	d.list(v, d.source)
}

func (d *decoder) source(item value) {
	known := map[string]func(value) Source{
		SourceReport: d.bare, SourceMirror: d.bare, SourceTap: d.tap, SourceLog: d.logSource, SourceQuery: d.query, SourceCommand: d.command,
	}
	if kind := item.raw(); item.node != nil && item.node.Kind == yaml.ScalarNode && known[kind] != nil {
		d.wrong(item, "is a word alone, write `- %s: {}`", kind)
		return
	}
	kinds := 0
	d.pairs(item, func(name string, at, inner value) {
		kinds++
		read, ok := known[name]
		switch {
		case !ok:
			d.wrong(at, "unknown source, %s", suggestion(name, slices.Sorted(maps.Keys(known))))
		case kinds > 1:
			d.wrong(at, "a second source in one item, begin a new item with -")
		default:
			s := read(inner)
			s.Kind = name
			d.addSource(inner, s)
		}
	})
	if kinds == 0 && (item.isNull() || item.node != nil && item.node.Kind == yaml.MappingNode) {
		d.wrong(item, "names no source, write `- %s: {}`", SourceReport)
	}
}

func (d *decoder) addSource(v value, s Source) {
	once := s.Kind == SourceReport || s.Kind == SourceMirror || s.Kind == SourceTap
	for _, have := range d.config.Seen {
		if reflect.DeepEqual(have, s) || once && have.Kind == s.Kind {
			d.wrong(v, "is listed twice, remove one")
			return
		}
	}
	d.config.Seen = append(d.config.Seen, s)
}

// bare is a source that has nothing to be set.
func (d *decoder) bare(v value) Source {
	d.mapping(v, fields{})
	return Source{}
}

func (d *decoder) tap(v value) Source {
	t := TapSource{Listen: "127.0.0.1:8711"}
	d.mapping(v, fields{"listen": scalar(d, &t.Listen, tapAddress)})
	return Source{Tap: t}
}

// tapAddress is a listener that must be: a tap without one takes nothing.
func tapAddress(text string) (string, error) {
	if text == "" || strings.HasPrefix(text, "unix:") {
		return "", errors.New("is no address for pushes, write 127.0.0.1:8711")
	}
	return listenAddress(text)
}

func (d *decoder) logSource(v value) Source {
	var l LogSource
	f := &l.Fields
	d.mapping(v, fields{
		"path":        scalar(d, &l.Path, path),
		"journal":     scalar(d, &l.Journal, unitName),
		"pattern":     scalar(d, &l.Pattern, some),
		"event_id":    scalar(d, &f.EventID, some),
		"event_type":  scalar(d, &f.EventType, some),
		"event_data":  scalar(d, &f.EventData, some),
		"status":      scalar(d, &f.Status, some),
		"received_at": scalar(d, &f.ReceivedAt, some),
	})
	if fault := d.logFault(l); fault != "" && !d.undecided(v.key) {
		d.wrong(v, "%s", fault)
	}
	return Source{Log: l}
}

// unitName is a systemd unit, and never what journalctl could take for an option.
func unitName(text string) (string, error) {
	if strings.HasPrefix(text, "-") {
		return "", errors.New("is no unit of a receiver, write receiver.service")
	}
	return word(text)
}

// logFault says what is wrong with a log as a whole, "" when nothing is.
func (d *decoder) logFault(l LogSource) string {
	f := l.Fields
	switch {
	case l.Path == "" && l.Journal == "":
		return "names no log, write path: /var/log/receiver.jsonl, or journal: receiver.service"
	case l.Path != "" && l.Journal != "":
		return "names a file and a journal, begin a second item for one of the two"
	case l.Pattern != "" && f != LogFields{}:
		return "has a pattern and paths into JSON, keep one of the two"
	case l.Pattern == "" && f.EventID == "" && (f.EventType == "" || f.EventData == ""):
		return "does not say where the event is, write event_id: $.event_id"
	case d.checks.Log == nil:
		return ""
	}
	if err := d.checks.Log(l); err != nil {
		return err.Error()
	}
	return ""
}

func (d *decoder) query(v value) Source {
	q := QuerySource{Timeout: defaultQuestion}
	var dsn twin
	d.mapping(v, fields{
		"driver":   scalar(d, &q.Driver, oneOf(DriverPostgres, DriverMySQL, DriverSQLite)),
		"dsn":      d.dsn(&dsn),
		"dsn_file": d.secretFiles(&dsn),
		"sql":      d.sql(&q),
		"content":  scalar(d, &q.Content, yesNo),
		"timeout":  scalar(d, &q.Timeout, durationFrom(leastWait)),
	})
	q.DSN = d.one(dsn)
	if dsn.at.literal() && len(dsn.texts) > 0 && hasPassword(dsn.at.raw()) {
		d.warn(dsn.at, "a password in the file itself, write dsn_file or ${VAR} instead")
		d.inline = dsn.at
	}
	if fault := d.queryFault(q, v.key); fault != "" {
		d.wrong(v, "%s", fault)
	}
	return Source{Query: q}
}

func (d *decoder) queryFault(q QuerySource, key string) string {
	switch {
	case d.undecided(key):
		return ""
	case q.Driver == "":
		return fmt.Sprintf("names no driver, write driver: %s, %s or %s", DriverPostgres, DriverMySQL, DriverSQLite)
	case q.Timeout >= tooLate:
		return lateWords
	case q.DSN.IsZero():
		return "does not say where the database is, write dsn: \"${DATABASE_URL}\""
	case d.checks.Query == nil:
		return ""
	}
	if err := d.checks.Query(q); err != nil {
		return err.Error()
	}
	return ""
}

func (d *decoder) sql(q *QuerySource) func(value) {
	return func(v value) {
		scalar(d, &q.SQL, some)(v)
		q.written = v.raw()
	}
}

// dsn is a secret that often is none: it warns of what is one, not of a path.
func (d *decoder) dsn(t *twin) func(value) {
	return func(v value) {
		text, ok := d.text(v)
		if !ok || text == "" {
			return
		}
		t.at = v
		if hasControl(text) {
			d.wrong(v, "holds a control character, write it on one line")
			return
		}
		t.texts = append(t.texts, secret.Text(text))
	}
}

// hasPassword reports whether a password stands in a DSN: in a URL, in the form
// of libpq, or in that of MySQL (user:password@…).
func hasPassword(dsn string) bool {
	if u, err := url.Parse(dsn); err == nil && u.User != nil {
		_, set := u.User.Password()
		return set
	}
	user, _, at := strings.Cut(dsn, "@")
	return strings.Contains(dsn, "password=") || at && strings.Contains(user, ":")
}

func (d *decoder) command(v value) Source {
	c := CommandSource{Timeout: defaultQuestion}
	d.mapping(v, fields{
		"argv":    d.argv(&c.Argv, &c.written),
		"timeout": scalar(d, &c.Timeout, durationFrom(leastWait)),
	})
	switch {
	case d.undecided(v.key):
	case len(c.Argv) == 0:
		d.wrong(v, "names no program, write argv: [./have, --ids]")
	case c.Timeout >= tooLate:
		d.wrong(v, "%s", lateWords)
	}
	return Source{Command: c}
}

// argv is a list of texts as they are: an argument may be empty, or there twice.
// What is shown of them is what is written: a variable may hold a secret.
func (d *decoder) argv(argv, written *[]string) func(value) {
	return func(v value) {
		*argv, *written = nil, nil
		d.list(v, func(item value) {
			if text, ok := d.text(item); ok {
				*argv, *written = append(*argv, text), append(*written, item.raw())
			}
		})
		if len(*argv) > 0 && (*argv)[0] == "" {
			d.wrong(v, "its first item is empty, write the program's name there")
		}
	}
}

// sourceEntries show a source with what is set in it.
func (c *Config) sourceEntries(key string, s Source) []entry {
	var inner []entry
	add := func(key, value string) {
		if value != "" {
			inner = append(inner, entry{key, value})
		}
	}
	switch l, q := s.Log, s.Query; s.Kind {
	case SourceTap:
		add("listen", s.Tap.Listen)
	case SourceLog:
		add("path", l.Path)
		add("journal", l.Journal)
		add("pattern", l.Pattern)
		add("event_id", l.Fields.EventID)
		add("event_type", l.Fields.EventType)
		add("event_data", l.Fields.EventData)
		add("status", l.Fields.Status)
		add("received_at", l.Fields.ReceivedAt)
	case SourceQuery:
		add("driver", q.Driver)
		inner = append(inner, c.secretEntry(under(key, s.Kind), "dsn", q.DSN))
		inner = append(inner, entry{"sql", asWritten(q.written)}, entry{"content", q.Content}, entry{"timeout", FormatDuration(q.Timeout)})
	case SourceCommand:
		inner = append(inner, entry{"argv", manyAsWritten(s.Command.written)}, entry{"timeout", FormatDuration(s.Command.Timeout)})
	}
	return []entry{{s.Kind, inner}}
}
