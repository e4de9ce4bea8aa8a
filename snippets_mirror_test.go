package main_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backstop/internal/simulate"
)

// mirrored is what came to the place of POST /v1/mirror.
type mirrored struct{ path, body, id, signature, legacy, stamp string }

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
		came <- mirrored{r.URL.Path, string(body), r.Header.Get("Heygen-Event-Id"), r.Header.Get("Heygen-Signature"), r.Header.Get("Signature"), r.Header.Get("Heygen-Timestamp")}
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

// The copy of a push is the push: its body byte for byte, and the headers that say whose it is, also where it has but the
// legacy signature.
func TestMirrorSnippets(t *testing.T) {
	heygen, ports := simulate.New(simulate.Options{Seed: 29}), &snippetPorts{}
	e := made(t, heygen, 0)
	body := string(bodyOf(t, e))
	digest := simulate.Sign(hookSecret, []byte(body))
	named := mirrored{path: "/v1/mirror", body: body, id: e.ID, signature: digest, stamp: "1767225600"}
	anonymous := mirrored{path: "/v1/mirror", body: body, legacy: digest}
	for name, start := range map[string]func(t *testing.T, port string) pusher{"express": mirrorByExpress(e, ports), "curl": mirrorByCurl} {
		t.Run(name, func(t *testing.T) {
			port := ports.free(t)
			came := mirrorOn(t, port)
			push := start(t, port)
			for _, want := range []mirrored{named, anonymous} {
				push(t, want)
				select {
				case got := <-came:
					if got.stamp != "" && want.stamp != "" {
						got.stamp = want.stamp // that of Express is now
					}
					if got != want {
						t.Errorf("the copy is\n%+v\nwant\n%+v", got, want)
					}
				case <-time.After(30 * time.Second):
					t.Fatal("no copy came")
				}
			}
		})
	}
}

// pusher has a push, and so its copy, sent.
type pusher func(t *testing.T, m mirrored)

func mirrorByExpress(e simulate.Event, ports *snippetPorts) func(*testing.T, string) pusher {
	return func(t *testing.T, port string) pusher {
		s := snippets()[1]
		s.file = "mirror/webhook.js"
		url := startReceiver(t, s, port, ports)
		return func(t *testing.T, m mirrored) { pushed(t, url, e, hookSecret, m.id == "") }
	}
}

func mirrorByCurl(t *testing.T, port string) pusher {
	needCurl(t)
	return func(t *testing.T, m mirrored) {
		if said := curlCopy(t, port, m); said != "" {
			t.Errorf("it said %s", said)
		}
	}
}

func needCurl(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		missing(t, "curl: apt-get install curl")
	}
}

// curlCopy runs the script, which never fails, and gives what it says on its standard error.
func curlCopy(t *testing.T, port string, m mirrored) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "push.json"), []byte(m.body), 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(read(t, "docs/snippets/mirror/mirror.sh"), "8710", port))
	cmd.Dir, cmd.Stderr = dir, &said
	cmd.Env = append(os.Environ(), "id="+m.id, "signature="+m.signature, "legacy="+m.legacy, "timestamp="+m.stamp)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	return said.String()
}

// A copy that is refused says so on standard error, where a person or a journal finds it.
func TestMirrorByCurlTellsOfARefusal(t *testing.T) {
	needCurl(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer refusing.Close()
	_, port, err := net.SplitHostPort(refusing.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if said := curlCopy(t, port, mirrored{body: "{}"}); !strings.Contains(said, "401") {
		t.Errorf("it said %q", said)
	}
}
