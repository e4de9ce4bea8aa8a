package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"backstop/internal/engine"
)

func (h *handler) runs(w http.ResponseWriter, _ *http.Request) {
	out := newLines(w)
	out.end(nil, h.engine.Runs(func(run engine.RunStatus) error { return out.row(run) }))
}

func (h *handler) watchRun(w http.ResponseWriter, r *http.Request) {
	id, ok := runNumber(w, r)
	if !ok {
		return
	}
	out := newLines(w)
	result, err := h.engine.WatchRun(r.Context(), id, func(row engine.ReplayRow) error { return out.row(row) })
	out.end(result, err)
}

func (h *handler) resumeRun(w http.ResponseWriter, r *http.Request) {
	var request engine.ReplayRequest
	id, ok := runNumber(w, r)
	if !ok || !decode(w, r, &request) {
		return
	}
	request.Who = h.whoOf(r, request.Who)
	out := newLines(w)
	result, err := h.engine.ResumeRun(r.Context(), id, request, func(row engine.ReplayRow) error { return out.row(row) })
	out.end(result, err)
}

func (h *handler) cancelRun(w http.ResponseWriter, r *http.Request) {
	var request PauseRequest
	id, ok := runNumber(w, r)
	if !ok || !decode(w, r, &request) {
		return
	}
	run, err := h.engine.CancelRun(id, h.whoOf(r, request.Who))
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, http.StatusOK, run)
}

// runNumber answers a request for no run itself.
func runNumber(w http.ResponseWriter, r *http.Request) (uint64, bool) {
	id, err := strconv.ParseUint(r.PathValue("run"), 10, 64)
	if err != nil {
		badRequest(w, "`backstop replay --runs` lists them", "a run has a number")
	}
	return id, err == nil
}

// Runs gives the replay runs, oldest first.
func (c *Client) Runs(ctx context.Context, yield func(engine.RunStatus) error) error {
	return stream(ctx, c, http.MethodGet, "/v1/runs", nil, nil, yield)
}

// WatchRun follows a run until it ends. The result is valid beside an error.
func (c *Client) WatchRun(ctx context.Context, id uint64, yield func(engine.ReplayRow) error) (result engine.Replayed, err error) {
	err = stream(ctx, c, http.MethodPost, fmt.Sprintf("/v1/runs/%d/watch", id), nil, &result, yield)
	return result, err
}

// ResumeRun takes up a run that was cancelled or interrupted, or that was only
// planned, and waits until all of it is sent or dead.
func (c *Client) ResumeRun(ctx context.Context, id uint64, r engine.ReplayRequest, yield func(engine.ReplayRow) error) (result engine.Replayed, err error) {
	err = stream(ctx, c, http.MethodPost, fmt.Sprintf("/v1/runs/%d/resume", id), r, &result, yield)
	return result, err
}

// CancelRun takes back what a run has not sent.
func (c *Client) CancelRun(ctx context.Context, id uint64, r PauseRequest) (run engine.RunStatus, err error) {
	return run, c.post(ctx, fmt.Sprintf("/v1/runs/%d/cancel", id), r, &run)
}
