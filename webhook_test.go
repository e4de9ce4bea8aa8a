package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backstop/internal/receiver"
	"backstop/internal/simulate"
)

const hookSecret = "whsec_hook_5e0d2b"

// hooks is how a user would point adnanh/webhook at HeyGen. Left to itself it
// answers 500 to a wrong signature, as if it were broken (it is soft about it only
// inside an "or"), and 200 to a request that breaks another rule, as if it had
// taken it.
const hooks = `[{
	"id": "heygen",
	"execute-command": %q,
	"pass-arguments-to-command": [
		{"source": "header", "name": "Heygen-Event-Id"},
		{"source": "raw-request-body"}
	],
	"include-command-output-in-response": true,
	"trigger-rule-mismatch-http-response-code": %d,
	"trigger-signature-soft-failures": %t,
	"trigger-rule": {"and": [
		{"or": [{"match": {"type": "payload-hmac-sha256", "secret": %q, "parameter": {"source": "header", "name": "Heygen-Signature"}}}]},
		{"match": {"type": "regex", "regex": "^evt_[0-9a-f]+$", "parameter": {"source": "header", "name": "Heygen-Event-Id"}}}
	]}
}]`

// keep is the command behind the hook: a file for each event, named by its id.
const keep = "#!/bin/sh\nset -eu\nprintf %%s \"$2\" >%q/\"$1\"\n"

const hookConfig = `
heygen:
  base_url: LISTING
  api_key: ${HEYGEN_API_KEY}
  rate: 0
receiver:
  url: RECEIVER
  secret: ${HEYGEN_WEBHOOK_SECRET}
reconcile:
  settle: 0s
  start: beginning
replay:
  rate: 0
  backoff_min: 50ms
  backoff_max: 200ms
state:
  path: DIR/backstop.db
control: DIR/control.sock
admin:
  listen: ""
`

// A receiver that nobody of this project wrote accepts what a replay brings, and
// gets the event byte for byte.
func TestWebhookTakesReplays(t *testing.T) {
	hook := startHook(t, http.StatusForbidden)
	heygen, s := hookSite(t, hook.url, hookSecret, 20)
	s.must("", "reconcile", "--wait", "--timeout", "30s")
	for _, id := range heygen.Listed() {
		e, _ := heygen.Event(id)
		want := fmt.Sprintf(`{"event_type":%q,"event_data":%s}`, e.Type, e.Data)
		got, err := os.ReadFile(filepath.Join(hook.dir, id))
		if err != nil || string(got) != want {
			t.Errorf("the hook got for %s (%v):\n%s\nwant\n%s", id, err, got, want)
		}
	}
	if status := statusOf(t, s); status.Counts["seen"] != len(heygen.Listed()) || !status.Clean {
		t.Errorf("status: %+v", status)
	}
}

// With a wrong secret the hook refuses. What it refuses with decides whether
// that is told of the receiver or of each event.
func TestWebhookRefusesAWrongSecret(t *testing.T) {
	tests := []struct {
		name          string
		answer        int
		events        int
		misconfigured bool
		dead          int
		code          int
	}{
		{name: "403 is about the receiver", answer: http.StatusForbidden, events: 1, misconfigured: true, code: 5},
		{name: "400 of one event is about the event", answer: http.StatusBadRequest, events: 1, dead: 1, code: 5},
		{name: "400 of three events in a row is about the receiver", answer: http.StatusBadRequest, events: 5, misconfigured: true, code: 5},
		{name: "500 is an outage, which kills nothing", answer: http.StatusInternalServerError, events: 2, code: 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hook := startHook(t, tt.answer)
			heygen, s := hookSite(t, hook.url, "whsec_wrong", tt.events)
			if out, code := s.run("", "reconcile", "--wait", "--timeout", "3s"); code != tt.code {
				t.Errorf("reconcile: exit %d, want %d\n%s\n%s", code, tt.code, out, s.said.tail())
			}
			if why := s.must("", "explain", heygen.Listed()[0]); !strings.Contains(why, fmt.Sprint("HTTP ", tt.answer)) {
				t.Errorf("explain tells no answer %d:\n%s", tt.answer, why)
			}
			status := statusOf(t, s)
			if told := status.Receiver.Misconfigured; (told != "") != tt.misconfigured ||
				tt.misconfigured && !strings.Contains(told, fmt.Sprint(tt.answer)) {
				t.Errorf("misconfigured: %q, want that: %v", told, tt.misconfigured)
			}
			if status.Counts["dead"] != tt.dead || status.Counts["seen"] != 0 || status.Clean {
				t.Errorf("status: %+v", status)
			}
			if files, err := os.ReadDir(hook.dir); err != nil || len(files) > 0 {
				t.Errorf("the hook ran for %v, %v", files, err)
			}
		})
	}
}

// hookSite is a HeyGen that lists n events whose pushes got lost, and a backstop
// that knows it is paired.
func hookSite(t *testing.T, receiverURL, secret string, n int) (*simulate.World, *site) {
	heygen := simulate.New(simulate.Options{Seed: 7, Events: n, Span: time.Hour, APIKey: killKey})
	config := strings.NewReplacer("LISTING", serve(t, heygen.Handler()), "RECEIVER", receiverURL).Replace(hookConfig)
	s := newSite(t, build(t), config, "HEYGEN_API_KEY="+killKey, "HEYGEN_WEBHOOK_SECRET="+secret)
	s.must("", "seen", "add", "evt_of_another_time")
	return heygen, s
}

// told is the part of `backstop status --json` that is looked at.
type told struct {
	Clean    bool           `json:"clean"`
	Verdict  string         `json:"verdict"`
	Counts   map[string]int `json:"counts"`
	Receiver struct {
		Misconfigured string `json:"misconfigured"`
	} `json:"receiver"`
}

func statusOf(t *testing.T, s *site) told {
	t.Helper()
	var status told
	out := s.must("", "status", "--json")
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatalf("status --json: %v\n%s", err, out)
	}
	return status
}

// hook is a running webhook; dir is where its command keeps what came.
type hook struct{ url, dir string }

// startHook starts Debian's webhook with the rules and the answer to what breaks
// them, for as long as the test runs.
func startHook(t *testing.T, mismatch int) hook {
	t.Helper()
	program, err := exec.LookPath("webhook")
	if err != nil {
		missing(t, "webhook is not installed: apt-get install webhook")
	}
	dir, kept := t.TempDir(), t.TempDir()
	command, rules := filepath.Join(dir, "keep"), filepath.Join(dir, "hooks.json")
	if err := errors.Join(
		os.WriteFile(command, fmt.Appendf(nil, keep, kept), 0o700),
		os.WriteFile(rules, fmt.Appendf(nil, hooks, command, mismatch, mismatch != http.StatusInternalServerError, hookSecret), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	for range 5 { // the port may be taken between the look and the start
		if address, ok := tryHook(t, program, rules); ok {
			return hook{url: "http://" + address + "/hooks/heygen", dir: kept}
		}
	}
	t.Fatal("webhook did not start on any of five ports")
	return hook{}
}

func tryHook(t *testing.T, program, rules string) (address string, ok bool) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	host, port, _ := net.SplitHostPort(address)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-hooks", rules, "-ip", host, "-port", port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		_ = cmd.Wait() // it is killed with the test, or found no port
	}()
	t.Cleanup(func() { <-ended })
	for ctx.Err() == nil {
		if resp, err := http.Get("http://" + address + "/"); err == nil {
			return address, resp.Body.Close() == nil
		}
		pause(ctx, 20*time.Millisecond)
	}
	return "", false
}

// Nothing that backstop says, at its most talkative and with everything going
// wrong, holds a key, a secret, a token, a cursor or the signature of a link.
func TestSecretsStayInside(t *testing.T) {
	const urlToken, adminToken = "rcv_91c0d7aa", "adm_2f6b83e4"
	cursors := &said{}
	heygen := simulate.New(simulate.Options{Seed: 11, Events: 120, Span: time.Hour, APIKey: killKey, Faults: simulate.Faults{
		TooMany: 0.05, ServerError: 0.05, HTML: 0.05, Truncated: 0.05, ExpiredCursors: 0.05, EmptyPages: 0.05, RetryAfter: "0",
	}})
	api := heygen.Handler()
	listing := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("token"); token != "" {
			fmt.Fprintln(cursors, token)
		}
		api.ServeHTTP(rw, r)
	}))
	judge := receiver.New(receiver.Options{Secrets: []string{killSecret}, Answer: grumpy})
	webhook := serve(t, judge.Handler())
	config := strings.NewReplacer("LISTING", listing, "RECEIVER", webhook+"/hook?token="+urlToken,
		`listen: ""`, "listen: unix:DIR/admin.sock\n  token: ${ADMIN_TOKEN}").Replace(hookConfig)
	config += "schedule:\n  poll: \"@every 1s\"\n"
	s := newSite(t, build(t), strings.Replace(config, "rate: 0", "rate: 0\n  page_size: 7", 1),
		"HEYGEN_API_KEY="+killKey, "HEYGEN_WEBHOOK_SECRET="+killSecret, "ADMIN_TOKEN="+adminToken)
	s.must("", "seen", "add", "evt_of_another_time")
	daemon := s.start(nil, "--log-level", "debug", "run")
	until(t, 60*time.Second, "most is seen and the rest refused", func() bool {
		var status told
		out, _ := s.run("", "status", "--json")
		return json.Unmarshal([]byte(out), &status) == nil && status.Counts["seen"] > 100 && status.Counts["missed"] == 0
	})
	listed := heygen.Listed()
	for _, args := range [][]string{
		{"status"}, {"events"}, {"events", "--json"}, {"explain", listed[0]}, {"explain", listed[0], "--json"}, {"diff", "--since", "2h"},
		{"replay", "--dead"}, {"reconcile", "--sweep"}, {"seen", "export"}, {"state", "info"}, {"config", "print"}, {"config", "check"}, {"explain", "evt_none"},
	} {
		s.run("", append([]string{"--log-level", "debug"}, args...)...) // some fail, which is as telling
	}
	if code := daemon.stop(); code != 0 {
		t.Errorf("SIGINT: exit %d", code)
	}
	secrets := map[string][]string{
		"API key": {killKey}, "webhook secret": {killSecret}, "token in the receiver's URL": {urlToken}, "admin token": {adminToken},
		"cursor": strings.Fields(cursors.String()), "signature of a link": signatures(heygen),
	}
	if len(secrets["cursor"]) < 10 || len(secrets["signature of a link"]) < 10 || !strings.Contains(s.said.String(), "replay attempt") {
		t.Errorf("too tame: %d cursors, %d signatures", len(secrets["cursor"]), len(secrets["signature of a link"]))
	}
	for _, leak := range leaks(s.said.String(), secrets) {
		t.Errorf("S12: %s", leak)
	}
}

// grumpy refuses some events for good and some for a while.
func grumpy(d receiver.Delivery, n int) int {
	switch {
	case d.ID[len(d.ID)-1] == '0':
		return http.StatusUnprocessableEntity
	case n%9 == 0:
		return http.StatusBadGateway
	}
	return 0
}

// signatures are what the links in event_data are signed with.
func signatures(heygen *simulate.World) []string {
	var all []string
	for _, id := range heygen.Listed() {
		e, _ := heygen.Event(id)
		for part := range strings.SplitSeq(string(e.Data), "Signature=") {
			if signature, _, ok := strings.Cut(part, "&Key-Pair-Id"); ok {
				all = append(all, signature)
			}
		}
	}
	return all
}
