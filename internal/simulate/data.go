package simulate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// payload is what event_data is made from. Everything in it follows from the seed and the
// event, so the same event always has the same bytes.
type payload struct {
	r       *rand.Rand
	o       *object
	kind    kind
	entity  string
	expires time.Time // of every link in it
}

// eventData writes the event_data of an event. kinds of one family differ only in their name
// and in whether they failed.
func eventData(r *rand.Rand, k kind, entity string, expires time.Time) []byte {
	p := &payload{r: r, o: styled(r), kind: k, entity: entity, expires: expires}
	p.fields()
	return p.o.end()
}

func (p *payload) fields() {
	switch p.kind.family {
	case video:
		p.video()
	case videoGIF:
		p.result("video_id", "gif_url", "/gif/%s.gif")
	case caption:
		p.result("video_id", "caption_url", "/caption/%s.srt")
	case translation:
		p.translation()
	case personalized:
		p.personalized()
	case agent:
		p.agent()
	case render:
		p.result("render_id", "video_url", "/render/%s.mp4")
	case clipping:
		p.clipping()
	case batch:
		p.batch()
	case avatar:
		p.result("avatar_id", "", "")
	case photoAvatar:
		p.result("group_id", "", "")
	case proofread:
		p.result("proofread_id", "url", "/proofread/%s.srt")
	case live:
		p.result("session_id", "", "")
	default:
		p.result("id", "", "")
	}
}

// result is the plain shape: an id, a link or a message, the callback id.
func (p *payload) result(idField, linkField, path string) {
	p.o.text(idField, p.entity)
	switch {
	case p.kind.failed:
		p.o.text("msg", trouble(p.r))
	case linkField != "":
		p.link(linkField, path)
	}
	p.callback()
}

func (p *payload) link(field, path string) {
	p.o.link(field, signedLink(p.r, fmt.Sprintf(path, p.entity), p.expires))
}

func (p *payload) callback() {
	switch p.r.IntN(3) {
	case 0:
		p.o.maybe("callback_id", "")
	case 1:
		p.o.text("callback_id", fmt.Sprintf("order-%06d", p.r.IntN(1_000_000)))
	default:
		p.o.text("callback_id", fmt.Sprintf("%s #%d", title(p.r), p.r.IntN(1_000_000)))
	}
}

// video writes one of the two shapes that are known of avatar_video.success.
func (p *payload) video() {
	if p.kind.failed {
		p.result("video_id", "", "")
		return
	}
	p.o.text("video_id", p.entity)
	if p.r.IntN(4) == 0 {
		p.link("video_url", "/video/%s.mp4")
		p.link("thumbnail_url", "/thumbnail/%s.jpg")
		p.o.float("duration", float64(p.r.IntN(90_000))/100)
		p.o.text("title", title(p.r))
		p.callback()
		return
	}
	p.link("url", "/video/%s.mp4")
	p.link("gif_download_url", "/gif/%s.gif")
	p.o.text("video_page_url", "https://app.heygen.invalid/videos/"+p.entity)
	p.o.text("video_share_page_url", "https://app.heygen.invalid/share/"+p.entity)
	p.o.maybe("folder_id", folder(p.r))
	p.callback()
}

func (p *payload) translation() {
	p.o.text("video_translate_id", p.entity)
	p.o.text("output_language", pick(p.r, "German", "Español (México)", "日本語", "العربية", "Português (Brasil)"))
	if p.kind.failed {
		p.o.text("message", trouble(p.r))
	} else {
		p.link("url", "/translation/%s.mp4")
	}
	p.callback()
}

func (p *payload) personalized() {
	p.o.text("project_id", p.entity)
	p.o.text("video_id", videoOf(p.entity))
	p.link("video_url", "/personalized/%s.mp4")
	p.link("gif_url", "/personalized/%s.gif")
	p.o.text("landing_page_url", "https://app.heygen.invalid/landing/"+p.entity)
	inner := *p.o
	inner.b, inner.n = []byte{'{'}, 0
	inner.text("first_name", pick(p.r, "Zoë", "Nguyễn", "O'Brien", "李雷", "Şule", `Bob "Bobby"`))
	inner.text("company", pick(p.r, "Smith & Sons", "<Acme>", "A/B Testing", "Müller GmbH"))
	p.o.raw("contact_info", string(inner.end()))
}

// agent leaves the link out now and then, as the live API was seen to do.
func (p *payload) agent() {
	p.o.text("session_id", p.entity)
	if p.kind.failed {
		p.o.text("msg", trouble(p.r))
		p.callback()
		return
	}
	p.o.text("video_id", videoOf(p.entity))
	if p.r.IntN(4) > 0 {
		p.link("url", "/agent/%s.mp4")
	}
	p.callback()
}

// videoOf is the id of the video of a session or project, and the other way round.
func videoOf(entity string) string {
	id := []byte(entity)
	slices.Reverse(id)
	return string(id)
}

func (p *payload) clipping() {
	p.o.text("id", p.entity)
	p.o.text("status", pick(p.r, "completed", "partial"))
	clips := []byte{'['}
	for i := range 1 + p.r.IntN(3) {
		if i > 0 {
			clips = append(clips, ',')
		}
		clip := *p.o
		clip.b, clip.n = []byte{'{'}, 0
		clip.text("title", title(p.r))
		clip.link("video_url", signedLink(p.r, fmt.Sprintf("/clip/%s-%d.mp4", p.entity, i), p.expires))
		clips = append(clips, clip.end()...)
	}
	p.o.raw("clips", string(append(clips, ']')))
	p.callback()
}

func (p *payload) batch() {
	p.o.text("batch_id", p.entity)
	p.o.raw("total", fmt.Sprint(1+p.r.IntN(500)))
	p.o.raw("failed", fmt.Sprint(p.r.IntN(5)))
	p.callback()
}

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

func folder(r *rand.Rand) string {
	if r.IntN(2) == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", r.Uint64())
}

// title has the bytes that careless JSON handling changes.
func title(r *rand.Rand) string {
	return pick(r,
		"Q3 results & outlook <final>", "製品紹介 🎬", "Zürich–Genève, “naïve” cut", "Привет, мир",
		"100% \\o/ done", "a/b test: \"B\" wins", "family 👨\u200d👩\u200d👧", "line\u2028separator", "tab\tand\nnewline", "e\u0301 is not \u00e9",
	)
}

func trouble(r *rand.Rand) string {
	return pick(r,
		"Render failed: scene 3 has no <voice>.", "Audio & video have different lengths.",
		"The source could not be read: déjà supprimé.", "No credit left.", "内部エラー",
	)
}
