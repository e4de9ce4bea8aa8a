package heygen

import (
	"errors"
	"net/http"
	"slices"
	"testing"
)

func TestEventTypes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pages map[string]string // by token
		want  []string
		kind  error
	}{
		{"one answer", map[string]string{"": `{"data":[{"event_type":"a","description":"x","new":1},{"event_type":"b"}],"has_more":false,"next_token":null}`}, []string{"a", "b"}, nil},
		{"two pages", map[string]string{"": `{"data":[{"event_type":"a"}],"has_more":true,"next_token":"n"}`, "n": `{"data":[{"event_type":"b"}]}`}, []string{"a", "b"}, nil},
		{"token, but no more", map[string]string{"": `{"data":[{"event_type":"a"}],"has_more":false,"next_token":"n"}`}, []string{"a"}, nil},
		{"circle", map[string]string{"": `{"data":[],"next_token":"n"}`, "n": `{"data":[],"next_token":"n"}`}, nil, ErrUnreadable},
		{"error object", map[string]string{"": `{"error":{"code":"x"}}`}, nil, ErrUnreadable},
		{"no data", map[string]string{"": `{}`}, nil, ErrUnreadable},
		{"wrong type", map[string]string{"": `{"data":[{"event_type":1}]}`}, nil, ErrUnreadable},
		{"trailing garbage", map[string]string{"": `{"data":[]}x`}, nil, ErrUnreadable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v3/webhooks/event-types" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				text(200, tt.pages[r.URL.Query().Get("token")])(w, r)
			})
			types, err := c.EventTypes(t.Context())
			var got []string
			for _, e := range types {
				got = append(got, e.EventType)
			}
			if !slices.Equal(got, tt.want) || !errors.Is(err, tt.kind) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func TestQueryString(t *testing.T) {
	for q, want := range map[Query]string{{}: "all", {Type: "t"}: "type=t", {Entity: "e"}: "entity=e", {"t", "e"}: "type=t entity=e"} {
		if got := q.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
