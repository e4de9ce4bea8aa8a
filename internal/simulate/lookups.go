package simulate

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// The resources that events tell of, as a client looks them up. Links in them have the paths of
// those in the events, and a fresh signature.

// lookUp is one request for a resource.
type lookUp struct {
	id         string
	now        time.Time
	draw       *rand.Rand
	unfinished bool // it is to be still processing
	null       bool // its links are to be null
}

// The ways in which the answer to a look-up goes wrong.
const (
	resourceGone       fault = "resource_gone"
	resourceForbidden  fault = "resource_forbidden"
	resourceError      fault = "resource_error"
	resourceUnfinished fault = "resource_unfinished"
	resourceNull       fault = "resource_null"
)

// serveLookUp answers with the resource, or as the faults want it.
func (w *World) serveLookUp(rw http.ResponseWriter, r *http.Request, draw *rand.Rand, answer func(lookUp) (any, bool)) {
	wait, what := w.Faults().drawLookUp(draw)
	w.mu.Lock()
	w.tally.lookUps++
	if what != noFault {
		w.tally.faults[string(what)]++
	}
	w.mu.Unlock()
	if !hold(r, wait) {
		return
	}
	l := lookUp{id: r.PathValue("id"), now: w.now(), draw: draw, unfinished: what == resourceUnfinished, null: what == resourceNull}
	data, ok := answer(l)
	switch {
	case what == resourceError:
		problem{[]int{500, 502, 503, 504, 520}[draw.IntN(5)], "internal_error", "Something went wrong.", ""}.write(rw)
	case what == resourceForbidden:
		problem{http.StatusForbidden, "forbidden", "This key may not read it.", ""}.write(rw)
	case what == resourceGone || !ok:
		notFound().write(rw)
	default:
		writeJSON(rw, http.StatusOK, map[string]any{"data": data})
	}
}

// drawLookUp decides about the answer to one look-up.
func (f Faults) drawLookUp(r *rand.Rand) (time.Duration, fault) {
	var wait time.Duration
	if r.Float64() < f.ResourceSlow {
		wait = or(f.ResourceSlowBy, time.Second)
	}
	u := r.Float64()
	for _, c := range []struct {
		share float64
		what  fault
	}{
		{f.ResourceGone, resourceGone}, {f.ResourceForbidden, resourceForbidden}, {f.ResourceError, resourceError},
		{f.ResourceUnfinished, resourceUnfinished}, {f.ResourceNull, resourceNull},
	} {
		if u < c.share {
			return wait, c.what
		}
		u -= c.share
	}
	return wait, noFault
}

// bearer finds the newest event of an entity that is of one of the families.
func (w *World) bearer(entity string, families ...family) (event, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ats := w.bearersLocked(entity)
	for _, f := range families {
		for i := len(ats) - 1; i >= 0; i-- {
			if e := w.eventLocked(ats[i]); e.kind.family == f {
				return e, true
			}
		}
	}
	return event{}, false
}

func (w *World) video(l lookUp) (any, bool) {
	e, ok := w.bearer(l.id, video, videoGIF, caption)
	if !ok {
		if e, ok = w.bearer(videoOf(l.id), agent, personalized); !ok {
			return nil, false
		}
	}
	row := w.videoRow(e, l.now, l.draw)
	row.ID = l.id
	if l.unfinished {
		row.Status = "processing"
	}
	if l.unfinished || l.null {
		row.VideoURL, row.GIFURL, row.SubtitleURL, row.ThumbnailURL = nil, nil, nil, nil
	}
	return row, true
}

// job is what is common to the other resources.
func (l lookUp) job(e event) map[string]any {
	status := "completed"
	switch {
	case e.kind.failed:
		status = "failed"
	case l.unfinished:
		status = "processing"
	}
	return map[string]any{"id": l.id, "status": status, "created_at": e.created.Add(-3 * time.Minute).Unix()}
}

// link is a fresh link, or null.
func (l lookUp) link(e event, path string, args ...any) any {
	if l.null || l.unfinished || e.kind.failed {
		return nil
	}
	return signedLink(l.draw, fmt.Sprintf(path, args...), l.now.Add(linkLife))
}

func (w *World) translation(l lookUp) (any, bool) {
	e, ok := w.bearer(l.id, translation)
	job := l.job(e)
	for field, suffix := range map[string]string{"video_url": "mp4", "audio_url": "mp3", "srt_caption_url": "srt", "vtt_caption_url": "vtt"} {
		job[field] = l.link(e, "/translation/%s.%s", l.id, suffix)
	}
	return job, ok
}

func (w *World) proofread(l lookUp) (any, bool) {
	e, ok := w.bearer(l.id, proofread)
	return l.job(e), ok
}

func (w *World) subtitles(l lookUp) (any, bool) {
	e, ok := w.bearer(l.id, proofread)
	return map[string]any{"srt_url": l.link(e, "/proofread/%s.srt", l.id), "original_srt_url": nil}, ok
}

// session has no link, but the id of a video, once there is one.
func (w *World) session(l lookUp) (any, bool) {
	e, ok := w.bearer(l.id, agent)
	job := l.job(e)
	job["session_id"], job["video_id"] = l.id, nil
	if delete(job, "id"); !e.kind.failed && !l.unfinished {
		job["video_id"] = videoOf(l.id)
	}
	return job, ok
}

// clipping has as many clips as its event tells of.
func (w *World) clipping(l lookUp) (any, bool) {
	e, ok := w.bearer(l.id, clipping)
	job, clips := l.job(e), []map[string]any{}
	if ok {
		for i := range bytes.Count(w.dataOf(e), []byte(`"video_url"`)) {
			clips = append(clips, map[string]any{"id": fmt.Sprintf("%s-%d", l.id, i), "video_url": l.link(e, "/clip/%s-%d.mp4", l.id, i)})
		}
	}
	job["clips"] = clips
	return job, ok
}

func (w *World) render(l lookUp) (any, bool) {
	e, ok := w.bearer(l.id, render)
	job := l.job(e)
	job["video_url"] = l.link(e, "/render/%s.mp4", l.id)
	return job, ok
}
