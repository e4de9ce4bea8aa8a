package config_test

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"backstop/internal/config"
)

// FuzzLoad: whatever the file holds, Load ends with a Config that prints and
// reads back as the same one, or with *Errors of which every line has its place
// and what to do. No message quotes a secret, nor what came from the environment.
func FuzzLoad(f *testing.F) {
	text, err := os.ReadFile(manual)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(setting.ReplaceAllString(string(text), "$1$2")))
	for _, seed := range []string{
		everySecret, "", "\t", "---\n---\n", "a: &a [*a]\n", "<<: {}\n", "? {}\n: {}\n", "heygen: !!map {}\n", "seen: [{}, ~, [], {report: ~}]\n",
		"heygen: {timeout: 1.5w, api_key: '${A}${B:-}$$'}\n", "receiver: {url: 'http://[::1%25eth0]:80/?#', secret: |\n  a\n  b\n}\n", "\xef\xbb\xbflog: {}\n", "\xff\xfel\x00",
		"admin: {listen: ':::', hosts: ['[::1]']}\n", "state: {max_size: 9223372036854775807B}\n", "\"\\n\": 1\n", "log: {level: \"a\\nb\"}\n",
		"heygen: {api_key: '${KEY}', rate: 1e-3, event_types: ['${KEY}']}\nadmin: {token: '${KEY}'}\n", "replay: {rate: '${KEY}', backoff_min: 1h2m3.5s}\n",
		"receiver: {secret: ['${KEY}', b], headers: {x-a: '${KEY}', X-A: b}, url: 'https://h/${KEY}?${KEY}'}\n", "schedule: {poll: never, timezone: America/Nuuk}\n",
		"reconcile: {start: '2026-01-31T12:00:00+05:45', lookback: 90061s, settle: 0}\n", "heygen: {api_key_file: /nowhere, access_token: '${UNSET}'}\n",
		"receiver: {secret_file: [/nowhere, /dev/null]}\nstate: {path: '${UNSET:-a b}', max_size: 16.5MiB}\n", "control: ${KEY}\nheygen: {base_url: '${KEY}'}\n",
	} {
		f.Add([]byte(seed))
	}
	file := write(f, "config.yaml", "")
	f.Fuzz(func(t *testing.T, text []byte) {
		inlineIsNotQuoted(t, file, string(text))
		c, warnings, err := loadOver(t, file, string(text), environ{"A": "x: [", "KEY": fromEnvironment})
		neverQuoted(t, warningText(warnings))
		if err != nil {
			everyLineHelps(t, file, string(text), err)
			return
		}
		if err := c.Need(); err != nil {
			everyLineHelps(t, file, string(text), err)
			return
		}
		printsNoSecret(t, c)
		readsBack(t, c, file)
	})
}

// fromEnvironment is what the variable KEY holds: messages quote a value as it
// is written in the file, never what came in for it.
const fromEnvironment = "S3CRET-from-the-environment"

// loadOver is Load of the file with a new text in it.
func loadOver(t *testing.T, file, text string, env environ) (*config.Config, []config.Warning, error) {
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(options(file, env))
}

// inlineIsNotQuoted: whatever stands before a secret in the file, no message
// quotes it.
func inlineIsNotQuoted(t *testing.T, file, text string) {
	const inline = "S3CRET-in-the-file"
	_, warnings, err := loadOver(t, file, text+"\nadmin:\n  token: "+inline+"\n", environ{})
	if message := fmt.Sprint(err, warningText(warnings)); strings.Contains(message, inline) && !strings.Contains(text, inline) {
		t.Errorf("a secret in the file is quoted: %q", message)
	}
}

func neverQuoted(t *testing.T, message string) {
	if strings.Contains(message, fromEnvironment) {
		t.Errorf("a value of the environment is quoted: %q", message)
	}
}

var (
	placed = regexp.MustCompile(`^:([0-9]+):([0-9]+): .+`)
	remedy = regexp.MustCompile(`write |remove |keep |check |did you mean |known here|it knows |begin a new item|set it|create it|it should hold|save it as|make it readable|name the file|name a readable|leave them out`)
)

// everyLineHelps: each mistake is one line with a place inside the file, and
// says what would be right.
func everyLineHelps(t *testing.T, file, text string, err error) {
	list, ok := errors.AsType[*config.Errors](err)
	if !ok || len(list.Mistakes) == 0 || strings.Count(err.Error(), "\n") != len(list.Mistakes)-1 {
		t.Fatalf("%T with as many lines as mistakes, want *Errors: %v", err, err)
	}
	neverQuoted(t, err.Error())
	lines := strings.Count(text, "\n") + strings.Count(text, "\r") + strings.Count(text, "\u0085") + strings.Count(text, "\u2028") + strings.Count(text, "\u2029") + 1
	for line := range strings.SplitSeq(err.Error(), "\n") {
		at, ok := strings.CutPrefix(line, file)
		place := placed.FindStringSubmatch(at)
		if !ok || place == nil || !utf8.ValidString(line) || strings.ContainsFunc(line, isControl) {
			t.Errorf("a line without its place, or not fit to be shown: %q", line)
			continue
		}
		if row, _ := strconv.Atoi(place[1]); row < 1 || row > lines || place[2] == "0" {
			t.Errorf("outside of the %d lines: %q", lines, line)
		}
		if !remedy.MatchString(line) {
			t.Errorf("it does not say what would be right: %q", line)
		}
	}
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

// printsNoSecret looks for what came from the environment as a secret; where it
// is part of a plain value too, there is nothing to tell.
func printsNoSecret(t *testing.T, c *config.Config) {
	plain := *c
	plain.Receiver.URL, _, _ = strings.Cut(plain.Receiver.URL, "?")
	if strings.Contains(fmt.Sprintf("%+v", plain), fromEnvironment) {
		return
	}
	asJSON, err := c.RedactedJSON(false)
	if err != nil {
		t.Fatal(err)
	}
	neverQuoted(t, printed(t, c)+string(asJSON))
}

// readsBack: what is printed is the same configuration, but for its secrets.
func readsBack(t *testing.T, c *config.Config, file string) {
	text, err := c.RedactedWithURLs()
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := loadOver(t, file, string(text), environ{})
	if err != nil {
		t.Fatalf("what was printed does not read back: %v\n%s", err, text)
	}
	for _, c := range []*config.Config{c, again} {
		if len(c.Seen) == 0 { // nil or empty: no source
			c.Seen = nil
		}
	}
	h, h2 := c.Heygen, again.Heygen
	h.APIKey, h.AccessToken, h2.APIKey, h2.AccessToken = again.Heygen.APIKey, again.Heygen.AccessToken, again.Heygen.APIKey, again.Heygen.AccessToken
	if len(h.EventTypes)+len(h2.EventTypes) == 0 {
		h.EventTypes, h2.EventTypes = nil, nil
	}
	for _, pair := range [][2]any{
		{h, h2}, {c.Receiver.URL, again.Receiver.URL}, {c.Receiver.Body, again.Receiver.Body}, {c.Receiver.Timeout, again.Receiver.Timeout},
		{len(c.Receiver.Secrets), len(again.Receiver.Secrets)}, {len(c.Receiver.Headers), len(again.Receiver.Headers)},
		{c.Schedule.Poll, again.Schedule.Poll}, {c.Schedule.Sweep, again.Schedule.Sweep}, {c.Schedule.Timezone.String(), again.Schedule.Timezone.String()},
		{c.Reconcile, again.Reconcile}, {c.Seen, again.Seen}, {c.Replay, again.Replay}, {c.State, again.State}, {c.Control, again.Control},
		{c.Admin.Listen, again.Admin.Listen}, {fmt.Sprint(c.Admin.Hosts), fmt.Sprint(again.Admin.Hosts)}, {c.Log, again.Log}, {c.Admin.Token.IsZero(), again.Admin.Token.IsZero()},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%+v reads back as %+v\n%s", pair[0], pair[1], text)
		}
	}
	if text2, err := again.RedactedWithURLs(); err != nil || string(text2) != string(text) {
		t.Errorf("printed\n%s\nand then\n%s\n%v", text, text2, err)
	}
}
