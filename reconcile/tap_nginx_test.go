package reconcile

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// nginxConfig is one nginx that stands before the tap as on many machines, and
// behind it as a receiver that closes each connection after a few requests.
const nginxConfig = `
daemon off;
master_process off;
pid DIR/nginx.pid;
error_log DIR/error.log;
events {}
http {
	access_log off;
	client_body_temp_path DIR/a;
	proxy_temp_path DIR/b;
	fastcgi_temp_path DIR/c;
	uwsgi_temp_path DIR/d;
	scgi_temp_path DIR/e;
	upstream tap {
		server TAP;
		keepalive 8;
	}
	server {
		listen FRONT;
		location / {
			proxy_pass http://tap;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_set_header X-Forwarded-Proto https;
		}
	}
	server {
		listen BACK;
		keepalive_requests 3;
		location / {
			return 200 "$http_host $http_x_forwarded_proto [$http_x_forwarded_for] $request_uri";
		}
	}
}
`

// startNginx runs nginx with the configuration until the test ends.
func startNginx(t *testing.T, config, address string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx")
	}
	if err != nil {
		const how = "nginx is not installed: apt-get install nginx"
		if os.Getenv("BACKSTOP_REQUIRE_ALL") == "1" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(config, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", file)
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }() // it is killed with the test
	t.Cleanup(func() { cancel(); <-ended })
	waitUntil(t, "nginx listens", func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// nginx before the tap, and nginx as the receiver behind it, with connections
// kept on both sides: no push fails, and each is known.
func TestTapBetweenNginx(t *testing.T) {
	front, back := freePort(t), freePort(t)
	w := newTapWorld(t, "", nil, func(o *TapOptions) {
		o.Target = func() string { return "http://" + back + "/hook?token=t" }
	})
	startNginx(t, strings.NewReplacer("TAP", w.front.Listener.Addr().String(), "FRONT", front, "BACK", back).Replace(nginxConfig), front)
	const senders, each = 8, 50
	transport := &http.Transport{MaxIdleConnsPerHost: senders}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var group sync.WaitGroup
	for s := range senders {
		group.Go(func() {
			for i := range each {
				if err := pushThrough(t.Context(), client, "http://"+front+"/webhooks?a=b", fmt.Sprintf("evt_%d_%d", s, i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	ids := map[string]bool{}
	for _, seen := range w.queued() {
		ids[seen.ID] = !seen.Fact.IsZero()
	}
	if len(ids) != senders*each || len(w.queued()) != senders*each || w.said.String() != "" {
		t.Errorf("%d pushes queued of %d events; logged %q", len(w.queued()), len(ids), w.said.String())
	}
}

func pushThrough(ctx context.Context, client *http.Client, url, id string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(pushed))
	if err != nil {
		return err
	}
	req.Host = "hooks.example"
	req.Header.Set("Heygen-Event-Id", id)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if want := "hooks.example https [127.0.0.1, 127.0.0.1] /hook?token=t&a=b"; err == nil && string(body) != want {
		err = fmt.Errorf("%s: answer %s: %.200q, want %q", id, resp.Status, body, want)
	}
	return err
}
