package simulate

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// Endpoint is a row of the list of endpoints. The list is for whoever reads it:
// pushes go to PushURL alone, whatever it says.
type Endpoint struct {
	URL      string   `json:"url"`
	Events   []string `json:"events"` // event types; null: all
	Disabled bool     `json:"disabled"`
}

// SetEndpoints replaces the list; at first it has PushURL, where there is one.
func (w *World) SetEndpoints(all []Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = slices.Clone(all)
}

func (w *World) serveEndpoints(rw http.ResponseWriter, r *http.Request, _ *rand.Rand) {
	if _, bad := limitOf(r.URL.Query()); bad != nil {
		bad.write(rw)
		return
	}
	if r.URL.Query().Get("token") != "" {
		invalid("token", "'token' is invalid or has expired.").write(rw)
		return
	}
	writeList(rw, w.endpointRows(), "")
}

// endpointRow is an endpoint as the API describes it.
type endpointRow struct {
	ID        string   `json:"endpoint_id"`
	URL       string   `json:"url"`
	Events    []string `json:"events"`
	Status    string   `json:"status"`
	CreatedAt string   `json:"created_at"`
	Secret    *string  `json:"secret"`
}

func (w *World) endpointRows() []endpointRow {
	w.mu.Lock()
	defer w.mu.Unlock()
	rows := []endpointRow{}
	created := w.o.Start.Add(-w.o.Span).Format(time.RFC3339)
	for i, e := range w.ends {
		row := endpointRow{ID: "ep_" + name(w.o.Seed, streamID, uint64(i))[:16], URL: e.URL, Events: e.Events, Status: "enabled", CreatedAt: created}
		if e.Disabled {
			row.Status = "disabled"
		}
		rows = append(rows, row)
	}
	return rows
}

// serveSetEndpoints takes {"endpoints":[{"url","events","disabled"}]} for the whole list.
func (w *World) serveSetEndpoints(rw http.ResponseWriter, r *http.Request) {
	var ask struct {
		Endpoints []Endpoint `json:"endpoints"`
	}
	if err := readJSON(rw, r, &ask); err != nil {
		invalid("body", "%v", err).write(rw)
		return
	}
	w.SetEndpoints(ask.Endpoints)
	writeJSON(rw, http.StatusOK, map[string]any{"endpoints": w.endpointRows()})
}
