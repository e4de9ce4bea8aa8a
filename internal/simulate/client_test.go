package simulate

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/internal/secret"
)

// The client that backstop reads HeyGen with gets through a world with every fault there is,
// and misses nothing. An expired cursor is for the walk to handle: here it starts again.
func TestTheClientGetsThrough(t *testing.T) {
	f := Mild()
	f.TooMany, f.ServerError, f.HTML, f.Truncated, f.Slow = 0.05, 0.05, 0.05, 0.05, 0
	f.RetryAfter = "0"
	w := New(Options{Seed: 1, Events: 400, APIKey: "key", Start: begin(), Faults: f})
	server := httptest.NewServer(w.Handler())
	defer server.Close()
	transport := server.Client().Transport
	c, err := heygen.New(heygen.Options{
		BaseURL: server.URL, APIKey: secret.Text("key"), Timeout: 10 * time.Second, Transport: transport,
		Attempts: 12, BackoffMin: time.Millisecond, BackoffMax: 4 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, token := map[string]bool{}, ""
	for range 500 {
		page, err := c.Page(t.Context(), heygen.PageRequest{Limit: 10, Token: token})
		if errors.Is(err, heygen.ErrCursor) {
			token = ""
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			got[e.ID] = true
			if want, ok := w.Event(e.ID); !ok || string(want.Data) != string(e.Data) || !want.CreatedAt.Equal(e.CreatedAt) || want.Entity != e.Entity() {
				t.Fatalf("read %+v, want %+v", e, want)
			}
		}
		if token = page.Next; page.Last {
			break
		}
	}
	if len(got) != 400 {
		t.Errorf("read %d of 400 events", len(got))
	}
	for _, name := range []fault{tooMany, serverError, htmlPage, truncated} {
		if w.Stats().Faults[string(name)] == 0 {
			t.Errorf("%s was not met", name)
		}
	}
}
