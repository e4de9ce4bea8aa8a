package simulate

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Handler serves HeyGen's API and, below /simulate/, the controls of the simulation. It opens
// no listener. Faults befall the listing of events, and those named after them the resources.
func (w *World) Handler() http.Handler {
	mux := http.NewServeMux()
	api := func(pattern string, h func(http.ResponseWriter, *http.Request, *rand.Rand)) {
		mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) { w.serve(rw, r, h) })
	}
	api("GET /v3/webhooks/events", w.serveEvents)
	api("GET /v3/webhooks/event-types", w.serveEventTypes)
	api("GET /v3/webhooks/endpoints", w.serveEndpoints)
	api("GET /v3/videos", w.serveVideos)
	look := func(pattern string, answer func(lookUp) (any, bool)) {
		api(pattern, func(rw http.ResponseWriter, r *http.Request, draw *rand.Rand) { w.serveLookUp(rw, r, draw, answer) })
	}
	look("GET /v3/videos/{id}", w.video)
	look("GET /v3/video-translations/{id}", w.translation)
	look("GET /v3/video-translations/proofreads/{id}", w.proofread)
	look("GET /v3/video-translations/proofreads/{id}/srt", w.subtitles)
	look("GET /v3/video-agents/{id}", w.session)
	look("GET /v3/ai-clipping/{id}", w.clipping)
	look("GET /v3/hyperframes/renders/{id}", w.render)
	api("/", func(rw http.ResponseWriter, _ *http.Request, _ *rand.Rand) { notFound().write(rw) })
	mux.HandleFunc("GET /simulate/stats", w.serveStats)
	mux.HandleFunc("POST /simulate/event", w.serveCreate)
	mux.HandleFunc("POST /simulate/endpoints", w.serveSetEndpoints)
	mux.HandleFunc("GET /simulate/faults", w.serveFaults)
	mux.HandleFunc("POST /simulate/faults", w.serveFaults)
	return mux
}

// serve does what is common to every request to the API: its number, its headers, the key.
func (w *World) serve(rw http.ResponseWriter, r *http.Request, h func(http.ResponseWriter, *http.Request, *rand.Rand)) {
	w.mu.Lock()
	w.tally.requests++
	n := uint64(w.tally.requests)
	w.mu.Unlock()
	rw.Header().Set("X-Request-Id", name(w.o.Seed, streamRequest, n))
	rw.Header().Set("Date", w.now().Format(http.TimeFormat))
	if !w.authorized(r.Header) {
		problem{http.StatusUnauthorized, "authentication_failed", "Invalid or expired API key. Check the X-Api-Key header.", ""}.write(rw)
		return
	}
	h(rw, r, draws(w.o.Seed, streamAnswer, n))
}

func (w *World) authorized(h http.Header) bool {
	if w.o.APIKey == "" {
		return true
	}
	given := h.Get("X-Api-Key")
	if given == "" {
		given, _ = strings.CutPrefix(h.Get("Authorization"), "Bearer ")
	}
	return subtle.ConstantTimeCompare([]byte(given), []byte(w.o.APIKey)) == 1
}

// problem is an error answer in HeyGen's shape.
type problem struct {
	status               int
	code, message, param string
}

func (p problem) write(rw http.ResponseWriter) {
	type detail struct {
		Code    string  `json:"code"`
		Message string  `json:"message"`
		Param   *string `json:"param"`
		DocURL  *string `json:"doc_url"`
	}
	d := detail{Code: p.code, Message: p.message}
	if p.param != "" {
		d.Param = &p.param
	}
	writeJSON(rw, p.status, map[string]detail{"error": d})
}

func invalid(param, format string, args ...any) *problem {
	return &problem{http.StatusBadRequest, "invalid_parameter", fmt.Sprintf(format, args...), param}
}

func notFound() problem {
	return problem{http.StatusNotFound, "not_found", "Resource not found.", ""}
}

func writeJSON(rw http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	writeBody(rw, status, "application/json", body)
}

// writeBody's error is the client's hanging up, which nobody is left to hear of.
func writeBody(rw http.ResponseWriter, status int, contentType string, body []byte) {
	rw.Header().Set("Content-Type", contentType)
	rw.Header().Set("Content-Length", strconv.Itoa(len(body)))
	rw.WriteHeader(status)
	_, _ = rw.Write(body)
}

// limitOf reads the limit parameter.
func limitOf(v url.Values) (int, *problem) {
	text := v.Get("limit")
	if text == "" {
		return 10, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, invalid("limit", "'limit' must be an integer.")
	}
	if n < 1 || n > 100 {
		return 0, invalid("limit", "'limit' must be between 1 and 100.")
	}
	return n, nil
}

// hold waits as a slow server does; false when the client went away.
func hold(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-r.Context().Done():
		return false
	case <-t.C:
		return true
	}
}
