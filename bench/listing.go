package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const perPage = 100

// listing serves events newest first, in pages that were rendered beforehand, so
// that serving one costs next to nothing. Without event_type it lists all events;
// with one, those of the type.
type listing struct {
	history  history
	latency  time.Duration
	requests atomic.Int64
	lists    atomic.Pointer[map[string][][]byte] // by event type, "" for all
	url      string
	server   *http.Server
}

// serveListing renders the events from number first up to but not last, and
// serves them on loopback until closed. ByType also renders a list for each type.
func serveListing(h history, first, last int, latency time.Duration, byType bool) (*listing, error) {
	l := &listing{history: h, latency: latency}
	l.list(first, last, byType)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l.url = "http://" + listener.Addr().String()
	l.server = &http.Server{Handler: l, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = l.server.Serve(listener) }() // ends at close
	return l, nil
}

// list changes what is listed.
func (l *listing) list(first, last int, byType bool) {
	lists := map[string][][]byte{"": l.pages(first, last, 1)}
	if byType {
		for i, name := range eventTypes() {
			lists[name] = l.pages(first+(i-first%len(eventTypes())+len(eventTypes()))%len(eventTypes()), last, len(eventTypes()))
		}
	}
	l.lists.Store(&lists)
}

func (l *listing) close() error { return l.server.Shutdown(context.Background()) }

func (l *listing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.requests.Add(1)
	if l.latency > 0 {
		time.Sleep(l.latency)
	}
	query := r.URL.Query()
	pages := (*l.lists.Load())[query.Get("event_type")]
	page := 0
	if token := query.Get("token"); token != "" {
		var err error
		page, err = strconv.Atoi(strings.TrimPrefix(token, "page-"))
		if err != nil {
			page = -1
		}
	}
	if page < 0 || page >= len(pages) {
		http.Error(w, `{"error":{"code":"invalid_parameter","message":"no such page"}}`, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(pages[page])))
	_, _ = w.Write(pages[page])
}

// pages renders every step-th event, the newest first.
func (l *listing) pages(first, last, step int) [][]byte {
	count := (last - first + step - 1) / step
	pages := make([][]byte, (count+perPage-1)/perPage)
	var b bytes.Buffer
	for p := range pages {
		b.Reset()
		b.WriteString(`{"data":[`)
		for i := p * perPage; i < min(count, (p+1)*perPage); i++ {
			if i > p*perPage {
				b.WriteByte(',')
			}
			l.history.render(&b, first+(count-1-i)*step)
		}
		if p == len(pages)-1 {
			b.WriteString(`],"has_more":false,"next_token":null}`)
		} else {
			b.WriteString(`],"has_more":true,"next_token":"page-` + strconv.Itoa(p+1) + `"}`)
		}
		pages[p] = bytes.Clone(b.Bytes())
	}
	return pages
}
