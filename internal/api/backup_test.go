package api

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// A copy that does not come whole is an error, whichever way it is short.
func TestATornBackupIsNoticed(t *testing.T) {
	whole := bytes.Repeat([]byte("page"), 10_000)
	sum := sha256.Sum256(whole)
	for name, c := range map[string]struct {
		send   []byte
		length string
		says   string
	}{
		"whole":              {whole, "40000", ""},
		"whole, no length":   {whole, "", ""},
		"ended early":        {whole[:30_000], "40000", "it ended early"},
		"short, no length":   {whole[:30_000], "", "30000 bytes that are not the whole copy"},
		"changed on the way": {append(bytes.Clone(whole[:39_999]), 'x'), "40000", "not the whole copy"},
	} {
		t.Run(name, func(t *testing.T) {
			client := behindSocket(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.length != "" {
					w.Header().Set("Content-Length", c.length)
				}
				w.Header().Set(headerDigest, digest(sum[:]))
				w.Header().Set(headerGeneration, "7")
				_, _ = w.Write(c.send)
			})
			var got bytes.Buffer
			b, err := client.StateBackup(t.Context(), &got)
			if c.says == "" {
				if err != nil || b != (Backup{Size: 40_000, Generation: 7}) || !bytes.Equal(got.Bytes(), whole) {
					t.Errorf("%+v, %v", b, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v, want %q", err, c.says)
			}
		})
	}
}

// An answer of something else is no copy; a file that can't be written is not the
// daemon's fault.
func TestABackupOfSomethingElse(t *testing.T) {
	client := behindSocket(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })
	if _, err := client.StateBackup(t.Context(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "no copy of a state") {
		t.Errorf("it says %v", err)
	}
	full := errors.New("no space left on device")
	client = behindSocket(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(headerGeneration, "7")
		_, _ = w.Write([]byte("page"))
	})
	if _, err := client.StateBackup(t.Context(), &noted{to: failing{full}}); !errors.Is(err, full) || !strings.Contains(err.Error(), "see that there is room") {
		t.Errorf("it says %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// behindSocket makes a client of a daemon that answers so.
func behindSocket(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(answer)
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	client := Dial(socket)
	t.Cleanup(func() { _ = client.Close() })
	return client
}
