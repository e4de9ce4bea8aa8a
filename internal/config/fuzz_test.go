package config_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"backstop/internal/config"
)

// Whatever the file holds, Load ends with a Config that prints and reads back,
// or with *Errors whose every line names the file.
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
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file := write(t, "config.yaml", string(text))
		c, _, err := config.Load(options(file, environ{"A": "x: ["}))
		if err != nil {
			list, ok := errors.AsType[*config.Errors](err)
			if !ok || len(list.Mistakes) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, file+":") {
					t.Fatalf("a line without its file: %q", line)
				}
			}
			return
		}
		if _, err := c.RedactedJSON(false); err != nil {
			t.Fatal(err)
		}
		if c.Need() == nil {
			if _, _, err := config.Load(options(write(t, "config.yaml", printed(t, c)), environ{})); err != nil {
				t.Fatalf("what was printed does not read back: %v\n%s", err, printed(t, c))
			}
		}
	})
}
