package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"backstop/internal/engine"
	"backstop/state"
)

// pageOfEvents is how many events are answered where no limit is asked for.
const pageOfEvents = 100

func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	filter, err := parseFilter(r.URL.Query())
	if err != nil {
		badRequest(w, "see status, event_type, entity_id, proof, since, until (RFC 3339) and limit", "%s", err.Error())
		return
	}
	out := newLines(w)
	err = h.engine.Events(r.Context(), filter, func(event engine.Event) error { return out.row(event) })
	out.end(nil, err)
}

func (h *handler) event(w http.ResponseWriter, r *http.Request) {
	event, err := h.engine.Event(r.PathValue("id"))
	if err != nil {
		writeError(w, missing(err), err)
		return
	}
	writeJSON(w, http.StatusOK, event)
}

func (h *handler) replay(w http.ResponseWriter, r *http.Request) {
	var request engine.ReplayRequest
	if decode(w, r, &request) {
		request.Who, request.What = h.whoOf(r, request.Who), cleanWhy(request.What)
		h.serveReplay(w, r, request)
	}
}

func (h *handler) replayOne(w http.ResponseWriter, r *http.Request) {
	if h.known(w, r) {
		h.serveReplay(w, r, engine.ReplayRequest{IDs: []string{r.PathValue("id")}, Who: h.whoOf(r, "")})
	}
}

// known answers 404 itself for an event that nobody has heard of.
func (h *handler) known(w http.ResponseWriter, r *http.Request) bool {
	_, err := h.engine.Event(r.PathValue("id"))
	if err != nil {
		writeError(w, missing(err), err)
	}
	return err == nil
}

// missing is the status for an event that could not be told of.
func missing(err error) int {
	if errors.Is(err, engine.ErrUnknown) {
		return http.StatusNotFound
	}
	return statusOf(err)
}

func (h *handler) serveReplay(w http.ResponseWriter, r *http.Request, request engine.ReplayRequest) {
	out := newLines(w)
	result, err := h.engine.Replay(r.Context(), request, func(row engine.ReplayRow) error { return out.row(row) })
	out.end(result, err)
}

func (h *handler) ignore(w http.ResponseWriter, r *http.Request) {
	var request engine.IgnoreRequest
	if decode(w, r, &request) {
		request.Who, request.Why = h.whoOf(r, request.Who), cleanWhy(request.Why)
		h.serveIgnore(w, request)
	}
}

func (h *handler) ignoreOne(w http.ResponseWriter, r *http.Request) {
	var request PauseRequest
	if decode(w, r, &request) && h.known(w, r) {
		h.serveIgnore(w, engine.IgnoreRequest{IDs: []string{r.PathValue("id")}, Why: cleanWhy(request.Why), Who: h.whoOf(r, request.Who)})
	}
}

func (h *handler) serveIgnore(w http.ResponseWriter, request engine.IgnoreRequest) {
	rows, err := h.engine.Ignore(request)
	out := newLines(w)
	for _, row := range rows {
		if out.row(row) != nil {
			return
		}
	}
	out.end(nil, err)
}

// parseFilter reads a filter from the query of a URL.
func parseFilter(values url.Values) (state.Filter, error) {
	filter := state.Filter{Type: values["event_type"], Entity: values.Get("entity_id"), Limit: pageOfEvents}
	for _, word := range values["status"] {
		status, err := state.ParseStatus(word)
		if err != nil {
			return filter, err
		}
		filter.Status = append(filter.Status, status)
	}
	var err error
	if err = filter.Proof.UnmarshalText([]byte(values.Get("proof"))); err != nil {
		return filter, fmt.Errorf("proof: %w", err)
	}
	if filter.Since, err = parseTime(values.Get("since")); err != nil {
		return filter, fmt.Errorf("since: %w", err)
	}
	if filter.Until, err = parseTime(values.Get("until")); err != nil {
		return filter, fmt.Errorf("until: %w", err)
	}
	if limit := values.Get("limit"); limit != "" {
		if filter.Limit, err = strconv.Atoi(limit); err != nil || filter.Limit < 0 {
			return filter, fmt.Errorf("limit %q is no number", limit)
		}
	}
	return filter, nil
}

// formatFilter is the reverse of parseFilter.
func formatFilter(f state.Filter) url.Values {
	values := url.Values{"limit": {strconv.Itoa(f.Limit)}, "event_type": f.Type}
	if f.Entity != "" {
		values.Set("entity_id", f.Entity)
	}
	if f.Proof != state.None {
		values.Set("proof", f.Proof.String())
	}
	for _, status := range f.Status {
		values.Add("status", status.String())
	}
	if !f.Since.IsZero() {
		values.Set("since", f.Since.Format(time.RFC3339Nano))
	}
	if !f.Until.IsZero() {
		values.Set("until", f.Until.Format(time.RFC3339Nano))
	}
	return values
}

func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339Nano, text)
}
