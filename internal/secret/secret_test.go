package secret

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const hidden = "whsec_do-not-print"

// TestNothingPrints shows a secret every way there is, by itself, behind a
// pointer, and as exported and unexported field of another struct.
func TestNothingPrints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, hidden)
	file := File(path)
	if _, err := file.Value(); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Secret{"text": Text(hidden), "file": file} {
		type config struct {
			Key    Secret
			key    Secret
			byName map[string]Secret
		}
		c := config{s, s, map[string]Secret{"a": s}}
		for i, value := range []any{s, &s, c, &c, []Secret{s}, c.byName} {
			for form, out := range everyForm(t, value) {
				checkHidden(t, fmt.Sprintf("%s, value %d, %s", name, i, form), out)
			}
		}
		if got := fmt.Sprintf("%v %+v %#v %q %s", s, s, s, s, s); got != strings.TrimSpace(strings.Repeat(redacted+" ", 5)) {
			t.Errorf("%s: a secret prints as %q", name, got)
		}
	}
}

func everyForm(t *testing.T, v any) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%T"} {
		out[verb] = fmt.Sprintf(verb, v)
	}
	text := func(form string, b []byte, err error) {
		out[form] = fmt.Sprint(string(b), err)
	}
	b, err := json.Marshal(v)
	text("json", b, err)
	b, err = xml.Marshal(v)
	text("xml", b, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
	out["slog"] = log.String()
	return out
}

func checkHidden(t *testing.T, where, out string) {
	t.Helper()
	hex := fmt.Sprintf("%x", hidden)
	for _, form := range []string{hidden, hex, strings.ToUpper(hex), fmt.Sprint([]byte(hidden))} {
		if strings.Contains(out, form) {
			t.Errorf("%s shows the secret", where)
		}
	}
}

func TestZero(t *testing.T) {
	for _, s := range []Secret{{}, Text(""), File("")} {
		v, err := s.Value()
		changed, refreshErr := s.Refresh()
		if v != "" || err != nil || changed || refreshErr != nil || !s.IsZero() || s.Source() != "" || s.String() != "" {
			t.Errorf("the zero Secret is %q, %v, %v, %v, source %q", v, err, changed, refreshErr, s.Source())
		}
	}
	if s := Text("x"); s.IsZero() || s.Source() != "text" {
		t.Errorf("a text has source %q", s.Source())
	}
	if s := File("/x"); s.IsZero() || s.Source() != "file /x" {
		t.Errorf("a file has source %q", s.Source())
	}
}

func TestFileContents(t *testing.T) {
	for _, tt := range []struct{ name, content, want, fault string }{
		{"plain", "key", "key", ""},
		{"newline", "key\n", "key", ""},
		{"CRLF", "key\r\n", "key", ""},
		{"newlines", "key\n\n", "key", ""},
		{"byte order mark", "\ufeffkey\r\n", "key", ""},
		{"spaces belong to it", " key \n", " key ", ""},
		{"empty", "", "", "is empty; write the secret into it"},
		{"only newlines", "\r\n\n", "", "is empty; write the secret into it"},
		{"UTF-16", "\xff\xfek\x00", "", "save it as plain text"},
		{"large", strings.Repeat("k", maxSize+1), "", "larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			write(t, path, tt.content)
			got, err := File(path).Value()
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			checkFault(t, err, path, tt.fault)
		})
	}
}

func TestFileFaults(t *testing.T) {
	dir := t.TempDir()
	_, err := File(filepath.Join(dir, "absent")).Value()
	checkFault(t, err, filepath.Join(dir, "absent"), "create it")
	_, err = File(dir).Value()
	checkFault(t, err, dir, "is a directory")
}

func checkFault(t *testing.T, err error, path, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("unexpected: %v", err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names %s and says %q", err, path, want)
	}
}

// TestFileIsReadAgain: when its time, its size or its identity changes, and by
// Refresh even when none of them does.
func TestFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	stamp := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	put := func(content string, at time.Time) {
		write(t, path, content)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	s := File(path)
	check := func(want string) {
		t.Helper()
		if got, err := s.Value(); got != want || err != nil {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	put("one", stamp)
	check("one")
	put("two", stamp.Add(time.Second))
	check("two")
	put("longer", stamp.Add(time.Second))
	check("longer")
	put("LONGER", stamp.Add(time.Second))
	check("longer") // nothing to see from outside
	for _, want := range []bool{true, false} {
		if changed, err := s.Refresh(); changed != want || err != nil {
			t.Fatalf("Refresh: %v, %v; want %v", changed, err, want)
		}
	}
	check("LONGER")

	other := path + ".new"
	write(t, other, "rename")
	if err := os.Chtimes(other, stamp.Add(time.Second), stamp.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	check("rename")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Value(); v != "" || err == nil {
		t.Fatalf("a secret that was taken away is still given: error %v", err)
	}
	put("back", stamp)
	check("back")
}

// TestPipe: what the shell's <(…) gives can be read only once.
func TestPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("piped\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	s := File(fmt.Sprintf("/proc/self/fd/%d", r.Fd()))
	for range 2 {
		if got, err := s.Value(); got != "piped" || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
		if changed, err := s.Refresh(); changed || err != nil {
			t.Fatalf("Refresh: %v, %v", changed, err)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
