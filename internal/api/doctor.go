package api

import (
	"context"
	"net/http"

	"backstop/internal/doctor"
	"backstop/internal/engine"
)

func (h *handler) doctor(w http.ResponseWriter, r *http.Request) {
	var request engine.DoctorRequest
	if !decode(w, r, &request) {
		return
	}
	out := newLines(w)
	summary, err := h.engine.Doctor(r.Context(), request, h.daemon, func(c doctor.Check) error { return out.row(c) })
	out.end(summary, err)
}

// Doctor checks everything that can be checked, a line at a time.
func (c *Client) Doctor(ctx context.Context, r engine.DoctorRequest, yield func(doctor.Check) error) (s doctor.Summary, err error) {
	err = stream(ctx, c, http.MethodPost, "/v1/doctor", r, &s, yield)
	return s, err
}
