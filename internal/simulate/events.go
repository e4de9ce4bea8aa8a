package simulate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// request is a checked request for a page of events.
type request struct {
	query query
	order string
	from  cursor
	limit int
}

func (w *World) serveEvents(rw http.ResponseWriter, r *http.Request, draw *rand.Rand) {
	v := r.URL.Query()
	faults := w.Faults()
	slow, what := faults.draw(draw, v.Get("token") != "")
	w.noteFault(what, slow)
	if !hold(r, slow) || w.broken(rw, what, faults, draw) {
		return
	}
	req, bad := w.read(v, faults.order())
	if bad == nil && what == expiredCursor {
		bad = invalid("token", "'token' is invalid or has expired.")
	}
	if bad != nil {
		bad.write(rw)
		return
	}
	if what == emptyPage {
		w.writeEmpty(rw, req)
		return
	}
	body := w.page(req, w.now())
	if what == truncated {
		writeCut(rw, body, draw)
		return
	}
	writeBody(rw, http.StatusOK, "application/json", body)
}

func (w *World) noteFault(what fault, slow time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if what != noFault {
		w.tally.faults[string(what)]++
	}
	if slow > 0 {
		w.tally.faults["slow"]++
	}
}

// broken answers the faults that do not depend on the request.
func (w *World) broken(rw http.ResponseWriter, what fault, f Faults, draw *rand.Rand) bool {
	switch what {
	case tooMany:
		rw.Header().Set("Retry-After", f.retryAfter())
		problem{http.StatusTooManyRequests, "rate_limit_exceeded", "Too many requests. See the Retry-After header.", ""}.write(rw)
	case serverError:
		writeServerError(rw, draw)
	case htmlPage:
		writeBody(rw, http.StatusOK, "text/html; charset=utf-8", []byte("<!doctype html><title>One moment</title><p>Checking your browser.</p>\n"))
	default:
		return false
	}
	return true
}

// writeServerError answers one of the 5xx, half of them as an edge would: with a web page.
func writeServerError(rw http.ResponseWriter, draw *rand.Rand) {
	status := [...]int{500, 502, 503, 504, 520}[draw.IntN(5)]
	if draw.IntN(2) == 0 {
		writeBody(rw, status, "text/html", fmt.Appendf(nil, "<html><body><h1>Error %d</h1></body></html>\n", status))
		return
	}
	problem{status, "internal_error", "Something went wrong on our side.", ""}.write(rw)
}

// writeCut sends the first part of an answer. Announcing the whole length makes the server
// break the connection; announcing the cut one leaves JSON that stops in the middle.
func writeCut(rw http.ResponseWriter, body []byte, draw *rand.Rand) {
	cut := body[:1+draw.IntN(len(body)-1)]
	if draw.IntN(2) == 0 {
		writeBody(rw, http.StatusOK, "application/json", cut)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Content-Length", fmt.Sprint(len(body)))
	rw.WriteHeader(http.StatusOK)
	_, _ = rw.Write(cut)
}

// read checks the parameters of a request for events.
func (w *World) read(v url.Values, order string) (request, *problem) {
	req := request{query: query{v.Get("event_type"), v.Get("entity_id")}, order: order, from: cursor{begin: true}}
	w.mu.Lock()
	known := req.query.eventType == "" || w.types[req.query.eventType]
	w.mu.Unlock()
	if !known {
		return req, invalid("event_type", "'event_type' is not a known event type.")
	}
	var bad *problem
	if req.limit, bad = limitOf(v); bad != nil {
		return req, bad
	}
	if token := v.Get("token"); token != "" {
		var ok bool
		if req.from, ok = decodeCursor(w.key, req.query.scope(order), token); !ok {
			return req, invalid("token", "'token' is invalid or has expired.")
		}
	}
	return req, nil
}

// page writes one page of the listing. The events are picked under the lock and written
// outside of it.
func (w *World) page(req request, now time.Time) []byte {
	w.mu.Lock()
	events, more := w.pageLocked(req.query, req.order, req.from, req.limit, now)
	w.mu.Unlock()
	b := append(make([]byte, 0, 256+1500*len(events)), `{"data":[`...)
	for i, e := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = w.appendRow(b, e)
	}
	if !more {
		return append(b, `],"has_more":false,"next_token":null}`...)
	}
	next := cursor{after: events[len(events)-1].at}
	return fmt.Appendf(b, `],"has_more":true,"next_token":"%s"}`, next.encode(w.key, req.query.scope(req.order)))
}

// appendRow writes one event as the listing shows it.
func (w *World) appendRow(b []byte, e event) []byte {
	b = append(b, `{"event_id":"`...)
	b = append(b, w.idOf(e.at)...)
	b = append(b, `","event_type":`...)
	o := object{b: b}
	b = o.quote(e.kind.name)
	b = append(b, `,"event_data":`...)
	b = append(b, w.dataOf(e)...)
	b = append(b, `,"created_at":"`...)
	b = e.created.AppendFormat(b, time.RFC3339)
	return append(b, `"}`...)
}

// writeEmpty answers without events and with another cursor to the same place.
func (w *World) writeEmpty(rw http.ResponseWriter, req request) {
	next := req.from
	next.salt++
	writeJSON(rw, http.StatusOK, map[string]any{
		"data": []json.RawMessage{}, "has_more": true, "next_token": next.encode(w.key, req.query.scope(req.order)),
	})
}
