package api

import (
	"errors"
	"io"
	"net/http"
	"strconv"
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
		if seen, unmatchable, ok := h.readSeen(w, r, state.Report); ok {
			h.keep(w, seen, unmatchable)
		}
	}
}

// importSeen is a report by a person: an act.
func (h *handler) importSeen(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	act := state.ManualAct{Who: h.whoOf(r, query.Get("who")), What: "seen import", Why: cleanWhy(query.Get("reason"))}
	if query.Get("add") != "" {
		act.What = "seen add"
	}
	act.Seq, _ = strconv.ParseUint(query.Get("act"), 10, 64) // what is no number is a new act
	seen, unmatchable, ok := h.readSeen(w, r, state.Import)
	if !ok {
		return
	}
	n, seq, err := h.engine.Import(seen, act)
	answerKept(w, Imported{Recorded: n, Unmatchable: unmatchable, Act: seq}, err)
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

// readSeen reads what a report says; it answers itself where it can't.
func (h *handler) readSeen(w http.ResponseWriter, r *http.Request, proof state.Proof) (seen []state.Sighting, unmatchable int, ok bool) {
	body, ok := h.readReport(w, r)
	if !ok {
		return nil, 0, false
	}
	seen, unmatchable, err := parseSeen(body, proof, h.engine.Now())
	if err != nil {
		badRequest(w, `send {"event_id": …} objects, or event_type with event_data; nothing of this request was recorded`, "%s", err.Error())
		return nil, 0, false
	}
	return seen, unmatchable, true
}

// keep answers when what was seen is durable.
func (h *handler) keep(w http.ResponseWriter, seen []state.Sighting, unmatchable int) {
	n, err := h.engine.Record(seen)
	answerKept(w, recorded{Recorded: n, Unmatchable: unmatchable}, err)
}

func answerKept(w http.ResponseWriter, answer any, err error) {
	switch {
	case errors.Is(err, state.ErrFull):
		w.Header().Set("Retry-After", "60")
		writeError(w, http.StatusServiceUnavailable, err)
	case err != nil:
		writeError(w, http.StatusInternalServerError, err)
	default:
		writeJSON(w, http.StatusOK, answer)
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
	Why string   `json:"reason,omitempty"`
	Who string   `json:"who,omitempty"` // a hint
}

func (h *handler) forget(w http.ResponseWriter, r *http.Request) {
	var request ForgetRequest
	if !decode(w, r, &request) {
		return
	}
	found, err := h.engine.Forget(request.IDs, cleanWhy(request.Why), h.whoOf(r, request.Who))
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
