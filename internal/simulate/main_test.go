package simulate

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// row is one event as a client reads it.
type row struct {
	ID      string          `json:"event_id"`
	Type    string          `json:"event_type"`
	Data    json.RawMessage `json:"event_data"`
	Created string          `json:"created_at"`
}

type answer struct {
	Data  []row   `json:"data"`
	More  bool    `json:"has_more"`
	Token *string `json:"next_token"`
}

// ask sends one request to a world in memory.
func ask(w *World, method, target, body string, header ...string) *httptest.ResponseRecorder {
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, from)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rw := httptest.NewRecorder()
	w.Handler().ServeHTTP(rw, r)
	return rw
}

// listing returns one page; it fails the test on anything but a 200.
func listing(t *testing.T, w *World, limit int, token string, filter ...string) answer {
	t.Helper()
	v := url.Values{"limit": {fmt.Sprint(limit)}}
	if token != "" {
		v.Set("token", token)
	}
	for i := 0; i+1 < len(filter); i += 2 {
		v.Set(filter[i], filter[i+1])
	}
	rw := ask(w, http.MethodGet, "/v3/webhooks/events?"+v.Encode(), "")
	if rw.Code != http.StatusOK {
		t.Fatalf("status %d: %s", rw.Code, rw.Body)
	}
	var a answer
	if err := json.Unmarshal(rw.Body.Bytes(), &a); err != nil {
		t.Fatalf("page: %v", err)
	}
	if a.More != (a.Token != nil) {
		t.Fatalf("has_more %v with token %v", a.More, a.Token)
	}
	return a
}

// walk follows the cursors to the end and calls between after every page.
func walk(t *testing.T, w *World, limit int, between func(), filter ...string) []row {
	t.Helper()
	var rows []row
	token := ""
	for range 10_000 {
		a := listing(t, w, limit, token, filter...)
		rows = append(rows, a.Data...)
		if between != nil {
			between()
		}
		if a.Token == nil {
			return rows
		}
		token = *a.Token
	}
	t.Fatal("the walk does not end")
	return nil
}

// begin is a fixed time for worlds whose bytes are compared.
func begin() time.Time { return time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC) }
