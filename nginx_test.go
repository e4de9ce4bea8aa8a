package main_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/internal/receiver"
	"backstop/reconcile"
	"backstop/state"
)

// nginxConfig is how a user would put nginx in front of a receiver and have it log pushes. The second server is one that
// is down: nginx tries the next and logs both.
const nginxConfig = `
daemon off;
user root;
worker_processes 1;
pid DIR/nginx.pid;
error_log DIR/error.log;
events {}
http {
  access_log off;
  client_body_temp_path DIR/body;
  proxy_temp_path DIR/proxy;
  fastcgi_temp_path DIR/fastcgi;
  uwsgi_temp_path DIR/uwsgi;
  scgi_temp_path DIR/scgi;
  log_format heygen escape=json '{"event_id":"$http_heygen_event_id","status":"$upstream_status","received_at":"$time_iso8601"}';
  upstream receiver {
    server RECEIVER max_fails=0;
    server NOBODY max_fails=0;
  }
  server {
    listen ADDRESS;
    location /hook {
      proxy_pass http://receiver;
      access_log DIR/heygen.log heygen;
    }
    location /off {
      proxy_pass http://NOBODY;
      access_log DIR/heygen.log heygen;
    }
  }
}
`

// The log of a real nginx, rotated as its manual says, proves exactly the pushes that the receiver took.
func TestNginxLogProvesPushes(t *testing.T) {
	const secret = "whsec_nginx_1b9f"
	judge := receiver.New(receiver.Options{Secrets: []string{secret}, Answer: func(d receiver.Delivery, _ int) int {
		if strings.HasSuffix(d.ID, "_bad") {
			return http.StatusInternalServerError
		}
		return 0
	}})
	n := startNginx(t, strings.TrimPrefix(serve(t, judge.Handler()), "http://"))
	var took []string
	push := func(path, id string, want int) {
		t.Helper()
		n.push(path, id, secret, want)
		if want == http.StatusOK && id != "" {
			took = append(took, id)
		}
	}
	for i := range 6 { // every other one meets the server that is down first
		push("/hook", fmt.Sprintf("evt_before_%d", i), http.StatusOK)
	}
	push("/hook", "evt_500_bad", http.StatusInternalServerError)
	push("/off", "evt_502", http.StatusBadGateway)
	push("/hook", "", http.StatusOK)
	n.waitForLines("heygen.log", 9)
	log := n.text("heygen.log")
	if !strings.Contains(log, `"status":"502, 200"`) {
		t.Errorf("nginx never tried two servers:\n%s", log)
	}

	store, path := openState(t), filepath.Join(n.dir, "heygen.log")
	readLog(t, store, path)
	expectSeen(t, store, took)

	push("/hook", "evt_at_the_end", http.StatusOK)
	n.waitForLines("heygen.log", 10)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	push("/hook", "evt_to_the_old", http.StatusOK) // nginx has not reopened
	n.waitForLines("heygen.log.1", 11)
	readLog(t, store, path)
	expectSeen(t, store, took)
	n.say("reopen")
	until(t, 10*time.Second, "nginx opens its log again", func() bool { _, err := os.Stat(path); return err == nil })
	until(t, 10*time.Second, "a push is in the new log", func() bool {
		push("/hook", fmt.Sprintf("evt_after_%d", len(took)), http.StatusOK)
		return strings.Contains(n.text("heygen.log"), "evt_after")
	})
	push("/hook", "evt_500_after_bad", http.StatusInternalServerError)
	until(t, 10*time.Second, "both logs hold every push", func() bool {
		return strings.Count(n.text("heygen.log.1")+n.text("heygen.log"), "\n") == len(took)+4
	})
	readLog(t, store, path)
	expectSeen(t, store, took)
}

func openState(t *testing.T) *state.Store {
	t.Helper()
	store, err := state.Open(state.Options{Path: filepath.Join(t.TempDir(), "backstop.db"), APIBase: "https://api.heygen.com"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// readLog reads with a new Log, as after a restart.
func readLog(t *testing.T, store *state.Store, path string) {
	t.Helper()
	l, err := reconcile.NewLog(reconcile.LogOptions{
		Path: path, Records: store,
		Fields: reconcile.LogFields{EventID: "$.event_id", Status: "$.status", ReceivedAt: "$.received_at"},
	})
	if err == nil {
		err = l.Sync(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func expectSeen(t *testing.T, store *state.Store, want []string) {
	t.Helper()
	var got []string
	err := store.Export(t.Context(), func(r state.SeenRecord) error {
		got = append(got, r.ID)
		if r.Proof != state.Log || time.Since(r.SeenAt) > time.Minute {
			t.Errorf("%+v", r)
		}
		return nil
	})
	slices.Sort(got)
	if want = slices.Sorted(slices.Values(want)); err != nil || !slices.Equal(got, want) {
		t.Errorf("seen %v (%v)\nwant %v", got, err, want)
	}
}

// nginx is a running nginx.
type nginx struct {
	t                     *testing.T
	program, dir, address string
}

// startNginx starts Debian's nginx in front of a receiver, for as long as the test runs.
func startNginx(t *testing.T, receiver string) *nginx {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		const how = "nginx is not installed: apt-get install nginx"
		if os.Getenv("BACKSTOP_REQUIRE_ALL") == "1" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	for range 5 { // the port may be taken between the look and the start
		n := &nginx{t: t, program: program, dir: t.TempDir(), address: freePort(t)}
		text := strings.NewReplacer("DIR", n.dir, "RECEIVER", receiver, "NOBODY", freePort(t), "ADDRESS", n.address).Replace(nginxConfig)
		if err := os.WriteFile(filepath.Join(n.dir, "nginx.conf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if n.try() {
			return n
		}
	}
	t.Fatal("nginx did not start on any of five ports")
	return nil
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // nobody has used it
	return l.Addr().String()
}

func (n *nginx) command(args ...string) *exec.Cmd {
	return exec.CommandContext(n.t.Context(), n.program, append([]string{"-e", n.dir + "/error.log", "-p", n.dir, "-c", n.dir + "/nginx.conf"}, args...)...)
}

// try starts it, and reports whether it listens. It is told to stop when the test ends, for its worker outlives a master
// that is killed.
func (n *nginx) try() bool {
	cmd := n.command()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(n.t.Context(), 10*time.Second)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		_ = cmd.Wait() // it is stopped with the test, or found no port
	}()
	n.t.Cleanup(func() { <-ended })
	for ctx.Err() == nil {
		if resp, err := http.Get("http://" + n.address + "/"); err == nil {
			return resp.Body.Close() == nil
		}
		pause(ctx, 20*time.Millisecond)
	}
	return false
}

// say sends the running nginx a signal, as an operator or logrotate would.
func (n *nginx) say(word string) {
	n.t.Helper()
	if out, err := n.command("-s", word).CombinedOutput(); err != nil {
		n.t.Fatalf("nginx -s %s: %v\n%s", word, err, out)
	}
}

func (n *nginx) text(name string) string {
	text, _ := os.ReadFile(filepath.Join(n.dir, name)) // it may not be there yet
	return string(text)
}

// waitForLines waits, for nginx logs a request after its answer.
func (n *nginx) waitForLines(name string, lines int) {
	n.t.Helper()
	until(n.t, 10*time.Second, fmt.Sprintf("%s has %d lines", name, lines), func() bool { return strings.Count(n.text(name), "\n") >= lines })
}

// push posts an event as HeyGen does.
func (n *nginx) push(path, id, secret string, want int) {
	n.t.Helper()
	body := heygen.Body("avatar_video.success", fmt.Appendf(nil, `{"video_id":%q}`, id+"v"))
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, "http://"+n.address+path, bytes.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Heygen-Signature", heygen.Sign(secret, body))
	req.Header.Set("Heygen-Timestamp", fmt.Sprint(time.Now().Unix()))
	if id != "" {
		req.Header.Set("Heygen-Event-Id", id)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != want {
		n.t.Fatalf("push of %q: %s, %v; want %d", id, resp.Status, err, want)
	}
}
