package heygen

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Which request serves which kind, and what is taken from its answer.
func TestFresh(t *testing.T) {
	var asked []string
	answers := map[string]string{
		"/v3/videos/v": `{"data":{"id":"v","status":"completed","video_url":"https://f/v","gif_url":null,"captioned_video_url":"https://f/c",
			"title":"https","duration":1.5,"failure_code":null,"video_page_url":"https:\/\/app\/v"}}`,
		"/v3/videos/of-s":                         `{"data":{"id":"of-s","status":"completed","video_url":"https://f/s"}}`,
		"/v3/videos/x%20&y":                       `{"data":{"status":"processing"}}`,
		"/v3/video-translations/t":                `{"data":{"id":"t","status":"completed","video_url":"https://f/t","audio_url":"https://f/a","srt_caption_url":"https://f/srt"}}`,
		"/v3/video-agents/s":                      `{"data":{"session_id":"s","status":"completed","video_id":"of-s"}}`,
		"/v3/video-agents/none":                   `{"data":{"session_id":"none","status":"thinking","video_id":null}}`,
		"/v3/video-agents/astray":                 `{"data":{"session_id":"astray","status":"completed","video_id":"../webhooks/endpoints"}}`,
		"/v3/ai-clipping/j":                       `{"data":{"id":"j","status":"completed","clips":[{"id":"1","video_url":"https://f/1"},{"video_url":null},{"thumbnail_url":"https://f/3"}]}}`,
		"/v3/hyperframes/renders/r":               `{"data":{"status":"completed","video_url":"https://f/r"}}`,
		"/v3/video-translations/proofreads/p":     `{"data":{"id":"p","status":"completed"}}`,
		"/v3/video-translations/proofreads/p/srt": `{"data":{"srt_url":"https://f/p","original_srt_url":null}}`,
		"/v3/video-translations/proofreads/q":     `{"data":{"id":"q","status":"failed"}}`,
	}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.EscapedPath())
		if body, ok := answers[r.URL.EscapedPath()]; ok {
			text(200, body)(w, r)
			return
		}
		text(404, `{"error":{"code":"not_found"}}`)(w, r)
	})
	for _, tt := range []struct {
		r     Resource
		want  Fresh
		asked []string
	}{
		{Resource{VideoResource, "v"}, Fresh{Status: "completed", Links: []Link{{"video_url", 0, "https://f/v"}, {"captioned_video_url", 0, "https://f/c"}, {"video_page_url", 0, "https://app/v"}}},
			[]string{"/v3/videos/v"}},
		{Resource{VideoResource, "x &y"}, Fresh{Status: "processing"}, []string{"/v3/videos/x%20&y"}},
		{Resource{TranslationResource, "t"}, Fresh{Status: "completed", Links: []Link{{"video_url", 0, "https://f/t"}, {"audio_url", 0, "https://f/a"}, {"srt_caption_url", 0, "https://f/srt"}}},
			[]string{"/v3/video-translations/t"}},
		{Resource{SessionResource, "s"}, Fresh{Status: "completed", Links: []Link{{"video_url", 0, "https://f/s"}}, video: ""},
			[]string{"/v3/video-agents/s", "/v3/videos/of-s"}},
		{Resource{SessionResource, "none"}, Fresh{Status: "thinking"}, []string{"/v3/video-agents/none"}},
		{Resource{SessionResource, "astray"}, Fresh{Status: "completed", video: "../webhooks/endpoints"}, []string{"/v3/video-agents/astray"}},
		{Resource{ClippingResource, "j"}, Fresh{Status: "completed", Clips: 3, Links: []Link{{"video_url", 1, "https://f/1"}, {"thumbnail_url", 3, "https://f/3"}}},
			[]string{"/v3/ai-clipping/j"}},
		{Resource{RenderResource, "r"}, Fresh{Status: "completed", Links: []Link{{"video_url", 0, "https://f/r"}}}, []string{"/v3/hyperframes/renders/r"}},
		{Resource{ProofreadResource, "p"}, Fresh{Links: []Link{{"srt_url", 0, "https://f/p"}}},
			[]string{"/v3/video-translations/proofreads/p", "/v3/video-translations/proofreads/p/srt"}},
		{Resource{ProofreadResource, "q"}, Fresh{Status: "failed"}, []string{"/v3/video-translations/proofreads/q"}},
	} {
		asked = nil
		got, err := c.Fresh(t.Context(), tt.r)
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(Fresh{})); err != nil || diff != "" {
			t.Errorf("%v: %v, -want +got\n%s", tt.r, err, diff)
		}
		if !slices.Equal(asked, tt.asked) {
			t.Errorf("%v: asked for %q", tt.r, asked)
		}
	}
	for _, r := range []Resource{{VideoResource, ".."}, {VideoResource, "a/b"}, {VideoResource, ""}, {"planet", "x"}} {
		asked = nil
		if _, err := c.Fresh(t.Context(), r); !errors.Is(err, ErrRequest) || asked != nil {
			t.Errorf("%v: %v, asked for %q", r, err, asked)
		}
	}
}

func TestFreshFaults(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		kind   error
	}{
		{404, `{"error":{"code":"not_found"}}`, ErrRequest},
		{403, ``, ErrCredentials},
		{429, ``, ErrUnreachable},
		{500, `<html>`, ErrUnreachable},
		{200, `<html>`, ErrUnreadable},
		{200, `{}`, ErrUnreadable},
		{200, `{"data":[]}`, ErrUnreadable},
		{200, `{"data":{"status":"completed"},"error":{"code":"x"}}`, ErrUnreadable},
		{302, ``, ErrUnreachable},
	} {
		c := serve(t, text(tt.status, tt.body, "Location", "http://elsewhere.invalid/"), func(o *Options) { o.Attempts = 1 })
		f, err := c.Fresh(t.Context(), Resource{VideoResource, "v"})
		var e *Error
		if !errors.Is(err, tt.kind) || !errors.As(err, &e) || e.Status != tt.status || len(f.Links) > 0 {
			t.Errorf("%d %s: %+v, %v", tt.status, tt.body, f, err)
		}
	}
}
