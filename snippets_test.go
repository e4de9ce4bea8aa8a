package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
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
reconcile: {settle: 1m, start: beginning}
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
			pushedToHung(t, s, url, hung, admin)

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

// snippetPorts hands out ports from below those that the system gives to outgoing
// connections: what is free stays free until it is used.
type snippetPorts struct{ next atomic.Int64 }

func (p *snippetPorts) free(t *testing.T) (port string) {
	t.Helper()
	for range 1000 {
		port = fmt.Sprint(10000 + (int64(os.Getpid())*20+p.next.Add(1))%10000)
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close() // it took no connection
			return port
		}
	}
	t.Fatal("no free port between 10000 and 20000")
	return ""
}

// startReceiver starts a receiver with the snippet in it, which reports to that
// port, for as long as the test runs.
func startReceiver(t *testing.T, s snippet, admin string, ports *snippetPorts) (url string) {
	t.Helper()
	for command, packages := range s.needs {
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			missing(t, fmt.Sprintf("%s: apt-get install %s\n%s", s.name, packages, out))
		}
	}
	dir, port := layOut(t, s, admin), ports.free(t)
	env := append(os.Environ(), "PORT="+port, "SECRET="+hookSecret, "WORK="+dir, "SNIPPET="+filepath.Join(dir, filepath.Base(s.file)),
		"NODE_PATH=/usr/share/nodejs", "PYTHONDONTWRITEBYTECODE=1")
	if s.run == nil {
		return serve(t, &cgi.Handler{Path: "/bin/sh", Args: []string{"server.sh"}, Dir: dir, Env: env}) + "/webhooks/heygen"
	}
	program := &said{}
	cmd := exec.CommandContext(t.Context(), s.run[0], s.run[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, program, program
	runWhile(t, cmd, program)
	until(t, 60*time.Second, "the receiver listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		return err == nil && c.Close() == nil
	})
	return "http://127.0.0.1:" + port + "/webhooks/heygen"
}

// runWhile runs a program until the test ends, and shows what it said if that failed.
func runWhile(t *testing.T, cmd *exec.Cmd, program *said) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the context has done so, or it has ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the receiver said:\n%s", program.tail())
		}
	})
}

// layOut puts the snippet and the receiver around it in a directory, with another port of backstop's.
func layOut(t *testing.T, s snippet, admin string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata/snippets", s.name))); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Base(s.file), strings.ReplaceAll(read(t, "docs/snippets/"+s.file), "8710", admin))
	switch s.name {
	case "nextjs":
		write("package.json", `{"type":"module"}`)
		write("node_modules/next/package.json", `{"type":"module","exports":{"./server":"./server.js"}}`)
		write("node_modules/next/server.js", read(t, "testdata/snippets/nextjs/after.mjs"))
	case "go":
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", "receiver", "report.go", "main.go")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	return dir
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

// pushedToHung sends a push while backstop takes connections and answers nothing.
func pushedToHung(t *testing.T, s snippet, url string, e simulate.Event, admin string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+admin)
	if err != nil {
		t.Fatal(err)
	}
	gaveUp := make(chan struct{})
	go func() {
		defer close(gaveUp)
		c, err := l.Accept()
		if err != nil {
			return // nobody came
		}
		_, _ = io.Copy(io.Discard, c) // until the reporter has had enough
		_ = c.Close()
	}()
	pushed(t, url, e, hookSecret, false)
	select {
	case <-gaveUp:
		if !s.waits {
			t.Error("the answer waited for backstop")
		}
	default:
	}
	select {
	case <-gaveUp:
	case <-time.After(20 * time.Second):
		t.Error("the report does not give up")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// pairedSite is a running backstop and the site it runs in.
type pairedSite struct{ *site }

// pairedWith starts backstop beside a receiver that reports to that port.
func pairedWith(t *testing.T, binary string, heygen *simulate.World, url, admin string) pairedSite {
	t.Helper()
	config := strings.NewReplacer("LISTING", serve(t, heygen.Handler()), "RECEIVER", url, "ADMIN", "127.0.0.1:"+admin).Replace(snippetConfig)
	s := newSite(t, binary, strings.ReplaceAll(config, "${HEYGEN_API_KEY}", killKey), "HEYGEN_WEBHOOK_SECRET="+hookSecret)
	daemon := s.start(nil, "run")
	t.Cleanup(func() { daemon.kill() })
	until(t, 30*time.Second, "backstop listens", func() bool {
		resp, err := http.Get("http://127.0.0.1:" + admin + "/healthz")
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	return pairedSite{s}
}

// sees waits until an event is seen, with that proof.
func (p pairedSite) sees(id, proof string) {
	p.t.Helper()
	var e struct{ Status, Proof, Reason string }
	defer func() {
		if p.t.Failed() {
			p.t.Logf("%s: %+v\n%s", id, e, p.said.tail())
		}
	}()
	until(p.t, 60*time.Second, id+" is seen", func() bool {
		out, _ := p.run("", "explain", id, "--json")
		return json.Unmarshal([]byte(out), &e) == nil && e.Status == "seen"
	})
	if e.Proof != proof {
		p.t.Errorf("%s is seen with proof %q, want %q: %s", id, e.Proof, proof, e.Reason)
	}
}
