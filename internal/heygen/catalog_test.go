package heygen

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
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

func TestVideo(t *testing.T) {
	var path string
	answer := `{"data":{"id":"v","status":"failed","video_url":"https://x/v","gif_url":null,"captioned_video_url":"https://x/c",
		"subtitle_url":"https://x/s","thumbnail_url":"https://x/t","video_page_url":"https://x/p","failure_code":"E1","failure_message":"m",
		"created_at":1774440000,"completed_at":1774440060.5,"duration":1.5,"title":"t"}}`
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { path = r.URL.EscapedPath(); text(200, answer)(w, r) })
	got, err := c.Video(t.Context(), "a/b ?")
	if err != nil {
		t.Fatal(err)
	}
	want := Video{ID: "v", Status: "failed", VideoURL: "https://x/v", CaptionedURL: "https://x/c", SubtitleURL: "https://x/s", ThumbnailURL: "https://x/t",
		PageURL: "https://x/p", FailureCode: "E1", FailureMessage: "m", Created: time.Unix(1774440000, 0).UTC(), Settled: time.Unix(1774440060, 0).UTC()}
	if *got != want {
		t.Errorf("got %+v, want %+v", *got, want)
	}
	if path != "/v3/videos/a%2Fb%20%3F" {
		t.Errorf("asked for %s", path)
	}
}

func TestVideoFaults(t *testing.T) {
	for _, tt := range []struct {
		name, id string
		status   int
		body     string
		kind     error
		says     string
	}{
		{"unknown", "v", 404, `{"error":{"code":"not_found"}}`, ErrRequest, "the video is gone"},
		{"no id", "", 200, "", ErrRequest, "give the id"},
		{"dots", "..", 200, "", ErrRequest, "give the id"},
		{"no data", "v", 200, `{}`, ErrUnreadable, "no video in it"},
		{"data null", "v", 200, `{"data":null}`, ErrUnreadable, "no video in it"},
		{"error object", "v", 200, `{"data":{"id":"v"},"error":"x"}`, ErrUnreadable, "error object"},
		{"wrong type", "v", 200, `{"data":{"id":1}}`, ErrUnreadable, "not the JSON"},
	} {
		c := serve(t, text(tt.status, tt.body))
		if v, err := c.Video(t.Context(), tt.id); v != nil || !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %+v, %v", tt.name, v, err)
		}
	}
}

func TestQueryString(t *testing.T) {
	for q, want := range map[Query]string{{}: "all", {Type: "t"}: "type=t", {Entity: "e"}: "entity=e", {"t", "e"}: "type=t entity=e"} {
		if got := q.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
