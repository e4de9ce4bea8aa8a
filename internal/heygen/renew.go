package heygen

import (
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// nearExpiry is how long a link must still work to be sent as it is. A
	// receiver that has answered 2xx may fetch minutes later, from a queue of its
	// own; and a link that HeyGen makes anew lives for days, so that an hour is
	// never too much to ask.
	nearExpiry = time.Hour

	maxLink = 16 << 10 // a fresh link beyond this is none
)

// Renewal is what became of the links of an event that had expired, or were
// about to. A link is told by the name of its field, as in clips[0].video_url.
type Renewal struct {
	ByPath []string // renewed: a fresh link leads to the same path
	ByName []string // renewed: the fresh link of that name leads elsewhere
	Kept   []string // as they were: there is no fresh link for them
}

// StaleLinks counts the links in event_data that have expired by now or will
// within the hour, as far as Renew could replace them.
func StaleLinks(data []byte, now time.Time) int {
	found, _ := staleLinks(data, now)
	return len(found)
}

// Renew replaces in event_data the links that have expired by now, or will
// within the hour, by those of the resource, and tells what it did. A fresh link
// with the path of the old one is taken, whatever its name; else the one of the
// name that belongs to the field; never one that expires no later than the old
// one. Every other byte of event_data stays as it is, and so does the event's
// Fact, which has no links in it. data itself is not changed.
func Renew(data []byte, f Fresh, now time.Time) ([]byte, Renewal) {
	found, clips := staleLinks(data, now)
	var r Renewal
	var out []byte
	done := 0
	for _, old := range found {
		link, how := f.match(old, clips, now)
		switch how {
		case byPath:
			r.ByPath = append(r.ByPath, old.name)
		case byName:
			r.ByName = append(r.ByName, old.name)
		default:
			r.Kept = append(r.Kept, old.name)
			continue
		}
		out = append(out, data[done:old.from]...)
		out, _ = jsontext.AppendQuote(out, link) // & stays &; it is UTF-8
		done = old.to
	}
	if done == 0 {
		return data, r
	}
	return append(out, data[done:]...), r
}

// staleLink is a link in event_data that is to be renewed.
type staleLink struct {
	from, to int // in event_data, with the quotes
	name     string
	field    string // the last part of its name; "" in a list or deep inside, where no name tells what it is
	clip     int    // the number of the clip it belongs to, from 1 on; 0: none
	url      *url.URL
	until    time.Time
}

// staleLinks finds what to renew, and how many clips event_data has.
func staleLinks(data []byte, now time.Time) (found []staleLink, clips int) {
	f := finder{data: data, due: now.Add(nearExpiry)}
	if at := skipSpace(data, 0); at < len(data) && data[at] == '{' && jsontext.Value(data).IsValid(lenient()...) {
		f.object(at, 1, spot{named: true})
	}
	return f.found, f.clips
}

// finder steps through event_data, which is JSON.
type finder struct {
	data  []byte
	due   time.Time // links that expire until then are found
	found []staleLink
	clips int
}

// spot is where in event_data a value stands.
type spot struct {
	path  string
	field string
	clip  int
	named bool // names tell what is meant: at the top, and in a clip
}

// value steps over the value at i and returns the index after it.
func (f *finder) value(i, depth int, at spot) int {
	switch {
	case depth > maxFactDepth:
		return skipValue(f.data, i)
	case f.data[i] == '{':
		return f.object(i, depth+1, at)
	case f.data[i] == '[':
		return f.array(i, depth+1, at)
	case f.data[i] == '"':
		end := skipString(f.data, i)
		f.text(i, end, at)
		return end
	}
	return skipScalar(f.data, i)
}

func (f *finder) object(i, depth int, at spot) int {
	c := cursor{f.data, i + 1}
	for c.more() {
		name := plainName(c.name())
		if depth == 1 && rank(name) != none { // an id, even if it looks like a link
			c.i = skipValue(f.data, c.i)
			continue
		}
		field := strings.Trim(string(name), `"`)
		kind := f.data[c.i]
		c.i = f.value(c.i, depth, spot{
			path: joined(at.path, ".", field), field: field, clip: at.clip,
			named: at.named && (kind == '"' || depth == 1 && kind == '[' && field == "clips"),
		})
	}
	return c.i
}

func (f *finder) array(i, depth int, at spot) int {
	clips := at.named && at.field == "clips"
	c := cursor{f.data, i + 1}
	for n := 0; c.more(); n++ {
		inner := spot{path: joined(at.path, "", "["+strconv.Itoa(n)+"]"), clip: at.clip, named: clips}
		if clips {
			inner.clip, f.clips = n+1, n+1
		}
		c.i = f.value(c.i, depth, inner)
	}
	return c.i
}

// joined adds a part to a path, as long as it stays one that people read.
func joined(to, by, part string) string {
	switch {
	case to == "":
		return part
	case len(to) > 100:
		return to
	}
	return to + by + part
}

// text notes a string where it is a link that is to be renewed.
func (f *finder) text(from, to int, at spot) {
	text, err := jsontext.AppendUnquote(nil, f.data[from:to])
	if err != nil || !absolute(text) {
		return
	}
	until, ok := expiry(text)
	if !ok || until.After(f.due) {
		return
	}
	u, err := url.Parse(string(text))
	if err != nil {
		return
	}
	old := staleLink{from: from, to: to, name: at.path, clip: at.clip, url: u, until: until}
	if at.named {
		old.field = at.field
	}
	f.found = append(f.found, old)
}

// The ways to a fresh link.
const (
	byPath = iota + 1
	byName
)

// match finds the fresh link for an old one; how is 0 when there is none.
func (f Fresh) match(old staleLink, clips int, now time.Time) (link string, how int) {
	named := ""
	for _, l := range f.Links {
		u := fresher(l.URL, old, now)
		switch {
		case u == nil:
		case u.Path == old.url.Path && len(u.Path) > 1:
			return l.URL, byPath
		case named == "" && l.Clip == old.clip && (l.Clip == 0 || clips == f.Clips) && answers(old.field, l.Name) && alike(old.url.Path, u.Path):
			named = l.URL
		}
	}
	if named != "" {
		return named, byName
	}
	return "", 0
}

// fresher reads a fresh link; nil when it is no http or https URL, has expired,
// or expires no later than the old one.
func fresher(link string, old staleLink, now time.Time) *url.URL {
	if len(link) > maxLink || !utf8.ValidString(link) || strings.ContainsFunc(link, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil
	}
	u, err := url.Parse(link)
	if err != nil || u.Host == "" || !absolute([]byte(link)) {
		return nil
	}
	if until, ok := expiry([]byte(link)); ok && (!until.After(now) || !until.After(old.until)) {
		return nil
	}
	return u
}

// answers reports whether the link of that name is what a field of event_data
// means: the one of the same name, or by what is known of events.
func answers(field, name string) bool {
	switch field {
	case "":
		return false
	case name:
		return true
	case "url":
		return name == "video_url" || name == "srt_url"
	case "video_url":
		return name == "url"
	case "gif_download_url":
		return name == "gif_url"
	case "caption_url":
		return name == "subtitle_url" || name == "srt_caption_url"
	case "subtitle_url":
		return name == "srt_caption_url"
	}
	return false
}

// alike reports whether two paths lead to files of one sort, as far as their
// endings tell: where a GIF was promised, a video is no answer.
func alike(a, b string) bool {
	x, y := sortOf(a), sortOf(b)
	return x == y || x == "" || y == ""
}

func sortOf(p string) string {
	switch strings.ToLower(path.Ext(p)) {
	case ".mp4", ".mov", ".webm", ".m4v", ".mkv":
		return "video"
	case ".gif":
		return "gif"
	case ".jpg", ".jpeg", ".png", ".webp":
		return "image"
	case ".mp3", ".wav", ".m4a", ".aac":
		return "audio"
	case ".srt", ".vtt", ".ass":
		return "captions"
	}
	return ""
}
