// Package config owns the configuration: where it is found, what it may say,
// and what every mistake in it is called. It turns config.yaml and the
// environment into one Config of plain typed fields. It never talks to the
// network, never opens the state, and never lets YAML out.
package config

import (
	"log/slog"
	"time"

	"backstop/internal/secret"
)

// Config is a whole configuration with every default filled in. Each part
// goes to the component that needs it; no component is handed the whole.
type Config struct {
	Heygen    Heygen
	Receiver  Receiver
	Schedule  Schedule
	Reconcile Reconcile
	Seen      []Source
	Replay    Replay
	State     State
	Control   string // path of the control socket; "": found by the usual rule
	Admin     Admin
	Notify    Notify
	Log       Log
	File      string // the file it was read from; "" when none was found
	KeyFrom   string // where the API key or token was found, for people; "": there is none

	pending []pending // values that could not be had; see Need
}

// Heygen says how the listing is read.
type Heygen struct {
	BaseURL     string        // without a slash at its end
	APIKey      secret.Secret // at most one of APIKey and AccessToken is set
	AccessToken secret.Secret // OAuth
	EventTypes  []string      // empty: all in one walk; otherwise one filtered walk each
	EntityID    string        // "": every entity
	PageSize    int           // 1 to 100
	Timeout     time.Duration // of one request
	Rate        float64       // requests a second; 0: no limit
}

// Receiver is where replays go.
type Receiver struct {
	URL     string                   // "": watch only
	Secrets []secret.Secret          // the first signs, all verify; empty: unsigned
	Timeout time.Duration            // of one POST
	Headers map[string]secret.Secret // added to every replay; secret, for they often carry a token
	Body    string                   // BodyPush or BodyListing
}

// What a replay's body holds.
const (
	BodyPush    = "push"    // event_type and event_data, as HeyGen pushes it
	BodyListing = "listing" // also event_id and created_at
)

// Tap is the tap among the sources; false where there is none.
func (c *Config) Tap() (TapSource, bool) {
	for _, s := range c.Seen {
		if s.Kind == SourceTap {
			return s.Tap, true
		}
	}
	return TapSource{}, false
}

// HeaderValues are the headers in plain text, for the sender. An error names
// the value that could not be read.
func (r Receiver) HeaderValues() (map[string]string, error) { return plainValues(r.Headers) }

// HeaderValues are the headers of a notice in plain text.
func (n Notify) HeaderValues() (map[string]string, error) { return plainValues(n.Headers) }

func plainValues(headers map[string]secret.Secret) (map[string]string, error) {
	plain := make(map[string]string, len(headers))
	for name, s := range headers {
		value, err := s.Value()
		if err != nil {
			return nil, err
		}
		plain[name] = value
	}
	return plain, nil
}

// Schedule says when to walk: cron expressions of five fields, or @every and
// its like, read in Timezone.
type Schedule struct {
	Poll, Sweep string
	Timezone    *time.Location
}

// Reconcile says what counts as missed.
type Reconcile struct {
	Settle         time.Duration // younger events are not judged
	Lookback       time.Duration // how far below the mark a poll reads again
	SweepLookback  time.Duration // the same for a sweep; never shorter
	Start          Start
	CollapseWindow time.Duration // 0: off
}

// Start is where the baseline of a first run lies. The zero Start is now.
type Start struct {
	Beginning bool      // everything the listing has is judged
	At        time.Time // UTC; zero: now, or the beginning
}

// String gives the word or time as it is written in the file.
func (s Start) String() string {
	switch {
	case s.Beginning:
		return "beginning"
	case s.At.IsZero():
		return "now"
	}
	return s.At.Format(time.RFC3339)
}

// Source is one way of knowing what the receiver has. Of the parts below the
// kind only its own is filled in.
type Source struct {
	Kind    string // one of the kinds below
	Tap     TapSource
	Log     LogSource
	Query   QuerySource
	Command CommandSource
}

// The kinds of sources.
const (
	SourceReport  = "report"  // the receiver tells: POST /v1/seen
	SourceMirror  = "mirror"  // a copy of the push: POST /v1/mirror
	SourceTap     = "tap"     // a reverse proxy in front of the receiver
	SourceLog     = "log"     // a log of the receiver, or of what stands in front of it
	SourceQuery   = "query"   // the receiver's database
	SourceCommand = "command" // a program that knows
)

// TapSource listens for pushes and passes them on to the receiver.
type TapSource struct {
	Listen string // host:port
}

// LogSource reads lines: JSON, with a JSONPath (RFC 9535) for each field, or
// text, with a pattern whose named groups are the fields.
type LogSource struct {
	Path    string // of the file; else Journal
	Journal string // the systemd unit whose journal is read
	Pattern string // a regular expression; "": lines are JSON
	Fields  LogFields
}

// LogFields are JSONPaths; "" is a field that lines do not have. In a pattern
// the groups have the names of the keys: event_id, event_type and so on.
type LogFields struct {
	EventID    string
	EventType  string // with EventData, the content of a push without an id
	EventData  string
	Status     string // the answer to the push; only lines with a 2xx count
	ReceivedAt string
}

// QuerySource asks a database, read only.
type QuerySource struct {
	Driver  string // DriverPostgres, DriverMySQL or DriverSQLite
	DSN     secret.Secret
	SQL     string        // with one parameter: the ids, or with Content the entities
	written string        // SQL before the environment was put in
	Content bool          // rows are event_type and entity_id, for a table without event ids
	Timeout time.Duration // of one question
}

// The databases that can be asked.
const (
	DriverPostgres = "postgres"
	DriverMySQL    = "mysql" // and MariaDB
	DriverSQLite   = "sqlite"
)

// CommandSource asks a program: ids on its standard input, those that the
// receiver has on its standard output.
type CommandSource struct {
	Argv    []string
	Timeout time.Duration // of one question
	written []string      // Argv before the environment was put in
}

// Replay bounds the sending.
type Replay struct {
	Rate        float64 // requests a second; 0: no limit
	Concurrency int
	MaxAttempts int
	BackoffMin  time.Duration
	BackoffMax  time.Duration
	RefreshURLs bool // expired pre-signed URLs are fetched anew before an event is sent
}

// State says where the state file lies and how big it may grow.
type State struct {
	Path      string
	Retention time.Duration // of finished records
	MaxSize   int64         // bytes
}

// Admin is the listener for reports, metrics and the web page.
type Admin struct {
	Listen string        // host:port, unix:/path, or "" for none
	Hosts  []string      // further Host names to answer to
	Token  secret.Secret // zero: none is asked for

	PingURL secret.Secret // asked for after every clean pass; zero: none. A secret: whoever knows it can keep a dead backstop looking alive
}

// Notify says who is told of trouble. With neither a URL nor a command nobody is.
type Notify struct {
	URL      secret.Secret // gets a POST of JSON; secret, for the URL of a chat's hook is its password
	Format   string        // NoticeJSON or NoticeSlack
	Command  []string      // a program and its arguments, which reads the JSON
	Headers  map[string]secret.Secret
	Cooldown time.Duration // at least so long between two alarms of one condition
	written  []string      // Command before the environment was put in
}

// What is sent to the URL of notices.
const (
	NoticeJSON  = "json"  // all that is known, in fields, and as text
	NoticeSlack = "slack" // the text alone, as Slack and its likes read it
)

// Log says how much is logged and in which shape.
type Log struct {
	Level  slog.Level
	Format string // FormatAuto, FormatText or FormatJSON
}

// The shapes of a log.
const (
	FormatAuto = "auto"
	FormatText = "text"
	FormatJSON = "json"
)

// Default is the configuration of an empty file and an empty environment.
func Default() *Config {
	return &Config{
		Heygen:    Heygen{BaseURL: "https://api.heygen.com", PageSize: 100, Timeout: 30 * time.Second, Rate: 2},
		Receiver:  Receiver{Timeout: 10 * time.Second, Body: BodyPush},
		Schedule:  Schedule{Poll: "@every 1m", Sweep: "@hourly", Timezone: time.UTC},
		Reconcile: Reconcile{Settle: 5 * time.Minute, Lookback: 15 * time.Minute, SweepLookback: 48 * time.Hour, CollapseWindow: 10 * time.Minute},
		Seen:      []Source{{Kind: SourceReport}},
		Replay:    Replay{Rate: 5, Concurrency: 4, MaxAttempts: 12, BackoffMin: 5 * time.Second, BackoffMax: time.Hour, RefreshURLs: true},
		State:     State{Path: "backstop.db", Retention: 90 * day, MaxSize: 4 << 30},
		Admin:     Admin{Listen: "127.0.0.1:8710"},
		Notify:    Notify{Format: NoticeJSON, Cooldown: time.Hour},
		Log:       Log{Level: slog.LevelInfo, Format: FormatAuto},
	}
}

const day = 24 * time.Hour
