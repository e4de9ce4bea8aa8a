package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	perPage   = 100
	missEvery = 100 // one event in so many is missing from the seen ids
	history   = 30 * 24 * time.Hour
)

// listing is a listing of events, newest first, whose pages were rendered
// beforehand, so that serving one costs next to nothing.
type listing struct {
	events   int
	pages    [][]byte
	latency  time.Duration
	requests atomic.Int64
	url      string
	server   *http.Server
}

// serveListing renders a history of events that ends an hour ago and serves it
// on loopback until closed. Each type has the whole history to itself.
func serveListing(events int, latency time.Duration) (*listing, error) {
	l := &listing{events: events, latency: latency, pages: make([][]byte, (events+perPage-1)/perPage)}
	newest := time.Now().Add(-time.Hour).Truncate(time.Second)
	var b bytes.Buffer
	for p := range l.pages {
		b.Reset()
		l.render(&b, p, newest)
		l.pages[p] = bytes.Clone(b.Bytes())
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l.url = "http://" + listener.Addr().String()
	l.server = &http.Server{Handler: l, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = l.server.Serve(listener) }() // ends at close
	return l, nil
}

func (l *listing) close() error { return l.server.Shutdown(context.Background()) }

func (l *listing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.requests.Add(1)
	if l.latency > 0 {
		time.Sleep(l.latency)
	}
	page := 0
	if token := r.URL.Query().Get("token"); token != "" {
		var err error
		if page, err = strconv.Atoi(strings.TrimPrefix(token, "page-")); err != nil || page < 0 || page >= len(l.pages) {
			http.Error(w, `{"error":{"code":"invalid_parameter","message":"no such token"}}`, http.StatusBadRequest)
			return
		}
	}
	body := l.pages[page]
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

func (l *listing) render(b *bytes.Buffer, page int, newest time.Time) {
	b.WriteString(`{"data":[`)
	for i := page * perPage; i < min(l.events, (page+1)*perPage); i++ {
		if i > page*perPage {
			b.WriteByte(',')
		}
		age := time.Duration(float64(history) / float64(l.events) * float64(i))
		renderEvent(b, i, newest.Add(-age))
	}
	if page == len(l.pages)-1 {
		b.WriteString(`],"has_more":false,"next_token":null}`)
		return
	}
	fmt.Fprintf(b, `],"has_more":true,"next_token":"page-%d"}`, page+1)
}

// renderEvent writes an event of about a kilobyte in the form that HeyGen
// documents, its link signed as CloudFront signs links.
func renderEvent(b *bytes.Buffer, i int, created time.Time) {
	video := hash("video", i)
	signature := strings.Repeat(hash("signature", i), 5)
	fmt.Fprintf(b, `{"event_id":"%s","event_type":"%s","event_data":{"video_id":"%s",`+
		`"url":"https://files.heygen.com/video/%s/1080p.mp4?Expires=%d&Signature=%s__&Key-Pair-Id=K000000000BENCH",`+
		`"gif_download_url":"https://resource.heygen.ai/video/%s/gif.gif?Expires=%d","video_page_url":"https://app.heygen.com/videos/%s",`+
		`"video_share_page_url":"https://app.heygen.com/share/%s","folder_id":null,"callback_id":"order %d","title":"Welcome, caf\u00e9 \"No. %d\""},`+
		`"created_at":"%s"}`,
		eventID(i), eventTypes()[i%len(eventTypes())], video[:32], video[:32], created.Unix()+604800, signature,
		video[:32], created.Unix()+604800, video[:32], video[:32], i, i, created.UTC().Format(time.RFC3339))
}

func eventTypes() []string {
	return []string{"avatar_video.success", "avatar_video_caption.success", "video_translate.success", "video_agent.success"}
}

func eventID(i int) string { return "evt_" + hash("event", i)[:22] }

func hash(kind string, i int) string {
	sum := sha256.Sum256(strconv.AppendInt([]byte(kind), int64(i), 10))
	return hex.EncodeToString(sum[:])
}

// seenIDs are the ids that the receiver has: all but one in a hundred.
func seenIDs(events int) []byte {
	var b bytes.Buffer
	for i := range events {
		if i%missEvery != missEvery-1 {
			b.WriteString(eventID(i))
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// missing is how many of the events the receiver does not have.
func missing(events int) int { return events / missEvery }
