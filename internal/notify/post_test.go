package notify

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A redirect is not followed, answers are not read without end, and no error has
// the URL in it.
func TestTargetOverTheWire(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/s3cret/moved":
			http.Redirect(w, r, "/s3cret/ok", http.StatusFound)
		case "/s3cret/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		case "/s3cret/gone":
			http.Error(w, "s3cret", http.StatusGone)
		case "/s3cret/headers":
			if r.Header.Get("Authorization") != "Bearer x" || !strings.HasPrefix(r.UserAgent(), "backstop/") || r.Method != http.MethodPost {
				w.WriteHeader(http.StatusBadRequest)
			}
		}
	}))
	defer server.Close()
	tests := []struct{ path, want string }{
		{"/s3cret/ok", ""}, {"/s3cret/endless", ""}, {"/s3cret/headers", ""},
		{"/s3cret/moved", "it answered 302: redirects are not followed; write the URL that it leads to"}, {"/s3cret/gone", "it answered 410"},
	}
	for _, tt := range tests {
		before := asked.Load()
		to := newTarget(func() (string, error) { return server.URL + tt.path, nil },
			func() (map[string]string, error) { return map[string]string{"Authorization": "Bearer x"}, nil }, "1", 0, nil)
		got := ""
		if err := to.send(t.Context(), http.MethodPost, []byte("{}")); err != nil {
			got = err.Error()
		}
		if got != tt.want || asked.Load() != before+1 {
			t.Errorf("%s: got %q after %d requests, want %q after one", tt.path, got, asked.Load()-before, tt.want)
		}
	}
	server.Close()
	to := newTarget(func() (string, error) { return server.URL + "/s3cret", nil }, nil, "1", 0, nil)
	if err := to.send(t.Context(), http.MethodGet, nil); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("nobody there: got %v", err)
	}
}

// answers is a switch in memory that answers as told.
type answers func(r *http.Request) (int, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	status, err := a(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var asked, status atomic.Int64
		var hang atomic.Bool
		status.Store(200)
		p := NewPing(PingOptions{
			URL: func() (string, error) { return "https://hc.test/s3cret", nil }, Logger: slog.New(slog.NewTextHandler(&log, nil)), Version: "1",
			Transport: answers(func(r *http.Request) (int, error) {
				asked.Add(1)
				if hang.Load() {
					<-r.Context().Done()
					return 0, r.Context().Err()
				}
				return int(status.Load()), nil
			}),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		owe := func(times int) {
			for range times {
				p.Owe()
				synctest.Wait()
			}
		}
		owe(3)
		if asked.Load() != 3 || p.Health().LastAt.IsZero() {
			t.Errorf("three clean passes made %d pings: %+v", asked.Load(), p.Health())
		}
		status.Store(500)
		owe(3)
		if h := p.Health(); asked.Load() != 6 || h.Failing != "it answered 500" {
			t.Errorf("each is tried once: %d pings, %+v", asked.Load(), h)
		}
		status.Store(200)
		owe(1)
		hang.Store(true)
		owe(100) // one is under way, and one waits
		time.Sleep(time.Minute)
		synctest.Wait()
		if asked.Load() != 9 {
			t.Errorf("%d pings, want 9", asked.Load())
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 2 || strings.Contains(log.String(), "s3cret") {
			t.Errorf("the log has %d warnings, want one for each time that it began to fail:\n%s", n, log.String())
		}
	})
}
