package api

import (
	"errors"
	"io"
	"net/http"
	"time"

	"backstop/internal/config"
	"backstop/internal/exit"
	"backstop/state"
)

// maxReport bounds the body of one report, in bytes.
const maxReport = 8 << 20

// report keeps what the receiver says that it has. The answer is sent when that
// is durable, so a receiver may forget what it reported.
func (h *handler) report(w http.ResponseWriter, r *http.Request) {
	if h.takes(w, config.SourceReport) {
		h.record(w, r, state.Report)
	}
}

// importSeen is a report by a person.
func (h *handler) importSeen(w http.ResponseWriter, r *http.Request) {
	h.record(w, r, state.Import)
}

// weighed has do serve a request whose body is kept in memory. Many large ones at
// once wait for each other: what they hold is bounded, and none is refused that
// could be recorded.
func (h *handler) weighed(do http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		weight := int64(maxReport)
		if r.ContentLength >= 0 {
			weight = min(r.ContentLength, maxReport)
		}
		if err := h.bodies.Acquire(r.Context(), weight); err != nil {
			return // nobody waits for the answer any more
		}
		defer h.bodies.Release(weight)
		do(w, r)
	}
}

// readReport reads a bounded body; it answers itself where it can't.
func (h *handler) readReport(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReport))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		writeError(w, http.StatusRequestEntityTooLarge, exit.Errorf(exit.Usage, "send it in several requests", "the body is over 8 MiB"))
		return nil, false
	}
	if err != nil {
		badRequest(w, "send it again", "the body broke off: %s", err.Error())
		return nil, false
	}
	return body, true
}

// record keeps a report.
func (h *handler) record(w http.ResponseWriter, r *http.Request, proof state.Proof) {
	body, ok := h.readReport(w, r)
	if !ok {
		return
	}
	seen, unmatchable, err := parseSeen(body, proof, h.engine.Now())
	if err != nil {
		badRequest(w, `send {"event_id": …} objects, or event_type with event_data; nothing of this request was recorded`, "%s", err.Error())
		return
	}
	h.keep(w, seen, unmatchable)
}

// keep answers when what was seen is durable.
func (h *handler) keep(w http.ResponseWriter, seen []state.Sighting, unmatchable int) {
	n, err := h.engine.Record(seen)
	switch {
	case errors.Is(err, state.ErrFull):
		w.Header().Set("Retry-After", "60")
		writeError(w, http.StatusServiceUnavailable, err)
	case err != nil:
		writeError(w, http.StatusInternalServerError, err)
	default:
		writeJSON(w, http.StatusOK, recorded{Recorded: n, Unmatchable: unmatchable})
	}
}

// recorded is the answer to a report. Unmatchable counts items without an id
// whose content names no entity: they account for nothing and are not kept.
type recorded struct {
	Recorded    int `json:"recorded"`
	Unmatchable int `json:"unmatchable,omitempty"`
}

// ForgetRequest takes back that the receiver has some events.
type ForgetRequest struct {
	IDs []string `json:"ids"`
	Who string   `json:"who,omitempty"`
}

func (h *handler) forget(w http.ResponseWriter, r *http.Request) {
	var request ForgetRequest
	if !decode(w, r, &request) {
		return
	}
	found, err := h.engine.Forget(request.IDs, request.Who)
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, http.StatusOK, map[string][]string{"forgotten": found})
}

// SeenLine is one exported record; import reads it back.
type SeenLine struct {
	ID        string    `json:"event_id"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	SeenAt    time.Time `json:"received_at,omitzero"`
	Proof     string    `json:"proof"`
}

func (h *handler) export(w http.ResponseWriter, r *http.Request) {
	out := newLines(w)
	err := h.engine.Export(r.Context(), func(s state.SeenRecord) error {
		if s.Proof == state.Baseline {
			return nil // a baseline is no receipt: imported, it would look like one
		}
		return out.row(SeenLine{ID: s.ID, CreatedAt: s.CreatedAt, SeenAt: s.SeenAt, Proof: s.Proof.String()})
	})
	out.end(nil, err)
}

// ImportLine is one record to import.
type ImportLine struct {
	ID string `json:"event_id"`
}
