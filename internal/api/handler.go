package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/sync/semaphore"

	"backstop/internal/engine"
	"backstop/internal/exit"
)

// Handler serves everything that can be asked of the engine. Whoever reaches it
// may do everything: the control socket is for the owner and root, and Admin
// guards the part that it shows. daemon says that a daemon answers.
func Handler(e *engine.Engine, daemon bool) http.Handler {
	h := newHandler(e, daemon)
	mux := http.NewServeMux()
	for _, r := range h.routes() {
		mux.HandleFunc(r.pattern, r.serve)
	}
	return mux
}

type handler struct {
	engine *engine.Engine
	daemon bool
	guard  *guard              // of the admin listener; nil: this is the control socket
	bodies *semaphore.Weighted // bytes of reports that may be in memory
}

func newHandler(e *engine.Engine, daemon bool) *handler {
	return &handler{engine: e, daemon: daemon, bodies: semaphore.NewWeighted(8 * maxReport)}
}

type route struct {
	pattern string
	serve   http.HandlerFunc
	admin   bool // on the admin listener too
	open    bool // needs no token there
	signed  bool // there a signature serves as the token
}

func (h *handler) routes() []route {
	return []route{
		{pattern: "GET /healthz", serve: h.health, admin: true, open: true},
		{pattern: "GET /readyz", serve: h.ready, admin: true, open: true},
		{pattern: "GET /metrics", serve: h.metrics, admin: true, open: true},
		{pattern: "POST /v1/seen", serve: h.weighed(h.report), admin: true},
		{pattern: "POST /v1/mirror", serve: h.weighed(h.mirror(everybody)), admin: true, signed: true},
		{pattern: "GET /v1/status", serve: h.status, admin: true},
		{pattern: "GET /v1/events", serve: h.events, admin: true},
		{pattern: "GET /v1/events/{id}", serve: h.event, admin: true},
		{pattern: "GET /v1/acts", serve: h.acts, admin: true},
		{pattern: "POST /v1/events/{id}/replay", serve: h.replayOne, admin: true},
		{pattern: "POST /v1/events/{id}/ignore", serve: h.ignoreOne, admin: true},
		{pattern: "POST /v1/pause", serve: h.pause, admin: true},
		{pattern: "POST /v1/resume", serve: h.resume, admin: true},
		{pattern: "POST /v1/reconcile", serve: h.reconcile, admin: true},
		{pattern: "POST /v1/diff", serve: h.diff},
		{pattern: "POST /v1/replay", serve: h.replay},
		{pattern: "GET /v1/runs", serve: h.runs},
		{pattern: "POST /v1/runs/{run}/watch", serve: h.watchRun},
		{pattern: "POST /v1/runs/{run}/resume", serve: h.resumeRun},
		{pattern: "POST /v1/runs/{run}/cancel", serve: h.cancelRun},
		{pattern: "POST /v1/backfill", serve: h.backfill},
		{pattern: "POST /v1/doctor", serve: h.doctor},
		{pattern: "POST /v1/ignore", serve: h.ignore},
		{pattern: "POST /v1/seen/import", serve: h.weighed(h.importSeen)},
		{pattern: "POST /v1/seen/forget", serve: h.forget},
		{pattern: "GET /v1/seen/export", serve: h.export},
		{pattern: "GET /v1/state/path", serve: h.statePath},
		{pattern: "GET /v1/state/info", serve: h.stateInfo},
		{pattern: "POST /v1/state/check", serve: h.stateCheck},
		{pattern: "POST /v1/state/backup", serve: h.stateBackup},
	}
}

// everybody is trusted who reaches the control socket.
func everybody(*http.Request) (bool, error) { return true, nil }

func (h *handler) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

func (h *handler) ready(w http.ResponseWriter, _ *http.Request) {
	if err := h.engine.Ready(); err != nil {
		writeError(w, http.StatusServiceUnavailable, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]bool{"ready": true})
}

// metrics is Prometheus text. A process that ends with its verb counts nothing.
func (h *handler) metrics(w http.ResponseWriter, r *http.Request) {
	scrape := h.engine.Metrics()
	if scrape == nil {
		writeError(w, http.StatusNotFound, exit.Errorf(exit.Failed, "start `backstop run`", "only the daemon counts"))
		return
	}
	scrape.ServeHTTP(w, r)
}

func (h *handler) status(w http.ResponseWriter, _ *http.Request) {
	status, err := h.engine.Status()
	if err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}
	status.Daemon = h.daemon
	writeJSON(w, http.StatusOK, status)
}

func (h *handler) reconcile(w http.ResponseWriter, r *http.Request) {
	var request engine.ReconcileRequest
	if !decode(w, r, &request) {
		return
	}
	result, err := h.engine.Reconcile(r.Context(), request)
	newLines(w).end(result, err)
}

func (h *handler) diff(w http.ResponseWriter, r *http.Request) {
	var request engine.DiffRequest
	if !decode(w, r, &request) {
		return
	}
	out := newLines(w)
	summary, err := h.engine.Diff(r.Context(), request, func(row engine.DiffRow) error { return out.row(row) })
	out.end(summary, err)
}

func (h *handler) backfill(w http.ResponseWriter, r *http.Request) {
	var request engine.BackfillRequest
	if !decode(w, r, &request) {
		return
	}
	request.Who = h.whoOf(r, request.Who)
	out := newLines(w)
	result, err := h.engine.Backfill(r.Context(), request, func(p engine.BackfillProgress) error { return out.row(p) })
	out.end(result, err)
}

// statePath tells whose daemon answers. Every verb asks it first, so it touches
// no file.
func (h *handler) statePath(w http.ResponseWriter, _ *http.Request) {
	path, err := h.engine.StatePath()
	if err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"path": path})
}

func (h *handler) stateInfo(w http.ResponseWriter, _ *http.Request) {
	info, err := h.engine.StateInfo()
	if err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}
	writeJSON(w, http.StatusOK, info)
}

func (h *handler) stateCheck(w http.ResponseWriter, r *http.Request) {
	out := newLines(w)
	n, err := h.engine.StateCheck(r.Context(), func(p engine.Problem) error { return out.row(p) })
	out.end(map[string]int{"problems": n}, err)
}

// maxRequest bounds the body of a request that asks for something; reports have
// a bound of their own.
const maxRequest = 8 << 20

// decode reads a JSON request; an empty body is the zero request. It answers the
// caller itself when the request can't be understood.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil || errors.Is(err, io.EOF) {
		return true
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		writeError(w, http.StatusRequestEntityTooLarge, exit.Errorf(exit.Usage, "send less at once", "the body is over %d bytes", maxRequest))
		return false
	}
	badRequest(w, "send a JSON object", "the body can't be read: %s", fmt.Sprint(err))
	return false
}
