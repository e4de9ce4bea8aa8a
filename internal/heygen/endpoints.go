package heygen

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	listEndpoints = "list webhook endpoints"
	endpointRows  = 100 // a page; the most that HeyGen gives
)

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

type endpointPage struct {
	Data  []endpointRow  `json:"data"`
	More  *bool          `json:"has_more"`
	Next  string         `json:"next_token"`
	Error jsontext.Value `json:"error"`
}

// Endpoints returns every endpoint of the account, disabled ones included.
func (c *Client) Endpoints(ctx context.Context) ([]Endpoint, error) {
	var all []Endpoint
	token, met := "", map[string]bool{}
	for range maxCatalogPages {
		page, err := c.endpointPage(ctx, token)
		if err != nil {
			return nil, err
		}
		for _, row := range page.Data {
			all = append(all, row.endpoint())
		}
		if token = page.Next; token == "" || page.More != nil && !*page.More {
			return all, nil
		}
		if met[token] {
			break
		}
		met[token] = true
	}
	return nil, &Error{Kind: ErrUnreadable, Doing: listEndpoints, Hint: "try again later",
		Cause: fmt.Errorf("the list goes in circles or has more than %d pages", maxCatalogPages)}
}

// endpoint takes a row over. A status that this version does not know counts as
// enabled, for HeyGen documents "disabled" by that word.
func (r endpointRow) endpoint() Endpoint {
	created, _ := ParseTime(r.Created, time.Now())
	return Endpoint{ID: r.ID, URL: r.URL, Types: r.Events, Enabled: r.Status != "disabled", Created: created}
}

func (c *Client) endpointPage(ctx context.Context, token string) (endpointPage, error) {
	var page endpointPage
	query := url.Values{"limit": {strconv.Itoa(endpointRows)}}
	if token != "" {
		query.Set("token", token)
	}
	err := c.get(ctx, request{
		doing: listEndpoints,
		path:  []string{"v3", "webhooks", "endpoints"},
		query: query,
		token: token,
		bound: maxObject,
		decode: func(body []byte, _ answer) (time.Time, error) {
			page = endpointPage{}
			if err := unmarshal(body, &page); err != nil {
				return time.Time{}, err
			}
			if err := refusedBy(page.Error); err != nil {
				return time.Time{}, err
			}
			if page.Data == nil {
				return time.Time{}, unreadable("an object without data")
			}
			return time.Time{}, nil
		},
	})
	return page, err
}
