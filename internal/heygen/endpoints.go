package heygen

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// endpointRows is the length of a page; the most that HeyGen gives.
const endpointRows = 100

// Endpoint is a URL that HeyGen pushes to. Its URL may hold a token: it is a
// secret.
type Endpoint struct {
	ID      string
	URL     string
	Types   []string // event types it is subscribed to; nil: all
	Enabled bool
	Created time.Time // zero: unknown
}

// Subscribed reports whether HeyGen pushes events of a type to the endpoint.
func (e Endpoint) Subscribed(eventType string) bool {
	if !e.Enabled {
		return false
	}
	for _, t := range e.Types {
		if t == eventType {
			return true
		}
	}
	return e.Types == nil
}

// endpointRow is an Endpoint as the API writes it.
type endpointRow struct {
	ID      string   `json:"endpoint_id"`
	URL     string   `json:"url"`
	Events  []string `json:"events"`
	Status  string   `json:"status"`
	Created string   `json:"created_at"`
}

// Endpoints returns every endpoint of the account, disabled ones included.
func (c *Client) Endpoints(ctx context.Context) ([]Endpoint, error) {
	rows, err := list[endpointRow](ctx, c, request{
		doing: "list webhook endpoints",
		path:  []string{"v3", "webhooks", "endpoints"},
		query: url.Values{"limit": {strconv.Itoa(endpointRows)}},
	})
	var all []Endpoint
	for _, row := range rows {
		all = append(all, row.endpoint())
	}
	return all, err
}

// endpoint takes a row over. A status that this version does not know counts as
// enabled, for HeyGen documents "disabled" by that word.
func (r endpointRow) endpoint() Endpoint {
	created, _ := ParseTime(r.Created, time.Now())
	return Endpoint{ID: r.ID, URL: r.URL, Types: r.Events, Enabled: r.Status != "disabled", Created: created}
}
