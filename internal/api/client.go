package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/state"
)

// Client asks a backstop: the daemon behind a control socket, or an engine in
// this process.
type Client struct {
	http  *http.Client
	close func() error
}

// Dial makes a client of the daemon behind the control socket. It does not
// connect yet; Ping tells whether one answers.
func Dial(socket string) *Client {
	dialer := &net.Dialer{}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
	}
	return &Client{http: &http.Client{Transport: transport}, close: func() error { transport.CloseIdleConnections(); return nil }}
}

// Serve makes a client of an engine in this process. Close waits for what it
// was asked and closes the engine.
func Serve(e *engine.Engine) *Client {
	transport := &local{handler: Handler(e, false)}
	return &Client{http: &http.Client{Transport: transport}, close: func() error {
		transport.running.Wait()
		return e.Close()
	}}
}

// Close ends the client.
func (c *Client) Close() error { return c.close() }

// Ping reports whether a backstop answers.
func (c *Client) Ping(ctx context.Context) error { return c.get(ctx, "/healthz", nil) }

// Ready reports whether it is ready; the error says why not.
func (c *Client) Ready(ctx context.Context) error { return c.get(ctx, "/readyz", nil) }

// Status tells how things stand.
func (c *Client) Status(ctx context.Context) (s engine.Status, err error) {
	return s, c.get(ctx, "/v1/status", &s)
}

// Events gives the events that the filter chooses, newest first; a zero Limit is
// no limit.
func (c *Client) Events(ctx context.Context, f state.Filter, yield func(engine.Event) error) error {
	return stream(ctx, c, http.MethodGet, "/v1/events?"+formatFilter(f).Encode(), nil, nil, yield)
}

// Event gives all that is known of one event.
func (c *Client) Event(ctx context.Context, id string) (event engine.Event, err error) {
	return event, c.get(ctx, "/v1/events/"+url.PathEscape(id), &event)
}

// Reconcile makes a pass and sends what is due. The result is valid beside an
// error that only says what is left.
func (c *Client) Reconcile(ctx context.Context, r engine.ReconcileRequest) (result engine.Reconciled, err error) {
	err = stream(ctx, c, http.MethodPost, "/v1/reconcile", r, &result, func(struct{}) error { return nil })
	return result, err
}

// Diff gives the verdict on every event in range.
func (c *Client) Diff(ctx context.Context, r engine.DiffRequest, yield func(engine.DiffRow) error) (s engine.DiffSummary, err error) {
	err = stream(ctx, c, http.MethodPost, "/v1/diff", r, &s, yield)
	return s, err
}

// Replay queues events and waits until each is sent or dead.
func (c *Client) Replay(ctx context.Context, r engine.ReplayRequest, yield func(engine.ReplayRow) error) (result engine.Replayed, err error) {
	err = stream(ctx, c, http.MethodPost, "/v1/replay", r, &result, yield)
	return result, err
}

// Backfill reads history and, where the request says so, sends what was missed.
// The result is valid beside an error.
func (c *Client) Backfill(ctx context.Context, r engine.BackfillRequest, yield func(engine.BackfillProgress) error) (result engine.Backfilled, err error) {
	err = stream(ctx, c, http.MethodPost, "/v1/backfill", r, &result, yield)
	return result, err
}

// Ignore gives events up by hand.
func (c *Client) Ignore(ctx context.Context, r engine.IgnoreRequest, yield func(engine.ReplayRow) error) error {
	return stream(ctx, c, http.MethodPost, "/v1/ignore", r, nil, yield)
}

// Import records what a person says that the receiver has: the body of a report,
// of up to 8 MiB.
func (c *Client) Import(ctx context.Context, body []byte, r ImportRequest) (answer Imported, err error) {
	return answer, c.call(ctx, http.MethodPost, "/v1/seen/import?"+r.query().Encode(), bytes.NewReader(body), &answer)
}

// Forget takes back that the receiver has some events.
func (c *Client) Forget(ctx context.Context, r ForgetRequest) ([]string, error) {
	var answer struct{ Forgotten []string }
	err := c.post(ctx, "/v1/seen/forget", r, &answer)
	return answer.Forgotten, err
}

// Export gives every event that the receiver has.
func (c *Client) Export(ctx context.Context, yield func(SeenLine) error) error {
	return stream(ctx, c, http.MethodGet, "/v1/seen/export", nil, nil, yield)
}

// StatePath is where the state file of whoever answers lies; absolute.
func (c *Client) StatePath(ctx context.Context) (string, error) {
	var answer struct{ Path string }
	err := c.get(ctx, "/v1/state/path", &answer)
	return answer.Path, err
}

// StateInfo describes the state file.
func (c *Client) StateInfo(ctx context.Context) (info engine.StateInfo, err error) {
	return info, c.get(ctx, "/v1/state/info", &info)
}

// StateCheck looks at every record of the state and gives what is wrong.
func (c *Client) StateCheck(ctx context.Context, yield func(engine.Problem) error) error {
	return stream(ctx, c, http.MethodPost, "/v1/state/check", nil, nil, yield)
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	return c.call(ctx, http.MethodGet, path, nil, into)
}

func (c *Client) post(ctx context.Context, path string, request, into any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return c.call(ctx, http.MethodPost, path, bytes.NewReader(body), into)
}

// call sends one request and decodes its answer into into, unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, body io.Reader, into any) error {
	response, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if into == nil {
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return brokeOff(err)
	}
	return nil
}

// send gives the answer to a request, or the error that it carries.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://backstop"+path, body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	var answer struct {
		Error *ErrorBody `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer); err != nil || answer.Error == nil {
		return nil, exit.Errorf(exit.Failed, "is it a daemon of this version?", "%s answered %d", path, response.StatusCode)
	}
	return nil, answer.Error.Err()
}

func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return exit.Wrap(exit.Interrupted, "run it again", ctx.Err())
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return exit.Errorf(exit.Held, "is the daemon still starting or stopping?", "the daemon does not answer: %w", err)
}

// stream sends a request and gives every row of the answer to yield.
func stream[T any](ctx context.Context, c *Client, method, path string, request, result any, yield func(T) error) error {
	var body io.Reader
	if request != nil {
		encoded, err := json.Marshal(request)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(encoded)
	}
	response, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return readLines(response.Body, result, yield)
}
