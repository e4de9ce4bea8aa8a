package heygen

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The links of the tests, as of 1 April 2026: gone, about to go, good for days.
const (
	gone = "?Expires=1774440000&Signature=old~&Key-Pair-Id=K"
	soon = "?Expires=1775003400&Signature=soon~&Key-Pair-Id=K"
	good = "?Expires=1775600000&Signature=new~&Key-Pair-Id=K"
)

func april() time.Time { return time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC) }

func TestRenew(t *testing.T) {
	h := "https://files.heygen.ai"
	video := func(links ...Link) Fresh { return Fresh{Status: "completed", Links: links} }
	link := func(name, path string) Link { return Link{Name: name, URL: h + path + good} }
	clip := func(n int, path string) Link { return Link{Name: "video_url", Clip: n, URL: h + path + good} }
	tests := []struct {
		name, data string
		fresh      Fresh
		want       string // data when ""
		did        Renewal
	}{
		{
			name: "nothing has expired", data: `{"url":"` + h + `/v.mp4` + good + `"}`,
			fresh: video(link("video_url", "/v.mp4")),
		},
		{
			name: "by path, whatever the name", data: `{"url":"` + h + `/captioned.mp4` + gone + `"}`,
			fresh: video(link("video_url", "/clean.mp4"), link("captioned_video_url", "/captioned.mp4")),
			want:  `{"url":"` + h + `/captioned.mp4` + good + `"}`, did: Renewal{ByPath: []string{"url"}},
		},
		{
			name: "by path from another host", data: `{"url":"https://old.heygen.ai/v.mp4` + gone + `"}`,
			fresh: video(link("video_url", "/v.mp4")),
			want:  `{"url":"` + h + `/v.mp4` + good + `"}`, did: Renewal{ByPath: []string{"url"}},
		},
		{
			name:  "by the table",
			data:  `{"url":"` + h + `/a.mp4` + gone + `","gif_download_url":"` + h + `/a.gif` + gone + `","caption_url":"` + h + `/a.srt` + gone + `","thumbnail_url":"` + h + `/a.jpg` + gone + `"}`,
			fresh: video(link("video_url", "/b.mp4"), link("gif_url", "/b.gif"), link("subtitle_url", "/b.srt"), link("thumbnail_url", "/b.jpg")),
			want:  `{"url":"` + h + `/b.mp4` + good + `","gif_download_url":"` + h + `/b.gif` + good + `","caption_url":"` + h + `/b.srt` + good + `","thumbnail_url":"` + h + `/b.jpg` + good + `"}`,
			did:   Renewal{ByName: []string{"url", "gif_download_url", "caption_url", "thumbnail_url"}},
		},
		{
			name: "white space, escapes, twice, null", data: "{ \"video_id\" : \"v\\u0041\",\n\"url\":\t\"https:\\/\\/files.heygen.ai\\/v.mp4" + strings.ReplaceAll(gone, "&", `\u0026`) + "\" , \"url\":null,\"x\":\"\xff&<\"}",
			fresh: video(link("video_url", "/v.mp4")),
			want:  "{ \"video_id\" : \"v\\u0041\",\n\"url\":\t\"https://files.heygen.ai/v.mp4" + good + "\" , \"url\":null,\"x\":\"\xff&<\"}",
			did:   Renewal{ByPath: []string{"url"}},
		},
		{
			name: "about to expire", data: `{"url":"` + h + `/v.mp4` + soon + `"}`,
			fresh: video(link("video_url", "/v.mp4")), want: `{"url":"` + h + `/v.mp4` + good + `"}`, did: Renewal{ByPath: []string{"url"}},
		},
		{
			name: "Amazon's form", data: `{"url":"` + h + `/v.mp4?X-Amz-Date=20260301T000000Z&X-Amz-Expires=604800"}`,
			fresh: video(link("video_url", "/v.mp4")), want: `{"url":"` + h + `/v.mp4` + good + `"}`, did: Renewal{ByPath: []string{"url"}},
		},
		{
			name: "the fresh one has expired, too", data: `{"url":"` + h + `/v.mp4` + gone + `"}`,
			fresh: video(Link{Name: "video_url", URL: h + "/v.mp4" + gone}), did: Renewal{Kept: []string{"url"}},
		},
		{
			name: "the fresh one expires no later", data: `{"url":"` + h + `/v.mp4` + soon + `"}`,
			fresh: video(Link{Name: "video_url", URL: h + "/v.mp4" + soon}), did: Renewal{Kept: []string{"url"}},
		},
		{
			name: "the fresh one is no link", data: `{"url":"` + h + `/v.mp4` + gone + `"}`,
			fresh: video(Link{Name: "video_url", URL: "ftp://files.heygen.ai/v.mp4"}, Link{Name: "video_url", URL: "https://"}, Link{Name: "video_url", URL: "https://a b/v.mp4"}),
			did:   Renewal{Kept: []string{"url"}},
		},
		{
			name: "a video is no answer for a GIF", data: `{"url":"` + h + `/v.gif` + gone + `"}`,
			fresh: video(link("video_url", "/v.mp4")), did: Renewal{Kept: []string{"url"}},
		},
		{
			name: "no names inside other objects", data: `{"contact_info":{"url":"` + h + `/a.mp4` + gone + `"},"list":["` + h + `/v.mp4` + gone + `"]}`,
			fresh: video(link("video_url", "/v.mp4")), want: `{"contact_info":{"url":"` + h + `/a.mp4` + gone + `"},"list":["` + h + `/v.mp4` + good + `"]}`,
			did: Renewal{ByPath: []string{"list[0]"}, Kept: []string{"contact_info.url"}},
		},
		{
			name: "an id that is a link", data: `{"video_id":"` + h + `/v.mp4` + gone + `"}`,
			fresh: video(link("video_url", "/v.mp4")),
		},
		{
			name:  "clips by path and by position",
			data:  `{"clips":[{"video_url":"` + h + `/2.mp4` + gone + `"},{"video_url":"` + h + `/old.mp4` + gone + `"}]}`,
			fresh: Fresh{Clips: 2, Links: []Link{clip(1, "/1.mp4"), clip(2, "/2.mp4")}},
			want:  `{"clips":[{"video_url":"` + h + `/2.mp4` + good + `"},{"video_url":"` + h + `/2.mp4` + good + `"}]}`,
			did:   Renewal{ByPath: []string{"clips[0].video_url"}, ByName: []string{"clips[1].video_url"}},
		},
		{
			name: "clips of another number", data: `{"clips":[{"video_url":"` + h + `/old.mp4` + gone + `"}]}`,
			fresh: Fresh{Clips: 2, Links: []Link{clip(1, "/1.mp4"), clip(2, "/2.mp4")}}, did: Renewal{Kept: []string{"clips[0].video_url"}},
		},
		{
			name: "a translation", data: `{"video_url":"` + h + `/a.mp4` + gone + `","audio_url":"` + h + `/a.mp3` + gone + `","vtt_caption_url":"` + h + `/a.vtt` + gone + `"}`,
			fresh: video(link("video_url", "/b.mp4"), link("audio_url", "/b.mp3"), link("srt_caption_url", "/b.srt"), link("vtt_caption_url", "/b.vtt")),
			want:  `{"video_url":"` + h + `/b.mp4` + good + `","audio_url":"` + h + `/b.mp3` + good + `","vtt_caption_url":"` + h + `/b.vtt` + good + `"}`,
			did:   Renewal{ByName: []string{"video_url", "audio_url", "vtt_caption_url"}},
		},
		{name: "no JSON", data: `{"url":"` + h + `/v.mp4` + gone + `"`, fresh: video(link("video_url", "/v.mp4"))},
		{name: "no object", data: `"` + h + `/v.mp4` + gone + `"`, fresh: video(link("video_url", "/v.mp4"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == "" {
				tt.want = tt.data
			}
			got, did := Renew([]byte(tt.data), tt.fresh, april())
			if string(got) != tt.want {
				t.Errorf("renewed\n%s\nis\n%s\nwant\n%s", tt.data, got, tt.want)
			}
			if diff := cmp.Diff(tt.did, did); diff != "" {
				t.Errorf("what was done: -want +got\n%s", diff)
			}
			if n := StaleLinks([]byte(tt.data), april()); n != len(did.ByName)+len(did.ByPath)+len(did.Kept) {
				t.Errorf("%d stale links for %+v", n, did)
			}
		})
	}
}

func TestResource(t *testing.T) {
	tests := []struct {
		typ, data string
		want      Resource
		ok        bool
	}{
		{"avatar_video.success", `{"video_id":"v"}`, Resource{VideoResource, "v"}, true},
		{"avatar_video_gif.success", `{"callback_id":"c","video\u005fid":"v"}`, Resource{VideoResource, "v"}, true},
		{"avatar_video.success", `{"video_id":"v","video_id":"w"}`, Resource{VideoResource, "w"}, true},
		{"avatar_video.success", `{"video_id":7}`, Resource{VideoResource, "7"}, true},
		{"personalized_video", `{"project_id":"p","video_id":"v"}`, Resource{VideoResource, "v"}, true},
		{"personalized_video", `{"project_id":"p"}`, Resource{}, false},
		{"video_translate.success", `{"video_translate_id":"t"}`, Resource{TranslationResource, "t"}, true},
		{"video_translate.success", `{"id":"t"}`, Resource{TranslationResource, "t"}, true},
		{"video_agent.success", `{"session_id":"s","video_id":"v"}`, Resource{VideoResource, "v"}, true},
		{"video_agent.success", `{"session_id":"s"}`, Resource{SessionResource, "s"}, true},
		{"hyperframes_video.success", `{"render_id":"r"}`, Resource{RenderResource, "r"}, true},
		{"ai_clipping.success", `{"id":"j","clips":[]}`, Resource{ClippingResource, "j"}, true},
		{"proofread_creation.success", `{"proofread_id":"p","video_translate_id":"t"}`, Resource{ProofreadResource, "p"}, true},
		{"new.type", `{"id":"x"}`, Resource{}, false},
		{"new.type", `{"render_id":"r","video_id":"v"}`, Resource{RenderResource, "r"}, true},
		{"avatar_video.success", `{"video_id":null}`, Resource{}, false},
		{"avatar_video.success", `{"video_id":"../webhooks/endpoints"}`, Resource{VideoResource, "../webhooks/endpoints"}, false},
		{"avatar_video.success", `{"video_id":".."}`, Resource{VideoResource, ".."}, false},
		{"avatar_video.success", `{"video_id":"a\/b"}`, Resource{VideoResource, "a/b"}, false},
		{"avatar_video.success", `{"video_id":"a%2fb"}`, Resource{VideoResource, "a%2fb"}, false},
		{"avatar_video.success", `{"video_id":"a\\b"}`, Resource{VideoResource, `a\b`}, false},
		{"avatar_video.success", `{"video_id":"a?b"}`, Resource{VideoResource, "a?b"}, false},
		{"avatar_video.success", `{"video_id":"a\nb"}`, Resource{VideoResource, "a\nb"}, false},
		{"avatar_video.success", `[]`, Resource{}, false},
	}
	for _, tt := range tests {
		got, ok := Event{Type: tt.typ, Data: []byte(tt.data)}.Resource()
		if got != tt.want || ok != tt.ok {
			t.Errorf("%s %s: %v, %v, want %v, %v", tt.typ, tt.data, got, ok, tt.want, tt.ok)
		}
	}
}
