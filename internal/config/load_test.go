package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"backstop/internal/config"
	"backstop/internal/secret"
)

func TestFind(t *testing.T) {
	first, second := filepath.Dir(write(t, "config.yaml", "log: {}\n")), filepath.Dir(write(t, "config.yaml", "log: {}\n"))
	named := environ{"BACKSTOP_CONFIG": "/named/by/env.yaml"}
	tests := []struct {
		name string
		path string
		env  environ
		dirs []string
		want string
	}{
		{"flag first", "/flag.yaml", named, []string{first}, "/flag.yaml"},
		{"then the variable", "", named, []string{first}, "/named/by/env.yaml"},
		{"then the first folder", "", environ{}, []string{first, second}, filepath.Join(first, "config.yaml")},
		{"then the second", "", environ{}, []string{t.TempDir(), second}, filepath.Join(second, "config.yaml")},
		{"none", "", environ{"BACKSTOP_CONFIG": ""}, []string{t.TempDir()}, ""},
	}
	for _, tt := range tests {
		if got := config.Find(config.Options{Path: tt.path, Env: tt.env.lookup, Dirs: tt.dirs}); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestDefaultsWithoutAFile(t *testing.T) {
	c, warnings, err := config.Load(config.Options{Env: environ{}.lookup, Dirs: []string{}})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if got, want := printed(t, c), printed(t, config.Default()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if c.File != "" || c.Need() != nil {
		t.Errorf("file %q, need %v", c.File, c.Need())
	}
}

func printed(t testing.TB, c *config.Config) string {
	t.Helper()
	out, err := c.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func value(t testing.TB, s secret.Secret) string {
	t.Helper()
	v, err := s.Value()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPrecedence(t *testing.T) {
	systemd, cli, bare := t.TempDir(), t.TempDir(), t.TempDir()
	for file, text := range map[string]string{
		systemd + "/heygen-api-key":        "key of systemd\n",
		systemd + "/heygen-webhook-secret": "secret of systemd\n",
		cli + "/credentials":               `{"api_key": "key of heygen", "user": {"email": "a@example.com"}}`,
		bare + "/credentials":              "key on a line\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := write(t, "key", "key of a file\r\n")
	all := environ{
		"HEYGEN_API_KEY": "key of env", "HEYGEN_WEBHOOK_SECRET": "secret of env", "HEYGEN_API_BASE": "https://env.example/",
		"BACKSTOP_RECEIVER_URL": "https://env.example/hook", "BACKSTOP_STATE": "/env.db", "STATE_DIRECTORY": "/var/lib/backstop:/other",
		"CREDENTIALS_DIRECTORY": systemd, "HEYGEN_CONFIG_DIR": cli,
	}
	without := func(names ...string) environ {
		e := all
		for _, name := range names {
			e = e.with(name, "")
		}
		return e
	}
	key := func(c *config.Config) string { return value(t, c.Heygen.APIKey) }
	from := func(c *config.Config) string { return filepath.Base(c.KeyFrom) }
	signs := func(c *config.Config) string {
		var b strings.Builder
		for _, s := range c.Receiver.Secrets {
			b.WriteString("<" + value(t, s) + ">")
		}
		return b.String()
	}
	state := func(c *config.Config) string { return c.State.Path }
	target := func(c *config.Config) string { return c.Receiver.URL }
	base := func(c *config.Config) string { return c.Heygen.BaseURL }
	tests := []struct {
		name string
		text string
		env  environ
		get  func(*config.Config) string
		want string
	}{
		{"key: file", "heygen: {api_key: 'key'}", all, key, "key"},
		{"key: its own file", "heygen: {api_key_file: " + file + "}", all, key, "key of a file"},
		{"key: variable in the file", "heygen: {api_key: '${HEYGEN_API_KEY:-}'}", all, key, "key of env"},
		{"key: environment", "log: {}", all, key, "key of env"},
		{"key: empty in the file", "heygen: {api_key: ''}", all, key, "key of env"},
		{"key: systemd", "heygen: {api_key: '${HEYGEN_API_KEY:-}'}", without("HEYGEN_API_KEY"), key, "key of systemd"},
		{"key: heygen", "log: {}", without("HEYGEN_API_KEY", "CREDENTIALS_DIRECTORY"), key, "key of heygen"},
		{"key: heygen of old", "log: {}", environ{"HEYGEN_CONFIG_DIR": bare}, key, "key on a line"},
		{"key: none beside a token", "heygen: {access_token: '${T}'}", all.with("T", "t"), key, ""},
		{"key: not another when its variable is missing", "heygen: {api_key: '${MISSING}'}", all, key, ""},
		{"key from: file", "heygen: {api_key: 'key'}", all, from, "config.yaml"},
		{"key from: its own file", "heygen: {api_key_file: " + file + "}", all, from, "key"},
		{"key from: token", "heygen: {access_token: 't'}", all, from, "config.yaml"},
		{"key from: environment", "log: {}", all, from, "HEYGEN_API_KEY"},
		{"key from: systemd", "log: {}", without("HEYGEN_API_KEY"), from, "the systemd credential heygen-api-key"},
		{"key from: heygen", "log: {}", without("HEYGEN_API_KEY", "CREDENTIALS_DIRECTORY"), from, "credentials"},
		{"key from: nowhere", "log: {}", environ{}, from, "."},
		{"secret: file", "receiver: {secret: [a, b]}", all, signs, "<a><b>"},
		{"secret: its own file", "receiver: {secret_file: [" + file + "]}", all, signs, "<key of a file>"},
		{"secret: environment", "log: {}", all, signs, "<secret of env>"},
		{"secret: variable in the file", "receiver: {secret: '${HEYGEN_WEBHOOK_SECRET:-}'}", all, signs, "<secret of env>"},
		{"secret: systemd", "receiver: {secret: '${HEYGEN_WEBHOOK_SECRET:-}'}", without("HEYGEN_WEBHOOK_SECRET"), signs, "<secret of systemd>"},
		{"secret: unsigned", "receiver: {secret: ''}", all, signs, ""},
		{"secret: unsigned list", "receiver: {secret: []}", all, signs, ""},
		{"state: file", "state: {path: /file.db}", all, state, "/file.db"},
		{"state: environment", "log: {}", all, state, "/env.db"},
		{"state: systemd", "log: {}", without("BACKSTOP_STATE"), state, "/var/lib/backstop/backstop.db"},
		{"state: default", "log: {}", environ{}, state, "backstop.db"},
		{"url: file", "receiver: {url: 'https://file.example/hook'}", all, target, "https://file.example/hook"},
		{"url: environment", "log: {}", all, target, "https://env.example/hook"},
		{"url: empty in the file", "receiver: {url: ''}", all, target, ""},
		{"base: file", "heygen: {base_url: 'https://file.example//'}", all, base, "https://file.example"},
		{"base: environment", "log: {}", all, base, "https://env.example"},
		{"base: default", "log: {}", environ{}, base, "https://api.heygen.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := load(t, tt.text+"\n", tt.env)
			if got := tt.get(c); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestVariables(t *testing.T) {
	env := environ{"A": "a", "EMPTY": "", "YAML": "x: [1, {y: 2}]\n- &b *b # ${A} $$"}
	tests := []struct{ in, want string }{
		{"${A}", "a"},
		{"x${A}y${A}", "xaya"},
		{"${EMPTY}", ""},
		{"${EMPTY:-d}", "d"},
		{"${NONE:-}", ""},
		{"${NONE:-a b:c}", "a b:c"},
		{"$$", "$"},
		{"$${A}", "${A}"},
		{"$1 $A $", "$1 $A $"},
	}
	for _, tt := range tests {
		c, _ := load(t, fmt.Sprintf("receiver: {headers: {X-Y: 'v %s'}}\n", tt.in), env)
		if got := value(t, c.Receiver.Headers["X-Y"]); got != "v "+tt.want {
			t.Errorf("%s: %q, want %q", tt.in, got, "v "+tt.want)
		}
	}
	// What comes out of a variable is text, never structure.
	_, _, err := config.Load(options(write(t, "config.yaml", "log: {level: '${YAML}'}\n"), env))
	if err == nil || !strings.Contains(err.Error(), `"${YAML}" is not known`) {
		t.Errorf("%v", err)
	}
	c, _ := load(t, "heygen: {page_size: '${N}', timeout: '${T}'}\n", environ{"N": "7", "T": "2w"})
	if c.Heygen.PageSize != 7 || c.Heygen.Timeout != 14*24*time.Hour {
		t.Errorf("%+v", c.Heygen)
	}
}

func TestNeed(t *testing.T) {
	text := "heygen: {api_key: '${K}', timeout: '${T}'}\nreceiver:\n  secret: [\"${S}\"]\nadmin: {token_file: /none/token}\n"
	c, _ := load(t, text, environ{})
	tests := []struct {
		keys []string
		want []string
	}{
		{nil, []string{":1:19: heygen.api_key: ", ":1:36: heygen.timeout: ", ":3:12: receiver.secret[0]: ", ":4:21: admin.token_file: "}},
		{[]string{"heygen.api_key"}, []string{":1:19: heygen.api_key: the environment variable K is not set, set it or write a default: ${K:-default}"}},
		{[]string{"heygen"}, []string{"heygen.api_key", "heygen.timeout"}},
		{[]string{"receiver", "admin.token"}, []string{"receiver.secret[0]", "secret file /none/token: no such file or directory; create it"}},
		{[]string{"state", "replay"}, nil},
		{[]string{"heygen.time"}, nil},
	}
	for _, tt := range tests {
		got := mistakes(t, c.File, c.Need(tt.keys...))
		if len(got) != len(tt.want) {
			t.Errorf("%v: %q, want %q", tt.keys, got, tt.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], tt.want[i]) {
				t.Errorf("%v: %q, want %q", tt.keys, got[i], tt.want[i])
			}
		}
	}
	if c.Heygen.Timeout != 30*time.Second {
		t.Errorf("a value that cannot be had is %v, want the default", c.Heygen.Timeout)
	}
	if got := printed(t, c); !strings.Contains(got, "timeout: ${T}") || !strings.Contains(got, "token_file: /none/token") {
		t.Errorf("printed\n%s", got)
	}
	c, _ = load(t, "log: {}\n", environ{})
	if err := c.Need("heygen.api_key"); err == nil || !strings.Contains(err.Error(), "heygen.api_key: not set, write api_key_file here or set HEYGEN_API_KEY") {
		t.Errorf("no key at all: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	loose := write(t, "key", "k\n")
	group := write(t, "key", "k\n")
	broken, session := t.TempDir(), t.TempDir()
	for file, mode := range map[string]os.FileMode{loose: 0o644, group: 0o640} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	for dir, text := range map[string]string{broken: "{", session: `{"oauth": {"access_token": "s3cret"}}`} {
		if err := os.WriteFile(dir+"/credentials", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, text string
		env        environ
		want       string // "": none at all
	}{
		{"clean", "receiver: {url: 'https://example.com/', secret: '${S}', headers: {X-Route: a}}", environ{"S": "s"}, ""},
		{"loopback", "receiver: {url: 'http://127.0.0.1:3000/', secret_file: " + group + "}", environ{}, ""},
		{"plain http", "receiver: {url: 'http://example.com/'}", environ{}, ":1:17: receiver.url: plain http to another host"},
		{"plain http in the environment", "log: {}", environ{"HEYGEN_API_BASE": "http://example.com"}, "environment HEYGEN_API_BASE: heygen.base_url: plain http"},
		{"inline key", "heygen: {api_key: s3cret}", environ{}, ":1:19: heygen.api_key: a secret in the file itself"},
		{"inline header", "receiver: {headers: {Authorization: Bearer s3cret}}", environ{}, "receiver.headers.Authorization: a secret in the file itself"},
		{"inline notice", "notify: {url: 'https://hooks.example.com/s3cret'}", environ{}, ":1:15: notify.url: whoever knows this URL can use it, and it is in the file itself"},
		{"notice next door", "notify: {url: 'http://127.0.0.1:9000/hook'}", environ{}, ""},
		{"notice from the environment", "notify: {url: '${U}', headers: {Authorization: '${U}'}}", environ{"U": "https://hooks.example.com/s3cret"}, ""},
		{"plain notice", "notify: {url: '${U}'}", environ{"U": "http://hooks.example.com/s3cret"}, ":1:15: notify.url: plain http to another host"},
		{"inline ping", "admin: {ping_url: 'https://hc.example.com/s3cret'}", environ{}, ":1:19: admin.ping_url: whoever knows this URL can use it"},
		{"headers of no notice", "notify: {headers: {X-A: a}}", environ{}, ":1:19: notify.headers: there is no notify.url"},
		{"slack without a url", "notify: {format: slack}", environ{}, ":1:18: notify.format: there is no notify.url that it would be sent to"},
		{"json to slack", "notify: {url: '${U}'}", environ{"U": "https://hooks.slack.com/services/s3cret"}, "notify: hooks.slack.com refuses json, write format: slack"},
		{"slack to slack", "notify: {url: '${U}', format: slack}", environ{"U": "https://hooks.slack.com/services/s3cret"}, ""},
		{"a program that is not there", "notify: {command: ['page-${P}', s3cret]}", environ{"P": "nobody"}, ":1:19: notify.command: there is no program page-${P} that can be started here"},
		{"a program", "notify: {command: [/bin/sh, -c, s3cret]}", environ{}, ""},
		{"loose mode", "heygen: {api_key_file: " + loose + "}", environ{}, "is a secret file and has mode 0644, run chmod 600"},
		{"no sources", "seen: []", environ{}, ":1:7: seen: no source"},
		{"a path is no secret", "seen: [{query: {driver: sqlite, dsn: /var/lib/x.db, sql: y}}]", environ{}, ""},
		{"a variable is none", "seen: [{query: {driver: postgres, dsn: '${D}', sql: y}}]", environ{"D": "postgres://u:s3cret@h/d"}, ""},
		{"a password in a URL", "seen: [{query: {driver: postgres, dsn: 'postgres://u:s3cret@h/d', sql: y}}]", environ{}, "seen[0].query.dsn: a password in the file itself"},
		{"a password in words", "seen: [{query: {driver: postgres, dsn: 'host=h password=s3cret', sql: y}}]", environ{}, "seen[0].query.dsn: a password in the file itself"},
		{"a password for MySQL", "seen: [{query: {driver: mysql, dsn: 'u:s3cret@tcp(h)/d', sql: y}}]", environ{}, "seen[0].query.dsn: a password in the file itself"},
		{"nothing settles", "reconcile: {settle: 0s}", environ{}, "reconcile.settle: nothing settles"},
		{"empty url", "receiver: {url: ''}", environ{"BACKSTOP_RECEIVER_URL": "https://example.com"}, "BACKSTOP_RECEIVER_URL is not looked at"},
		{"broken credentials", "log: {}", environ{"HEYGEN_CONFIG_DIR": broken}, "/credentials: heygen.api_key: is no JSON"},
		{"credentials with a session", "log: {}", environ{"HEYGEN_CONFIG_DIR": session}, "/credentials: heygen.api_key: has no api_key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings := load(t, tt.text+"\n", tt.env)
			got := warningText(warnings)
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) || strings.Contains(got, "s3cret") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestInlineSecretInALooseFile(t *testing.T) {
	file := write(t, "config.yaml", "heygen: {api_key: a}\nreceiver: {secret: b}\n")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	_, warnings, err := config.Load(options(file, environ{}))
	if got := warningText(warnings); err != nil || strings.Count(got, "holds a secret and has mode 0644") != 1 {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestSecretFileIsReadAgain(t *testing.T) {
	file := write(t, "key", "old\n")
	c, _ := load(t, "heygen: {api_key_file: "+file+"}\nreceiver: {secret_file: ["+file+"]}\n", environ{})
	if got := value(t, c.Heygen.APIKey); got != "old" {
		t.Fatalf("key is %q", got)
	}
	next := file + ".new"
	if err := os.WriteFile(next, []byte("\ufeffnewer\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
	if key, signing := value(t, c.Heygen.APIKey), value(t, c.Receiver.Secrets[0]); key != "newer" || signing != "newer" {
		t.Errorf("after the rotation: %q, %q", key, signing)
	}
}

func TestControlCharacterInASecretFile(t *testing.T) {
	c, _ := load(t, "heygen: {api_key_file: "+write(t, "key", "a\nb\n")+"}\n", environ{})
	if err := c.Need("heygen.api_key"); err == nil || !strings.Contains(err.Error(), "heygen.api_key_file: the value in the file holds a control character") {
		t.Errorf("%v", err)
	}
}

const everySecret = `heygen: {api_key: S3CRETkey}
receiver:
  url: https://example.com/hook?token=S3CRETquery
  secret: [S3CRETone, S3CRETtwo]
  headers: {Authorization: Bearer S3CREThead}
admin: {token: S3CRETtoken, ping_url: "https://hc.example.com/S3CRETping"}
notify: {url: "https://hooks.example.com/S3CRETpath?x=S3CRETnotice", headers: {X-Key: S3CRETnoticehead}}
`

func TestNothingLeaks(t *testing.T) {
	c, warnings := load(t, everySecret, environ{})
	c.Receiver.URL = "" // a plain string; what prints it cuts it, see TestPrint
	outputs := map[string]string{"warnings": warningText(warnings)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%X", "%s", "%q", "%d"} {
		outputs[verb] = fmt.Sprintf(verb, *c) + fmt.Sprintf(verb, c) + fmt.Sprintf(verb, c.Receiver)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "c", c, "r", c.Receiver)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "c", c, "r", c.Receiver)
	outputs["JSON"], outputs["YAML"], outputs["slog"] = string(asJSON), string(asYAML), logged.String()
	hex := fmt.Sprintf("%x", "S3CRET")
	for name, out := range outputs {
		if out == "" || strings.Contains(out, "S3CRET") || strings.Contains(strings.ToLower(out), hex) {
			t.Errorf("%s leaks: %s", name, out)
		}
	}
}

func TestPrint(t *testing.T) {
	c, _ := load(t, everySecret, environ{})
	for name, print := range map[string]func() ([]byte, error){
		"YAML": c.Redacted, "JSON": func() ([]byte, error) { return c.RedactedJSON(false) },
	} {
		out, err := print()
		if err != nil || strings.Contains(string(out), "S3CRET") || !strings.Contains(string(out), "https://example.com/hook?…") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	out, err := c.RedactedWithURLs()
	if err != nil || strings.Count(string(out), "S3CRET") != 1 || !strings.Contains(string(out), "hook?token=S3CRETquery") {
		t.Errorf("with URLs: %v\n%s", err, out)
	}
	withURLs, err := c.RedactedJSON(true)
	if err != nil || !json.Valid(withURLs) || !strings.Contains(string(withURLs), "S3CRETquery") {
		t.Errorf("JSON with URLs: %v\n%s", err, withURLs)
	}
}

// What is printed reads back as the same configuration.
func TestPrintReadsBack(t *testing.T) {
	file, address := write(t, "key", "k\n"), write(t, "address", "https://example.com/ping\n")
	for _, text := range []string{
		"log: {}\n",
		"heygen: {api_key_file: " + file + ", event_types: [a.b, c.d], entity_id: '007', rate: 0.5}\nreceiver: {secret_file: [" + file + ", " + file + "], headers: {X-A: '1'}}\n" +
			"reconcile: {start: 2026-01-31, collapse_window: 0, settle: 90m30s, sweep_lookback: 9d}\nstate: {max_size: 500MB}\nschedule: {timezone: Europe/Berlin}\nadmin: {hosts: [a.b]}\n" +
			"control: '$${A}$b$$$$'\nreplay: {backoff_min: 1.5s}\nlog: {level: warn, format: json}\nseen: []\n",
		"receiver: {url: 'https://example.com/'}\nseen:\n- report:\n- mirror: {}\n- tap: {listen: '127.0.0.1:9'}\n" +
			"- log: {path: /a, pattern: '^(?P<event_id>\\S+)$'}\n- log: {journal: x.service, event_id: $.a, event_type: $.b, event_data: $.c, status: $.d, received_at: $.e}\n" +
			"- query: {driver: postgres, dsn_file: " + file + ", sql: \"SELECT $1\", timeout: 2s}\n- query: {driver: sqlite, dsn: x.db, sql: y, content: true}\n" +
			"- command: {argv: [./have, '--ids', '', '$${', '']}\n",
		"admin: {ping_url_file: " + address + "}\nnotify: {url: 'http://127.0.0.1:9/a?b=c', format: slack, command: [mail, -s, '$${', ''], headers: {X-A: '1'}, cooldown: 90m}\n",
	} {
		c, _ := load(t, text, environ{})
		first := printed(t, c)
		again, _ := load(t, first, environ{})
		if second := printed(t, again); first != second {
			t.Errorf("first\n%s\nsecond\n%s", first, second)
		}
	}
}

// What a variable put into a command or a query is not shown: it may be a secret.
func TestPrintShowsVariablesAsWritten(t *testing.T) {
	c, _ := load(t, "seen:\n- command: {argv: [./have, --token, '${TOK}']}\n- query: {driver: sqlite, dsn: x.db, sql: \"SELECT '${TOK}' || ?\"}\n",
		environ{"TOK": "s3cret"})
	if c.Seen[0].Command.Argv[2] != "s3cret" || c.Seen[1].Query.SQL != "SELECT 's3cret' || ?" {
		t.Fatalf("%+v", c.Seen)
	}
	asJSON, err := c.RedactedJSON(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{printed(t, c), string(asJSON)} {
		if strings.Contains(text, "s3cret") || strings.Count(text, "${TOK}") != 2 {
			t.Errorf("it shows\n%s", text)
		}
	}
}

// TestSalvage: what is right beside a mistake is still there, and the mistake's
// own value is the default.
func TestSalvage(t *testing.T) {
	file := write(t, "config.yaml", "heygen: {page_size: 1000, entity_id: e}\nreceiver: {url: 'https://a.example/hook'}\n")
	c, _, err := config.Salvage(options(file, environ{}))
	if err == nil || c == nil {
		t.Fatalf("got %v, %v; want both", c, err)
	}
	if c.Heygen.PageSize != 100 || c.Heygen.EntityID != "e" || c.Receiver.URL != "https://a.example/hook" {
		t.Errorf("got %+v, %+v", c.Heygen, c.Receiver)
	}
	if c, _, err := config.Salvage(options(write(t, "config.yaml", "a: [\n"), environ{})); c != nil || err == nil {
		t.Errorf("what is no YAML gives %v, %v", c, err)
	}
}
