package heygen

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxObject    = 4 << 20 // an answer that is no page of events
	maxListPages = 20      // of a short list, which HeyGen gives in one or two
)

// EventType is one type of event that HeyGen says it sends.
type EventType struct {
	EventType   string `json:"event_type"`
	Description string `json:"description"`
}

// EventTypes returns the types HeyGen says it sends. The set is open: others
// may be listed all the same.
func (c *Client) EventTypes(ctx context.Context) ([]EventType, error) {
	return list[EventType](ctx, c, request{doing: "list event types", path: []string{"v3", "webhooks", "event-types"}})
}

// listPage is a page of a short list.
type listPage[T any] struct {
	Data  []T            `json:"data"`
	More  *bool          `json:"has_more"`
	Next  string         `json:"next_token"`
	Error jsontext.Value `json:"error"`
}

// list reads a short list to its end. The request comes without a cursor, and its
// query, if it has one, is changed.
func list[T any](ctx context.Context, c *Client, r request) ([]T, error) {
	var all []T
	for met := map[string]bool{}; len(met) < maxListPages && !met[r.token]; {
		met[r.token] = true
		page, err := listOne[T](ctx, c, r)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Data...)
		if page.Next == "" || page.More != nil && !*page.More {
			return all, nil
		}
		r.token = page.Next
	}
	return nil, &Error{Kind: ErrUnreadable, Doing: r.doing, Hint: "try again later",
		Cause: fmt.Errorf("the list goes in circles or has more than %d pages", maxListPages)}
}

func listOne[T any](ctx context.Context, c *Client, r request) (page listPage[T], err error) {
	if r.query == nil {
		r.query = url.Values{}
	}
	if r.token != "" {
		r.query.Set("token", r.token)
	}
	r.bound = maxObject
	r.decode = func(body []byte, _ answer) (time.Time, error) {
		page = listPage[T]{}
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
	}
	return page, c.get(ctx, r)
}

// unmarshal reads a small answer, as strictly as a page; its errors quote
// nothing of the answer.
func unmarshal(body []byte, into any) error {
	if json.Unmarshal(body, into) != nil {
		return unreadable("not the JSON that the API documents")
	}
	return nil
}

func refusedBy(v jsontext.Value) error {
	if len(v) == 0 || v.Kind() == 'n' {
		return nil
	}
	return refusal{v}
}
