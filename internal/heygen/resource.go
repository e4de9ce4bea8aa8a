package heygen

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// ResourceKind is a kind of thing that HeyGen makes and an event tells of. Its
// text is the word for people.
type ResourceKind string

// The kinds that have links.
const (
	VideoResource       ResourceKind = "video"
	TranslationResource ResourceKind = "translation"
	SessionResource     ResourceKind = "video agent session"
	ClippingResource    ResourceKind = "clipping job"
	RenderResource      ResourceKind = "render"
	ProofreadResource   ResourceKind = "proofread"
)

// path is where the API serves a resource, but for the id at the end.
func (k ResourceKind) path() []string {
	switch k {
	case VideoResource:
		return []string{"v3", "videos"}
	case TranslationResource:
		return []string{"v3", "video-translations"}
	case SessionResource:
		return []string{"v3", "video-agents"}
	case ClippingResource:
		return []string{"v3", "ai-clipping"}
	case RenderResource:
		return []string{"v3", "hyperframes", "renders"}
	case ProofreadResource:
		return []string{"v3", "video-translations", "proofreads"}
	}
	return nil
}

// Resource names one thing that HeyGen made.
type Resource struct {
	Kind ResourceKind
	ID   string
}

// Resource tells what can be asked for the links of the event anew. False when
// nothing is known that could be, or when the id could lead a path elsewhere.
func (e Event) Resource() (Resource, bool) {
	told := map[string]string{}
	for c := open(e.Data, '{'); c.more(); {
		name, value := string(plainName(c.name())), c.value()
		if strings.HasSuffix(name, `id"`) && usable(value) {
			told[name] = scalarText(value) // one that stands twice counts as most receivers read it
		}
	}
	for _, b := range bearers(e.Type) {
		if id, ok := told[`"`+b.field+`"`]; ok {
			return Resource{b.kind, id}, safeInPath(id)
		}
	}
	return Resource{}, false
}

// bearer is a field of event_data whose value is the id of a resource.
type bearer struct {
	field string
	kind  ResourceKind
}

// bearers lists the fields that name the resource of an event type, the surest
// first. A type that nobody knows yet is told by its fields.
func bearers(eventType string) []bearer {
	family, _, _ := strings.Cut(eventType, ".")
	switch family {
	case "avatar_video", "avatar_video_gif", "avatar_video_caption":
		return []bearer{{"video_id", VideoResource}, {"id", VideoResource}}
	case "personalized_video":
		return []bearer{{"video_id", VideoResource}}
	case "video_translate":
		return []bearer{{"video_translate_id", TranslationResource}, {"video_translation_id", TranslationResource}, {"id", TranslationResource}}
	case "video_agent": // the session only leads to the video
		return []bearer{{"video_id", VideoResource}, {"session_id", SessionResource}}
	case "hyperframes_video":
		return []bearer{{"render_id", RenderResource}, {"id", RenderResource}}
	case "ai_clipping":
		return []bearer{{"ai_clipping_id", ClippingResource}, {"job_id", ClippingResource}, {"id", ClippingResource}}
	case "proofread_creation":
		return []bearer{{"proofread_id", ProofreadResource}, {"id", ProofreadResource}}
	}
	return []bearer{
		{"render_id", RenderResource}, {"video_translate_id", TranslationResource}, {"video_translation_id", TranslationResource},
		{"video_id", VideoResource}, {"session_id", SessionResource}, {"ai_clipping_id", ClippingResource}, {"proofread_id", ProofreadResource},
	}
}

// safeInPath reports whether an id stays one part of a path. It is escaped
// anyway; but what looks like a way up, or was escaped already, is no id, and
// what stands between us and the API may read it as one.
func safeInPath(id string) bool {
	return printableID(id) && id != "." && !strings.Contains(id, "..") && !strings.ContainsAny(id, `/\%?#`)
}

// Fresh is what HeyGen has of a resource now. Its links are signed: they are
// secrets.
type Fresh struct {
	Status string // completed, processing, failed …, an open set; "": untold
	Links  []Link
	Clips  int // how many clips a clipping job has

	video string // the video of a session
}

// Link is one link of a resource.
type Link struct {
	Name string // of its field, as in video_url
	Clip int    // the number of its clip, from 1 on; 0: it belongs to the whole
	URL  string
}

// Complete reports whether the resource is ready, as far as its status tells.
func (f Fresh) Complete() bool { return f.Status == "" || strings.EqualFold(f.Status, "completed") }

// Fresh asks for a resource as it is now. A session is followed to its video,
// a proofread to its subtitles. An unknown id is an error with Status 404.
func (c *Client) Fresh(ctx context.Context, r Resource) (Fresh, error) {
	f, err := c.resource(ctx, r)
	switch {
	case err != nil:
		return f, err
	case r.Kind == SessionResource && safeInPath(f.video):
		return c.resource(ctx, Resource{VideoResource, f.video})
	case r.Kind == ProofreadResource && f.Complete() && len(f.Links) == 0:
		return c.resource(ctx, r, "srt")
	}
	return f, nil
}

// resource makes one request. Behind the id further parts of the path may come.
func (c *Client) resource(ctx context.Context, r Resource, further ...string) (f Fresh, err error) {
	doing := "get " + string(r.Kind)
	if r.Kind.path() == nil || !safeInPath(r.ID) {
		return f, &Error{Kind: ErrRequest, Doing: doing, Hint: "its id is none that HeyGen gives"}
	}
	err = c.get(ctx, request{
		doing: doing,
		path:  slices.Concat(r.Kind.path(), []string{url.PathEscape(r.ID)}, further),
		bound: maxObject,
		hint:  "it is gone, belongs to another account, or never was",
		decode: func(body []byte, _ answer) (time.Time, error) {
			f, err = readFresh(body)
			return time.Time{}, err
		},
	})
	return f, err
}

func readFresh(body []byte) (f Fresh, err error) {
	var a struct {
		Data  jsontext.Value `json:"data"`
		Error jsontext.Value `json:"error"`
	}
	if err := unmarshal(body, &a); err != nil {
		return f, err
	}
	if err := refusedBy(a.Error); err != nil {
		return f, err
	}
	if a.Data.Kind() != '{' {
		return f, unreadable("no resource in it")
	}
	for c := open(a.Data, '{'); c.more(); {
		switch name, value := string(plainName(c.name())), c.value(); {
		case name == `"clips"`:
			f.clips(value)
		case value[0] != '"':
		case name == `"status"`:
			f.Status = scalarText(value)
		case name == `"video_id"`:
			f.video = scalarText(value)
		default:
			f.link(name, 0, value)
		}
	}
	return f, nil
}

func (f *Fresh) clips(list []byte) {
	for c := open(list, '['); c.more(); {
		f.Clips++
		for in := open(c.value(), '{'); in.more(); {
			if name, value := string(plainName(in.name())), in.value(); len(value) > 0 && value[0] == '"' {
				f.link(name, f.Clips, value)
			}
		}
	}
}

// maxLinks bounds what is kept of one resource.
const maxLinks = 1000

// link takes a text of the resource in where it is a link.
func (f *Fresh) link(name string, clip int, value []byte) {
	if text := scalarText(value); absolute([]byte(text)) && len(f.Links) < maxLinks {
		f.Links = append(f.Links, Link{strings.Trim(name, `"`), clip, text})
	}
}
