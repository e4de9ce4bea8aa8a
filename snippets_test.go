package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backstop/internal/simulate"
)

// snippet is a piece of code from docs/snippets and how to run it inside a receiver.
type snippet struct {
	name  string
	file  string            // below docs/snippets
	needs map[string]string // a command that works where the snippet can run, and the Debian packages that it needs
	run   []string          // starts testdata/snippets/…, where it is a program; $DIR is a copy
	waits bool              // its answer waits for backstop, two seconds at most
}

func snippets() []snippet {
	return []snippet{
		{name: "go", file: "go/report.go", run: []string{"./receiver"}},
		{name: "express", file: "express/webhook.js", run: []string{"node", "server.js"}, needs: map[string]string{
			"NODE_PATH=/usr/share/nodejs node -e 'fetch; require(\"express\")'": "nodejs node-express"}},
		{name: "nextjs", file: "nextjs/route.js", run: []string{"node", "server.mjs"}, needs: map[string]string{"node -e fetch": "nodejs"}},
		{name: "fastapi", file: "fastapi/webhook.py", run: []string{"/usr/bin/python3", "server.py"}, needs: map[string]string{
			"/usr/bin/python3 -c 'import fastapi, uvicorn'": "python3-fastapi python3-uvicorn"}},
		{name: "flask", file: "flask/webhook.py", run: []string{"/usr/bin/python3", "server.py"}, needs: map[string]string{
			"/usr/bin/python3 -c 'import flask'": "python3-flask"}},
		{name: "php", file: "php/webhook.php", run: []string{"sh", "-c", `exec php -S 127.0.0.1:"$PORT" server.php`}, waits: true,
			needs: map[string]string{"php -v": "php-cli"}},
		{name: "ruby", file: "ruby/webhook.rb", run: []string{"ruby", "server.rb"}, needs: map[string]string{
			"ruby -e 'require \"sinatra/base\"; require \"puma\"'": "ruby ruby-sinatra puma"}},
		{name: "curl", file: "curl/report.sh", needs: map[string]string{"curl --version && openssl version": "curl openssl"}},
	}
}

const snippetConfig = `
heygen: {base_url: LISTING, api_key: "${HEYGEN_API_KEY}", rate: 0}
receiver: {url: RECEIVER, secret: "${HEYGEN_WEBHOOK_SECRET}"}
schedule: {poll: "@every 1s"}
reconcile: {settle: 5m, start: beginning}
replay: {rate: 0, backoff_min: 50ms, backoff_max: 200ms}
state: {path: DIR/backstop.db}
control: DIR/control.sock
admin: {listen: ADMIN}
`

// Each snippet, pasted in a receiver, reports what was pushed with an id and without one. Where backstop is not there, or
// never answers, the push gets its 2xx all the same; what could not be reported costs one replay.
func TestSnippets(t *testing.T) {
	binary, ports := build(t), &snippetPorts{}
	for _, s := range snippets() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			admin := ports.free(t)
			url := startReceiver(t, s, admin, ports)
			heygen := simulate.New(simulate.Options{Seed: 23, APIKey: killKey})

			absent := made(t, heygen, 10*time.Minute)
			pushed(t, url, absent, hookSecret, false)
			hung := made(t, heygen, 9*time.Minute)
			if !answersFirst(t, url, hung, admin) && !s.waits {
				t.Error("the answer waits for backstop")
			}

			daemon := pairedWith(t, binary, heygen, url, admin)
			unsigned := made(t, heygen, 8*time.Minute)
			if status := post(t, url, unsigned, "whsec_wrong", false); status < 300 {
				t.Errorf("a push with a wrong signature is answered %d", status)
			}
			for _, anonymous := range []bool{false, true} {
				e := made(t, heygen, 0)
				pushed(t, url, e, hookSecret, anonymous)
				daemon.sees(e.ID, "report")
			}
			for _, e := range []simulate.Event{absent, hung, unsigned} {
				daemon.sees(e.ID, "replay")
			}
		})
	}
}

// A snippet is short, and the pages show it as it is.
func TestSnippetsAreShownAsTheyAre(t *testing.T) {
	pages := map[string]string{"docs/pairing.md": read(t, "docs/pairing.md"), "README.md": read(t, "README.md")}
	files, err := filepath.Glob("docs/snippets/*/*")
	if err != nil || len(files) < len(snippets()) {
		t.Fatalf("snippets: %v, %v", files, err)
	}
	for _, file := range files {
		text := pasted(read(t, file))
		if lines := strings.Count(text, "\n"); lines >= 15 {
			t.Errorf("%s has %d lines, want fewer than 15", file, lines)
		}
		if !strings.Contains(pages["docs/pairing.md"], "\n"+text+"```\n") {
			t.Errorf("docs/pairing.md does not show %s as it is", file)
		}
	}
	for _, file := range []string{"curl/report.sh", "express/webhook.js"} {
		if !strings.Contains(pages["README.md"], "\n"+read(t, "docs/snippets/"+file)+"```\n") {
			t.Errorf("README.md does not show %s as it is", file)
		}
	}
}

// pasted is the part of a file that is pasted: all of it, but in Go what lies
// below the imports, which editors write.
func pasted(text string) string {
	if _, below, found := strings.Cut(text, "\n)\n\n"); found && strings.Contains(text, "\npackage main\n") {
		return below
	}
	return text
}

// made is a new event, whose push the test sends.
func made(t *testing.T, heygen *simulate.World, age time.Duration) simulate.Event {
	t.Helper()
	e, err := heygen.Create(simulate.Recipe{Type: "avatar_video.success", Created: time.Now().Add(-age), Push: simulate.NoPush})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// pushed sends a push that is answered with 2xx.
func pushed(t *testing.T, url string, e simulate.Event, secret string, anonymous bool) {
	t.Helper()
	if status := post(t, url, e, secret, anonymous); status < 200 || status > 299 {
		t.Fatalf("the push is answered %d", status)
	}
}

// post sends the push of an event as HeyGen does; an anonymous one has the legacy
// signature alone.
func post(t *testing.T, url string, e simulate.Event, secret string, anonymous bool) (status int) {
	t.Helper()
	body := bodyOf(t, e)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if anonymous {
		r.Header.Set("Signature", simulate.Sign(secret, body))
	} else {
		r.Header.Set("Heygen-Signature", simulate.Sign(secret, body))
		r.Header.Set("Heygen-Timestamp", fmt.Sprint(time.Now().Unix()))
		r.Header.Set("Heygen-Event-Id", e.ID)
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}} // HeyGen waits so long
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// bodyOf is the body of an event's push.
func bodyOf(t *testing.T, e simulate.Event) []byte {
	t.Helper()
	var packed bytes.Buffer
	if err := json.Compact(&packed, e.Data); err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, `{"event_type":%q,"event_data":%s}`, e.Type, packed.Bytes())
}

// answersFirst reports whether a push is answered before the report is given up,
// to a backstop that takes connections and answers nothing. The report has two
// seconds: on a busy machine the answer may take as long, but not each time.
func answersFirst(t *testing.T, url string, e simulate.Event, admin string) (first bool) {
	t.Helper()
	for range 3 {
		report := hang(t, admin)
		pushed(t, url, e, hookSecret, false)
		select {
		case c := <-report:
			first = !closedWithin(t, c, 50*time.Millisecond)
			if !closedWithin(t, c, 30*time.Second) {
				t.Error("the report is not given up")
			}
			_ = c.Close() // nothing was written
		case <-time.After(30 * time.Second):
			t.Fatal("no report came")
		}
		if first {
			break
		}
	}
	return first
}

// hang takes one connection on that port.
func hang(t *testing.T, port string) <-chan net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // it is closed already where somebody came
	came := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		_ = l.Close() // one is enough
		if err == nil {
			came <- c
		}
	}()
	return came
}

// closedWithin reads until the other side has closed the connection.
func closedWithin(t *testing.T, c net.Conn, limit time.Duration) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, c)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// pairedSite is a running backstop and the site it runs in.
type pairedSite struct{ *site }

// pairedWith starts backstop beside a receiver that reports to that port.
func pairedWith(t *testing.T, binary string, heygen *simulate.World, url, admin string) pairedSite {
	t.Helper()
	config := strings.NewReplacer("LISTING", serve(t, heygen.Handler()), "RECEIVER", url, "ADMIN", "127.0.0.1:"+admin).Replace(snippetConfig)
	s := newSite(t, binary, strings.ReplaceAll(config, "${HEYGEN_API_KEY}", killKey), "HEYGEN_WEBHOOK_SECRET="+hookSecret)
	daemon := s.start(nil, "run")
	t.Cleanup(func() {
		daemon.kill()
		if t.Failed() {
			t.Logf("backstop said:\n%s", s.said.tail())
		}
	})
	until(t, 60*time.Second, "backstop listens", func() bool {
		resp, err := http.Get("http://127.0.0.1:" + admin + "/healthz")
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	return pairedSite{s}
}

// sees waits until an event is seen, with that proof.
func (p pairedSite) sees(id, proof string) {
	p.t.Helper()
	var e struct{ Status, Proof, Reason string }
	until(p.t, 60*time.Second, id+" is seen", func() bool {
		out, _ := p.run("", "explain", id, "--json")
		return json.Unmarshal([]byte(out), &e) == nil && e.Status == "seen"
	})
	if e.Proof != proof {
		p.t.Errorf("%s is seen with proof %q, want %q: %s", id, e.Proof, proof, e.Reason)
	}
}
