package heygen

import (
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"
)

func TestEndpoints(t *testing.T) {
	created := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	one := `{"endpoint_id":"ep_1","url":"https://a.example/hook?t=1","events":null,"status":"enabled","created_at":"2026-03-01T10:00:00Z","secret":null}`
	two := `{"endpoint_id":"ep_2","url":"https://b.example/","events":["avatar_video.success"],"status":"disabled","created_at":"soon"}`
	for _, tt := range []struct {
		name  string
		pages map[string]string // by token
		want  []Endpoint
		kind  error
	}{
		{"one page", map[string]string{"": `{"data":[` + one + `],"has_more":false,"next_token":null}`},
			[]Endpoint{{ID: "ep_1", URL: "https://a.example/hook?t=1", Enabled: true, Created: created}}, nil},
		{"two pages", map[string]string{"": `{"data":[` + one + `],"has_more":true,"next_token":"n"}`, "n": `{"data":[` + two + `]}`},
			[]Endpoint{{ID: "ep_1", URL: "https://a.example/hook?t=1", Enabled: true, Created: created}, {ID: "ep_2", URL: "https://b.example/", Types: []string{"avatar_video.success"}}}, nil},
		{"subscribed to nothing", map[string]string{"": `{"data":[{"endpoint_id":"ep","url":"u","events":[],"status":"enabled"}]}`},
			[]Endpoint{{ID: "ep", URL: "u", Types: []string{}, Enabled: true}}, nil},
		{"none", map[string]string{"": `{"data":[]}`}, nil, nil},
		{"circle", map[string]string{"": `{"data":[],"next_token":"n"}`, "n": `{"data":[],"next_token":"n"}`}, nil, ErrUnreadable},
		{"error object", map[string]string{"": `{"error":{"code":"x"}}`}, nil, ErrUnreadable},
		{"no data", map[string]string{"": `{}`}, nil, ErrUnreadable},
		{"wrong type", map[string]string{"": `{"data":[{"events":{}}]}`}, nil, ErrUnreadable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v3/webhooks/endpoints" || r.URL.Query().Get("limit") != "100" {
					t.Errorf("asked for %s", r.URL)
				}
				text(200, tt.pages[r.URL.Query().Get("token")])(w, r)
			})
			got, err := c.Endpoints(t.Context())
			if !reflect.DeepEqual(got, tt.want) || !errors.Is(err, tt.kind) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func TestEndpointSubscribed(t *testing.T) {
	for _, tt := range []struct {
		endpoint Endpoint
		want     bool
	}{
		{Endpoint{Enabled: true}, true},
		{Endpoint{Enabled: false}, false},
		{Endpoint{Enabled: true, Types: []string{"b", "a"}}, true},
		{Endpoint{Enabled: true, Types: []string{"b"}}, false},
		{Endpoint{Enabled: true, Types: []string{}}, false},
	} {
		if got := tt.endpoint.Subscribed("a"); got != tt.want {
			t.Errorf("%+v: subscribed %v, want %v", tt.endpoint, got, tt.want)
		}
	}
}
