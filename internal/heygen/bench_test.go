package heygen

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// listing returns a page of n events as HeyGen's documentation shows them.
func listing(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"data":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"event_id":"evt_%016x","event_type":"avatar_video.success","event_data":{"video_id":"vid_%012x",`+
			`"url":"https://files.heygen.com/video/vid_%d.mp4?Expires=1774440000&Signature=abcDEF123~-_&Key-Pair-Id=K1",`+
			`"gif_download_url":"https://resource.heygen.ai/video/vid_%d/gif.gif","video_page_url":"https://app.heygen.com/videos/vid_%d",`+
			`"video_share_page_url":"https://app.heygen.com/share/vid_%d","folder_id":null,"callback_id":null},"created_at":"2026-03-25T12:05:%02dZ"}`,
			i, i, i, i, i, i, i%60)
	}
	b.WriteString(`],"has_more":true,"next_token":"b3BhcXVl"}`)
	return b.Bytes()
}

// BenchmarkPage reports the cost of a page of 100 events; the goal is about
// one allocation an event.
func BenchmarkPage(b *testing.B) {
	body, now, p := listing(100), time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), newParser()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if page, err := p.page(body, now); err != nil || len(page.Events) != 100 {
			b.Fatal(page, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/event")
}

func BenchmarkFact(b *testing.B) {
	e := benchEvent(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := e.Fact(); !ok {
			b.Fatal("no fact")
		}
	}
}

func BenchmarkEntity(b *testing.B) {
	e := benchEvent(b)
	b.ReportAllocs()
	for b.Loop() {
		if e.Entity() == "" {
			b.Fatal("no entity")
		}
	}
}

func benchEvent(b *testing.B) Event {
	page, err := newParser().page(listing(1), time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		b.Fatal(err)
	}
	return page.Events[0]
}

// BenchmarkFetch compares reading pages from a server on loopback with
// fetching them and dropping them, the floor that no walk can get below.
func BenchmarkFetch(b *testing.B) {
	body := listing(100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	}))
	defer server.Close()
	b.Run("drop", func(b *testing.B) {
		for b.Loop() {
			resp, err := server.Client().Get(server.URL)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
	b.Run("page", func(b *testing.B) {
		c, err := New(Options{BaseURL: server.URL})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Page(b.Context(), PageRequest{Limit: 100}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
