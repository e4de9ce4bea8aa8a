package simulate

import (
	"math/rand/v2"
	"net/http"
	"time"
)

func (w *World) serveEventTypes(rw http.ResponseWriter, _ *http.Request, _ *rand.Rand) {
	type row struct {
		EventType   string `json:"event_type"`
		Description string `json:"description"`
	}
	rows := []row{}
	for _, k := range w.kinds {
		rows = append(rows, row{k.name, k.about})
	}
	writeList(rw, rows, "")
}

// writeList answers a list; a token says that more follows.
func writeList[T any](rw http.ResponseWriter, rows []T, token string) {
	list := struct {
		Data      []T     `json:"data"`
		HasMore   bool    `json:"has_more"`
		NextToken *string `json:"next_token"`
	}{Data: rows}
	if token != "" {
		list.HasMore, list.NextToken = true, &token
	}
	writeJSON(rw, http.StatusOK, list)
}

// videoRow is a video as the API describes it. Its links have the paths of those in the events
// and a fresh signature.
type videoRow struct {
	ID             string   `json:"id"`
	Title          *string  `json:"title"`
	Status         string   `json:"status"`
	VideoURL       *string  `json:"video_url"`
	GIFURL         *string  `json:"gif_url"`
	CaptionedURL   *string  `json:"captioned_video_url"`
	SubtitleURL    *string  `json:"subtitle_url"`
	ThumbnailURL   *string  `json:"thumbnail_url"`
	PageURL        *string  `json:"video_page_url"`
	Duration       *float64 `json:"duration"`
	FolderID       *string  `json:"folder_id"`
	CreatedAt      int64    `json:"created_at"`
	CompletedAt    *int64   `json:"completed_at"`
	FailureCode    *string  `json:"failure_code,omitempty"`
	FailureMessage *string  `json:"failure_message,omitempty"`
}

// videoEventLocked finds the newest event that tells a video's end.
func (w *World) videoEventLocked(id string) (event, bool) {
	ats := w.bearersLocked(id)
	for i := len(ats) - 1; i >= 0; i-- {
		if e := w.eventLocked(ats[i]); e.kind.family == video {
			return e, true
		}
	}
	return event{}, false
}

func (w *World) videoRow(e event, now time.Time, draw *rand.Rand) videoRow {
	id := w.entityOf(e)
	v := videoRow{ID: id, Status: "completed", CreatedAt: e.created.Add(-3 * time.Minute).Unix()}
	if e.kind.failed {
		v.Status = "failed"
		v.FailureCode, v.FailureMessage = ptr("rendering_failed"), ptr("The video could not be rendered.")
		return v
	}
	link := func(path, suffix string) *string {
		return ptr(signedLink(draw, path+id+suffix, now.Add(linkLife)))
	}
	switch e.kind.family {
	case agent:
		v.VideoURL, v.GIFURL = link("/agent/", ".mp4"), link("/gif/", ".gif")
	case personalized:
		v.VideoURL, v.GIFURL = link("/personalized/", ".mp4"), link("/personalized/", ".gif")
	default:
		v.VideoURL, v.GIFURL = link("/video/", ".mp4"), link("/gif/", ".gif")
	}
	v.SubtitleURL, v.ThumbnailURL = link("/caption/", ".srt"), link("/thumbnail/", ".jpg")
	v.PageURL = ptr("https://app.heygen.invalid/videos/" + id)
	v.Title, v.Duration = ptr("Video "+id[:min(8, len(id))]), ptr(12.5)
	v.CompletedAt = ptr(e.created.Unix())
	return v
}

func ptr[T any](v T) *T { return &v }

// serveVideos lists the videos that have an event, newest first, one row for each.
func (w *World) serveVideos(rw http.ResponseWriter, r *http.Request, draw *rand.Rand) {
	v := r.URL.Query()
	limit, bad := limitOf(v)
	from := cursor{begin: true}
	if token := v.Get("token"); bad == nil && token != "" {
		var ok bool
		if from, ok = decodeCursor(w.key, "videos", token); !ok {
			bad = invalid("token", "'token' is invalid or has expired.")
		}
	}
	if bad != nil {
		bad.write(rw)
		return
	}
	now := w.now()
	events, more := w.videoEvents(from, limit)
	rows := []videoRow{}
	for _, e := range events {
		rows = append(rows, w.videoRow(e, now, draw))
	}
	token := ""
	if more {
		token = cursor{after: events[len(events)-1].at}.encode(w.key, "videos")
	}
	writeList(rw, rows, token)
}

// videoEvents picks, newest first, the last telling event of each video.
func (w *World) videoEvents(from cursor, limit int) (found []event, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for at := range w.downwards(from) {
		e := w.eventLocked(at)
		if e.kind.family != video {
			continue
		}
		if last, ok := w.videoEventLocked(w.entityOf(e)); !ok || last.at != at {
			continue
		}
		if len(found) == limit {
			return found, true
		}
		found = append(found, e)
	}
	return found, false
}
