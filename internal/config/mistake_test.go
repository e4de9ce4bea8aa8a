package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"backstop/internal/config"
)

// Each text has one mistake, and the error is that one line.
func TestMistakes(t *testing.T) {
	tests := []struct{ name, text, want string }{
		// the text as YAML
		{"empty", "", ":1:1: says nothing"},
		{"comments only", "# nothing\n\n", ":1:1: says nothing"},
		{"null", "~\n", ":1:1: says nothing"},
		{"a tab", "heygen:\n\trate: 2\n", ":2:1: a tab indents this line, write spaces"},
		{"a tab after spaces", "heygen:\n  \trate: 2\n", ":2:3: a tab"},
		{"second document", "log: {level: info}\n---\nlog: {level: warn}\n", ":2:1: a second document begins here"},
		{"empty second document", "log: {level: info}\n---\n", ":2:1: a second document begins here"},
		{"no YAML", "heygen:\n  rate: [1\n", ":"},
		{"a list", "- heygen\n", ":1:1: is a list, write keys and values"},
		{"a word", "heygen\n", ":1:1: is a single value, write keys and values"},
		{"alias", "receiver: &a {url: ''}\nheygen: *a\n", ":2:9: heygen: is an alias"},
		{"alias of nothing", "admin:\n  token: *s3cret\n", ":2:10: is not YAML here or just before: an alias of nothing"},
		{"merge key", "log: &a {level: info}\nadmin:\n  <<: *a\n", ":3:3: admin.<<: unknown key"},
		{"tag", "log: {level: !!binary aW5mbw==}\n", ":1:14: log.level: has a tag"},
		// keys
		{"unknown key", "heygen:\n  page_sise: 10\n", ":2:3: heygen.page_sise: unknown key, did you mean page_size?"},
		{"unknown part", "foo: 1\n", ":1:1: foo: unknown key, known here: admin, control,"},
		{"a key of a later version", "replay:\n  speed: 5\n", ":2:3: replay.speed: unknown key, known here: "},
		{"links, perhaps", "replay:\n  refresh_urls: maybe\n", `:2:17: replay.refresh_urls: "maybe" is neither, write true or false`},
		{"case", "heygen: {Rate: 2}\n", ":1:10: heygen.Rate: unknown key, did you mean rate?"},
		{"duplicate key", "log:\n  level: info\n  level: warn\n", ":3:3: log.level: is written twice"},
		{"duplicate part", "log: {}\nadmin: {}\nlog: {}\n", ":3:1: log: is written twice"},
		{"a key with a line end", "\"a\\nb\": 1\n", `:1:1: "a\nb": unknown key`},
		{"a list as key", "? [a]\n: 1\n", ":1:3: is a list, write a plain key"},
		// types
		{"scalar for a part", "heygen: yes\n", ":1:9: heygen: is a single value, write keys and values"},
		{"scalar for a list", "heygen:\n  event_types: a.b\n", ":2:16: heygen.event_types: is a single value, write a list"},
		{"list for a scalar", "heygen:\n  rate: [1]\n", ":2:9: heygen.rate: is a list, write a single value"},
		{"no value", "heygen:\n  timeout:\n", "heygen.timeout: has no value"},
		{"no secret", "receiver:\n  secret:\n", "receiver.secret: has no value"},
		{"word for a number", "heygen: {page_size: many}\n", `:1:21: heygen.page_size: "many" does not do, write a whole number from 1 to 100`},
		// durations and sizes
		{"bare number", "heygen: {timeout: 5}\n", `:1:19: heygen.timeout: "5" is a bare number, write 5s`},
		{"negative", "reconcile: {settle: -5s}\n", `"-5s" is negative`},
		{"zero", "heygen: {timeout: 0}\n", `"0" is too short, write 1ms or more`},
		{"1 ns", "replay: {backoff_min: 1ns}\n", "is too short, write 1ms or more"},
		{"no duration", "heygen: {timeout: soon}\n", "is no duration, write one like 30s"},
		{"too long", "heygen: {timeout: 99999999999w}\n", "is too long, write less than 100 years"},
		{"bare size", "state: {max_size: 4}\n", `"4" is a bare number, write its unit: 4GiB, 500MB`},
		{"no size", "state: {max_size: big}\n", "is no size, write one like 4GiB"},
		{"small size", "state: {max_size: 1MiB}\n", "is too small, write 16MiB or more"},
		{"huge size", "state: {max_size: 99999999TiB}\n", "is too large"},
		// ranges
		{"page size 0", "heygen: {page_size: 0}\n", "from 1 to 100"},
		{"page size 101", "heygen: {page_size: 101}\n", "from 1 to 100"},
		{"negative rate", "heygen: {rate: -1}\n", "from 0 (no limit) to 10000"},
		{"rate that is no number", "replay: {rate: .nan}\n", "from 0 (no limit) to 10000"},
		{"infinite rate", "replay: {rate: Inf}\n", "from 0 (no limit) to 10000"},
		{"no concurrency", "replay: {concurrency: 0}\n", "a whole number from 1 to 1000"},
		{"no attempts", "replay: {max_attempts: 0}\n", "a whole number from 1 to 1000"},
		{"backoff upside down", "replay:\n  backoff_min: 1m\n  backoff_max: 30s\n", ":3:16: replay.backoff_max: 30s is too short beside replay.backoff_min: 1m"},
		{"backoff above the default", "replay:\n  backoff_min: 2h\n", ":2:16: replay.backoff_min: 2h is too long beside replay.backoff_max: 1h"},
		{"retention", "state:\n  retention: 72h\n", ":2:14: state.retention: 3d is too short beside reconcile.sweep_lookback: 48h, write 4d or more"},
		{"retention left alone", "reconcile:\n  sweep_lookback: 60d\n", ":2:19: reconcile.sweep_lookback: 60d is too long beside state.retention: 90d, write 45d or less"},
		{"sweep shorter than poll", "reconcile:\n  lookback: 3d\n", ":2:13: reconcile.lookback: 3d is too long beside reconcile.sweep_lookback: 48h"},
		// words
		{"body", "receiver: {body: raw}\n", `"raw" is not known, write push or listing`},
		{"level", "log: {level: loud}\n", "is not known, write debug, info, warn or error"},
		{"format", "log: {format: xml}\n", "is not known, write auto, text or json"},
		{"start", "reconcile: {start: yesterday}\n", "is no start, write now, beginning, or a time"},
		{"time zone", "schedule: {timezone: Europe/Atlantis}\n", "is no time zone, write UTC or a name like Europe/Berlin"},
		{"local time zone", "schedule: {timezone: Local}\n", "is no time zone"},
		{"empty time zone", "schedule: {timezone: ''}\n", "is no time zone"},
		{"schedule", "schedule:\n  sweep: never\n", `:2:10: schedule.sweep: "never" never fires, write @hourly`},
		{"empty schedule", "schedule: {poll: ''}\n", "is empty, write @every 1m"},
		{"event type", "heygen: {event_types: ['a b']}\n", `:1:24: heygen.event_types[0]: "a b" does not do`},
		{"event type twice", "heygen:\n  event_types: [a, b, a]\n", `:2:23: heygen.event_types[2]: "a" is listed twice`},
		{"entity", "heygen: {entity_id: \"a\\n\"}\n", "printable ASCII"},
		// sources
		{"unknown source", "seen:\n  - taps: {}\n", ":2:5: seen[0].taps: unknown source, did you mean tap?"},
		{"strange source", "seen:\n  - kafka: {}\n", ":2:5: seen[0].kafka: unknown source, known here: command, log, mirror, query, report, tap"},
		{"source twice", "seen:\n  - report: {}\n  - report: {}\n", ":3:13: seen[1].report: is listed twice"},
		{"two taps", "receiver: {url: 'https://x/'}\nseen:\n  - tap: {}\n  - tap: {listen: '127.0.0.1:1'}\n", ":4:10: seen[1].tap: is listed twice"},
		{"a tap to nowhere", "seen:\n  - tap: {}\n", ":2:3: seen: the tap has nowhere to pass pushes on to, write receiver.url"},
		{"a tap on a socket", "receiver: {url: 'https://x/'}\nseen: [{tap: {listen: 'unix:/run/x'}}]\n", ":2:23: seen[0].tap.listen: \"unix:/run/x\" is no address for pushes"},
		{"a tap in front of itself", "receiver: {url: 'http://localhost:8711/x'}\nseen: [{tap: {}}]\n", ":1:17: receiver.url: points at backstop's own tap"},
		{"a tap on the admin port", "receiver: {url: 'https://x/'}\nseen: [{tap: {listen: '127.0.0.1:8710'}}]\n", ":2:7: seen: the tap and admin.listen are both on port 8710"},
		{"a log of nothing", "seen: [{log: {}}]\n", ":1:14: seen[0].log: names no log, write path:"},
		{"two logs in one", "seen: [{log: {path: a, journal: b, event_id: $.x}}]\n", "seen[0].log: names a file and a journal"},
		{"a journal of an option", "seen: [{log: {journal: '--help', event_id: $.x}}]\n", `seen[0].log.journal: "--help" is no unit of a receiver, write receiver.service`},
		{"a log without an event", "seen: [{log: {path: a, event_type: $.x}}]\n", "seen[0].log: does not say where the event is, write event_id: $.event_id"},
		{"a log with both", "seen: [{log: {path: a, pattern: x, event_id: $.x}}]\n", "seen[0].log: has a pattern and paths into JSON"},
		{"a log with a bad field", "seen: [{log: {path: a, event_id: $.bad}}]\n", "seen[0].log: $.bad is bad, write a good one"},
		{"a query of nothing", "seen: [{query: {}}]\n", "seen[0].query: names no driver, write driver: postgres, mysql or sqlite"},
		{"a query of no place", "seen: [{query: {driver: sqlite, sql: x}}]\n", "seen[0].query: does not say where the database is"},
		{"an unknown driver", "seen: [{query: {driver: oracle, dsn: x, sql: y}}]\n", `seen[0].query.driver: "oracle" is not known, write postgres, mysql or sqlite`},
		{"bad SQL", "seen: [{query: {driver: sqlite, dsn: x, sql: bad}}]\n", "seen[0].query: is bad, write good SQL"},
		{"a query in no time", "seen: [{query: {driver: sqlite, dsn: x, sql: y, timeout: 0}}]\n", "seen[0].query.timeout: \"0\" is too short"},
		{"a query that takes its time", "seen: [{query: {driver: sqlite, dsn: x, sql: y, timeout: 10s}}]\n", "seen[0].query: its timeout is so long that the answer is too old"},
		{"a command that takes its time", "seen: [{command: {argv: [a], timeout: 1m}}]\n", "seen[0].command: its timeout is so long"},
		{"an empty source", "seen: [{}]\n", ":1:8: seen[0]: names no source, write `- report: {}`"},
		{"a tap on the admin port of all", "receiver: {url: 'https://x/'}\nseen: [{tap: {listen: '0.0.0.0:8710'}}]\n", "the tap and admin.listen are both on port 8710"},
		{"content, perhaps", "seen: [{query: {driver: sqlite, dsn: x, sql: y, content: maybe}}]\n", `seen[0].query.content: "maybe" is neither, write true or false`},
		{"a command of nothing", "seen: [{command: {argv: []}}]\n", "seen[0].command: names no program, write argv: [./have, --ids]"},
		{"a command without a name", "seen: [{command: {argv: ['', x]}}]\n", "seen[0].command.argv: its first item is empty"},
		{"source with options", "seen:\n  - report: {path: /x}\n", ":2:14: seen[0].report.path: unknown key, no key is known here"},
		{"source as a word", "seen: [report]\n", ":1:8: seen[0]: is a word alone, write `- report: {}`"},
		{"two in one item", "seen:\n  - report: {}\n    query: {}\n", "seen[0].query: a second source in one item"},
		// URLs
		{"no scheme", "receiver: {url: example.com/hook}\n", ":1:17: receiver.url: has no scheme"},
		{"file", "receiver: {url: 'file:///etc/passwd'}\n", "is neither http nor https"},
		{"no host", "receiver: {url: 'https:///hook'}\n", "has no host"},
		{"user", "receiver: {url: 'https://me:s3cret@example.com/'}\n", "has a user name or password"},
		{"fragment", "receiver: {url: 'https://example.com/#top'}\n", "has a fragment"},
		{"port", "receiver: {url: 'https://example.com:99999/'}\n", "has a port out of range"},
		{"space", "receiver: {url: 'https://example.com/a b'}\n", "is no URL"},
		{"line end", "receiver: {url: \"https://example.com/a\\nb\"}\n", "is no URL"},
		{"base with query", "heygen: {base_url: 'https://api.heygen.com?x=1'}\n", "heygen.base_url: has a query"},
		// itself
		{"itself", "receiver: {url: 'http://127.0.0.1:8710/v1/seen'}\n", ":1:17: receiver.url: points at backstop itself"},
		{"itself by name", "receiver: {url: 'http://LOCALHOST.:8710/'}\n", "points at backstop itself"},
		{"itself by IPv6", "receiver: {url: 'http://[::1]:8710/'}\n", "points at backstop itself"},
		{"itself by another loopback", "receiver: {url: 'http://127.9.9.9:8710/'}\n", "points at backstop itself"},
		{"itself by the default port", "receiver: {url: 'http://localhost/'}\nadmin: {listen: '127.0.0.1:80'}\n", "points at backstop itself"},
		{"itself by a listener on all", "receiver: {url: 'http://127.0.0.1:9000/'}\nadmin: {listen: ':9000', token: '${T}'}\n", "points at backstop itself"},
		{"itself by host name", "receiver: {url: 'https://hook.internal:8710/'}\nadmin: {hosts: [Hook.internal]}\n", "points at backstop itself"},
		// listener
		{"all interfaces without a token", "admin: {listen: ':8710'}\n", `:1:17: admin.listen: ":8710" can be reached from other hosts`},
		{"an address without a token", "admin: {listen: '192.0.2.1:8710'}\n", "can be reached from other hosts"},
		{"IPv6 without a token", "admin: {listen: '[::]:8710'}\n", "can be reached from other hosts"},
		{"no port", "admin: {listen: '127.0.0.1'}\n", "is no address"},
		{"named port", "admin: {listen: 'localhost:http'}\n", "is no address"},
		{"no socket", "admin: {listen: 'unix:'}\n", "names no socket"},
		{"long socket", "admin: {listen: 'unix:/" + strings.Repeat("a", 120) + "'}\n", "is too long for a socket"},
		{"host with scheme", "admin: {hosts: ['https://x']}\n", "is no host name"},
		{"control as address", "control: unix:/run/x\n", "is an address, write the path"},
		{"no state path", "state: {path: ''}\n", "is no path"},
		// headers
		{"header name", "receiver: {headers: {'X Y': a}}\n", ":1:22: receiver.headers.\"X Y\": is no header name"},
		{"empty header name", "receiver: {headers: {'': a}}\n", "is no header name"},
		{"empty header value", "receiver: {headers: {X-Y: ''}}\n", ":1:27: receiver.headers.X-Y: is empty"},
		{"header value", "receiver: {headers: {X-Y: \"a\\r\\nZ: b\"}}\n", "holds a control character"},
		{"header of ours", "receiver: {headers: {heygen-signature: a}}\n", "is set by every replay itself"},
		{"header twice", "receiver: {headers: {X-Y: a, x-y: b}}\n", ":1:30: receiver.headers.x-y: is written twice"},
		// notices
		{"notice by file transfer", "notify: {url: 'ftp://s3cret.example.com/'}\n", ":1:15: notify.url: is neither http nor https"},
		{"notice with a password", "notify: {url: 'https://u:s3cret@example.com/'}\n", ":1:15: notify.url: has a user name or password in it"},
		{"notice to ourselves", "notify: {url: 'http://localhost:8710/s3cret'}\n", ":1:15: notify.url: points at backstop itself"},
		{"no URL in the file", "notify: {url_file: '${F}'}\n", ":1:20: notify.url_file: the URL in the file has no scheme"},
		{"notice format", "notify: {format: teams}\n", ":1:18: notify.format: \"teams\" is not known, write json or slack"},
		{"notice command", "notify: {command: mail ops}\n", ":1:19: notify.command: is a single value, write a list"},
		{"empty notice command", "notify: {command: ['', x]}\n", ":1:19: notify.command: its first item is empty"},
		{"notice header", "notify: {url: 'http://127.0.0.1:1/', headers: {content-type: a}}\n", "notify.headers.content-type: is set by every notice itself"},
		{"no cool-down", "notify: {cooldown: 0s}\n", ":1:20: notify.cooldown: "},
		{"ping to ourselves", "admin: {ping_url: 'http://[::1]:8710/s3cret'}\n", ":1:19: admin.ping_url: points at backstop itself"},
		{"ping without a host", "admin: {ping_url: 'https:///s3cret'}\n", ":1:19: admin.ping_url: has no host"},
		// secrets
		{"key and file", "heygen:\n  api_key: ${K}\n  api_key_file: ${F}\n", ":3:17: heygen.api_key_file: is set beside its twin"},
		{"key and token", "heygen:\n  api_key: ${K}\n  access_token: ${T}\n", ":3:17: heygen.access_token: stands beside an api_key"},
		{"control character", "heygen: {api_key: \"s3cret\\n\"}\n", ":1:19: heygen.api_key: holds a control character"},
		{"space", "admin: {token: ' s3cret'}\n", "begins or ends with a space"},
		{"control character in a list", "receiver: {secret: [a, \"s3cret\\0\"]}\n", ":1:24: receiver.secret[1]: holds a control character"},
		{"several files for one key", "heygen: {api_key_file: [a]}\n", "is a list, write a single value"},
		// variables
		{"open brace", "heygen: {entity_id: '${X'}\n", ":1:21: heygen.entity_id: has a ${ that is no ${VAR}"},
		{"bad name", "heygen: {entity_id: '${1X}'}\n", "has a ${ that is no ${VAR}"},
	}
	env := environ{"K": "k1", "T": "t1", "F": write(t, "key", "k2\n")}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, "config.yaml", tt.text)
			_, _, err := config.Load(options(file, env))
			got := mistakes(t, file, err)
			if len(got) != 1 || !strings.HasPrefix(got[0], "config.yaml:") || !strings.Contains(got[0], tt.want) {
				t.Errorf("got %q\nwant one line with %q", got, tt.want)
			}
			if strings.Contains(strings.Join(got, ""), "s3cret") {
				t.Errorf("a secret is quoted: %q", got)
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	file := write(t, "config.yaml", `heygen:
  base_url: ftp://api.heygen.com
  page_sise: 100
  timeout: 30
receiver:
  url: http://localhost:8710/
  headers:
    Host: example.com
schedule:
  timezone: Mars
  timezone: UTC
seen:
  - mirror: {path: x}
state:
  retention: 1d
contrl: x
`)
	_, _, err := config.Load(options(file, environ{"BACKSTOP_STATE": "a\nb"}))
	want := []string{
		`config.yaml:2:13: heygen.base_url: is neither http nor https, write https://`,
		`config.yaml:3:3: heygen.page_sise: unknown key, did you mean page_size?`,
		`config.yaml:4:12: heygen.timeout: "30" is a bare number, write 30s`,
		`config.yaml:6:8: receiver.url: points at backstop itself (admin.listen), write the URL of your webhook endpoint`,
		`config.yaml:8:5: receiver.headers.Host: is set by every replay itself, remove the line`,
		`config.yaml:10:13: schedule.timezone: "Mars" is no time zone, write UTC or a name like Europe/Berlin`,
		`config.yaml:11:3: schedule.timezone: is written twice, remove one`,
		`config.yaml:13:14: seen[0].mirror.path: unknown key, no key is known here, write {}`,
		`config.yaml:15:14: state.retention: 24h is too short beside reconcile.sweep_lookback: 48h, write 4d or more`,
		`config.yaml:16:1: contrl: unknown key, did you mean control?`,
	}
	got := mistakes(t, file, err)
	if len(got) > 0 && strings.HasPrefix(got[0], "environment BACKSTOP_STATE: state.path: ") {
		got = got[1:]
	} else {
		t.Errorf("the mistake of the environment is not the first: %q", got)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestUnreadableFiles(t *testing.T) {
	folder := t.TempDir()
	large := write(t, "config.yaml", "# "+strings.Repeat("x", 1<<20)+"\nlog: {}\n")
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "]\n"
	}
	tests := []struct{ name, file, want string }{
		{"missing", filepath.Join(folder, "none.yaml"), "no such file or directory, check --config"},
		{"a folder", folder, "is a directory, name a readable file"},
		{"too large", large, "is larger than 1 MiB"},
		{"alias bomb", write(t, "config.yaml", bomb), "a: unknown key"},
		{"alias bomb in a list", write(t, "config.yaml", "heygen: {event_types: &a [a, *a, *a]}\n"), ":1:30: heygen.event_types[1]: is an alias"},
		{"deep", write(t, "config.yaml", "seen: "+strings.Repeat("[", 100000)+"\n"), "is not YAML"},
		{"zero bytes", write(t, "config.yaml", "log:\x00 {}\n"), "is not YAML"},
		{"bad UTF-8", write(t, "config.yaml", "control: \xff\xfe\n"), "is not YAML"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := config.Load(options(tt.file, environ{}))
			if err == nil || !strings.HasPrefix(err.Error(), tt.file) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
