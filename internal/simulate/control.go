package simulate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

func (w *World) serveStats(rw http.ResponseWriter, _ *http.Request) {
	writeJSON(rw, http.StatusOK, w.Stats())
}

// serveCreate makes one event of {"event_type","entity_id","event_data","created_at","hidden",
// "push"}, all optional, and answers with its row and the fate of its push.
func (w *World) serveCreate(rw http.ResponseWriter, r *http.Request) {
	var ask struct {
		Type    string          `json:"event_type"`
		Entity  string          `json:"entity_id"`
		Data    json.RawMessage `json:"event_data"`
		Created time.Time       `json:"created_at"`
		Hidden  span            `json:"hidden"`
		Push    Fate            `json:"push"`
	}
	if err := readJSON(rw, r, &ask); err != nil {
		invalid("body", "%v", err).write(rw)
		return
	}
	e, err := w.Create(Recipe{ask.Type, ask.Entity, ask.Data, ask.Created, time.Duration(ask.Hidden), ask.Push})
	if err != nil {
		invalid("body", "%v", err).write(rw)
		return
	}
	writeJSON(rw, http.StatusCreated, map[string]any{
		"event_id": e.ID, "event_type": e.Type, "entity_id": e.Entity,
		"created_at": e.CreatedAt.Format(time.RFC3339), "push": e.Fate,
	})
}

// serveFaults shows the faults in force, after changing those that a POST names.
func (w *World) serveFaults(rw http.ResponseWriter, r *http.Request) {
	f := w.Faults()
	if r.Method == http.MethodPost {
		err := readJSON(rw, r, &f)
		if err == nil {
			err = w.SetFaults(f)
		}
		if err != nil {
			invalid("body", "%v", err).write(rw)
			return
		}
	}
	writeJSON(rw, http.StatusOK, f)
}

// readJSON reads one JSON object into v, strictly; an empty body changes nothing.
func readJSON(rw http.ResponseWriter, r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxData+1<<20))
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	if len(trimmed(body)) == 0 {
		return nil
	}
	if !json.Valid(body) { // the decoder below would take what comes before the mistake
		return errors.New("the body is not one JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
