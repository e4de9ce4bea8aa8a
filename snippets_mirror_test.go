package main_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backstop/internal/simulate"
)

// mirrored is what came to the place of POST /v1/mirror.
type mirrored struct{ path, body, id, signature, stamp string }

// mirrorOn listens on that port for copies of pushes, until the test ends.
func mirrorOn(t *testing.T, port string) <-chan mirrored {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan mirrored, 4)
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a body that broke off is found to be another one
		came <- mirrored{r.URL.Path, string(body), r.Header.Get("Heygen-Event-Id"), r.Header.Get("Heygen-Signature"), r.Header.Get("Heygen-Timestamp")}
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l) // until it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return came
}

// The copy of a push is the push: its body byte for byte, and the headers that say whose it is.
func TestMirrorSnippets(t *testing.T) {
	heygen, ports := simulate.New(simulate.Options{Seed: 29}), &snippetPorts{}
	e := made(t, heygen, 0)
	body := string(bodyOf(t, e))
	want := mirrored{path: "/v1/mirror", body: body, id: e.ID, signature: simulate.Sign(hookSecret, []byte(body))}
	for name, push := range map[string]func(t *testing.T, port string){"express": mirrorByExpress(e, ports), "curl": mirrorByCurl(want)} {
		t.Run(name, func(t *testing.T) {
			port := ports.free(t)
			came := mirrorOn(t, port)
			push(t, port)
			select {
			case got := <-came:
				if stamp := got.stamp; stamp == "" {
					t.Error("the copy has no Heygen-Timestamp")
				}
				got.stamp = ""
				if got != want {
					t.Errorf("the copy is\n%+v\nwant\n%+v", got, want)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("no copy came")
			}
		})
	}
}

func mirrorByExpress(e simulate.Event, ports *snippetPorts) func(*testing.T, string) {
	return func(t *testing.T, port string) {
		s := snippets()[1]
		s.file = "mirror/webhook.js"
		pushed(t, startReceiver(t, s, port, ports), e, hookSecret, false)
	}
}

func mirrorByCurl(m mirrored) func(*testing.T, string) {
	return func(t *testing.T, port string) {
		if _, err := exec.LookPath("curl"); err != nil {
			missing(t, "curl: apt-get install curl")
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "push.json"), []byte(m.body), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(read(t, "docs/snippets/mirror/mirror.sh"), "8710", port))
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "id="+m.id, "signature="+m.signature, "timestamp=1767225600")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}
