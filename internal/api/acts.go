package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"backstop/internal/engine"
	"backstop/state"
)

// acts lists what persons did by hand.
func (h *handler) acts(w http.ResponseWriter, r *http.Request) {
	filter, err := parseFilter(r.URL.Query())
	if err != nil {
		badRequest(w, "see since, until (RFC 3339) and limit", "%s", err.Error())
		return
	}
	if filter.Entity != "" || len(filter.Status)+len(filter.Type) > 0 {
		badRequest(w, "see since, until (RFC 3339) and limit", "acts have no status, event_type or entity_id")
		return
	}
	out := newLines(w)
	chosen := state.ActFilter{Since: filter.Since, Until: filter.Until, Limit: filter.Limit}
	err = h.engine.Acts(r.Context(), chosen, func(act engine.Act) error { return out.row(act) })
	out.end(nil, err)
}

// Acts gives what persons did by hand, newest first; a zero Limit is no limit.
func (c *Client) Acts(ctx context.Context, f state.ActFilter, yield func(engine.Act) error) error {
	query := formatFilter(state.Filter{Since: f.Since, Until: f.Until, Limit: f.Limit})
	return stream(ctx, c, http.MethodGet, "/v1/acts?"+query.Encode(), nil, nil, yield)
}

// PauseRequest says why replaying stops or goes on, and on whose word: a hint.
type PauseRequest struct {
	Why string `json:"reason,omitempty"`
	Who string `json:"who,omitempty"`
}

// Paused is the answer to a pause or a resume.
type Paused struct {
	OK     bool         `json:"ok"`
	Paused bool         `json:"paused"`
	Was    *engine.Hold `json:"was,omitempty"` // what held replaying before; absent: nothing did
}

func (h *handler) pause(w http.ResponseWriter, r *http.Request) {
	var request PauseRequest
	if !decode(w, r, &request) {
		return
	}
	was, err := h.engine.Pause(cleanWhy(request.Why), h.whoOf(r, request.Who))
	h.paused(w, Paused{OK: true, Paused: true, Was: was}, err)
}

func (h *handler) resume(w http.ResponseWriter, r *http.Request) {
	var request PauseRequest
	if !decode(w, r, &request) {
		return
	}
	was, err := h.engine.Resume(cleanWhy(request.Why), h.whoOf(r, request.Who))
	h.paused(w, Paused{OK: true, Was: was}, err)
}

func (h *handler) paused(w http.ResponseWriter, answer Paused, err error) {
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// Pause stops replaying.
func (c *Client) Pause(ctx context.Context, r PauseRequest) (answer Paused, err error) {
	return answer, c.post(ctx, "/v1/pause", r, &answer)
}

// Resume starts replaying again.
func (c *Client) Resume(ctx context.Context, r PauseRequest) (answer Paused, err error) {
	return answer, c.post(ctx, "/v1/resume", r, &answer)
}

// ImportRequest says who imports, and how; the records are the body.
type ImportRequest struct {
	Add bool   // ids of a command line, and no file
	Act uint64 // the act that this goes on with, as Imported tells it; 0: a new one
	Why string
	Who string // a hint
}

// Imported is the answer to an import.
type Imported struct {
	Recorded    int    `json:"recorded"`
	Unmatchable int    `json:"unmatchable,omitempty"`
	Act         uint64 `json:"act,omitempty"`
}

func (i ImportRequest) query() url.Values {
	values := url.Values{"reason": {i.Why}, "who": {i.Who}}
	if i.Add {
		values.Set("add", "1")
	}
	if i.Act != 0 {
		values.Set("act", strconv.FormatUint(i.Act, 10))
	}
	return values
}
