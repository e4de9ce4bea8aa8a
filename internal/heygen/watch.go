package heygen

import (
	"net/http"
	"strings"
)

// Watch is told what a client asks of the listing. Its functions are called by
// many goroutines, and must be quick.
type Watch struct {
	Request func(status int, err error) // each request, repeated ones included: the answer's status, or why there was none; nil: untold
	Page    func()                      // each page that could be read; nil: untold
}

func (w Watch) page() {
	if w.Page != nil {
		w.Page()
	}
}

// over lets the watch see what a transport carries.
func (w Watch) over(t http.RoundTripper) http.RoundTripper {
	if w.Request == nil {
		return t
	}
	return watched{t, w.Request}
}

// listingPath is how the path of a request to the listing ends.
const listingPath = "/v3/webhooks/events"

type watched struct {
	http.RoundTripper
	tell func(status int, err error)
}

// RoundTrip implements http.RoundTripper.
func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.RoundTripper.RoundTrip(r)
	switch {
	case !strings.HasSuffix(r.URL.Path, listingPath):
	case err != nil:
		w.tell(0, err)
	default:
		w.tell(resp.StatusCode, nil)
	}
	return resp, err
}

// CloseIdleConnections is what an http.Client asks its transport for.
func (w watched) CloseIdleConnections() {
	if t, ok := w.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
