package reconcile

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"backstop/state"
)

// BenchmarkTap measures what the tap adds to a push, recording to a real state:
// each push straight to the receiver is paired with one through the tap, over
// connections that are kept.
func BenchmarkTap(b *testing.B) {
	store, err := state.Open(state.Options{Path: filepath.Join(b.TempDir(), "backstop.db"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	tap := NewTap(TapOptions{
		Target: func() string { return receiver.URL }, Logger: slog.New(slog.DiscardHandler),
		Record: func(seen []state.Sighting) error { _, err := store.Record(time.Now(), seen); return err },
	})
	front := httptest.NewServer(tap)
	defer front.Close()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- tap.Run(ctx) }()
	var direct, tapped, added []float64
	for b.Loop() {
		n := len(direct)
		straight, through := pushOnce(b, receiver.URL, -1-n), pushOnce(b, front.URL, n)
		direct, tapped, added = append(direct, straight), append(tapped, through), append(added, through-straight)
	}
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(middle(direct), "direct-µs")
	b.ReportMetric(middle(tapped), "tapped-µs")
	b.ReportMetric(middle(added), "added-µs")
	b.ReportMetric(middle(tapped)/middle(direct), "ratio")
}

// pushOnce makes a push of common size, and gives the microseconds that it took.
func pushOnce(b *testing.B, url string, n int) float64 {
	body := fmt.Sprintf(`{"event_type":"avatar_video.success","event_data":{"video_id":"vid_%d","url":"https://files.example/%s"}}`, n, strings.Repeat("x", 900))
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Heygen-Event-Id", fmt.Sprintf("evt_%d", n))
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusNoContent {
		b.Fatal(resp, err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return float64(time.Since(start).Microseconds())
}

func middle(samples []float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[len(sorted)/2]
}
