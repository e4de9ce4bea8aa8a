package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	missEvery = 100 // one event in so many is missing from what was seen
	span      = 30 * 24 * time.Hour
)

// history is a run of events at equal distances, numbered from the oldest.
type history struct {
	begin time.Time
	step  time.Duration
}

// historyOf spreads events over 30 days that end an hour ago.
func historyOf(events int) history {
	return history{begin: time.Now().Add(-span - time.Hour).Truncate(time.Second), step: span / time.Duration(events)}
}

func (h history) created(n int) time.Time {
	return h.begin.Add(h.step * time.Duration(n)).UTC().Truncate(time.Second)
}

// render writes an event of about a kilobyte in the form that HeyGen documents,
// its links signed in the way of CloudFront.
func (h history) render(b *bytes.Buffer, n int) {
	created := h.created(n)
	video, signature := hash("video", n)[:32], strings.Repeat(hash("signature", n), 5)
	fmt.Fprintf(b, `{"event_id":"%s","event_type":"%s","event_data":{"video_id":"%s",`+
		`"url":"https://files.heygen.com/video/%s/1080p.mp4?Expires=%d&Signature=%s__&Key-Pair-Id=K000000000BENCH",`+
		`"gif_download_url":"https://resource.heygen.ai/video/%s/gif.gif?Expires=%d","video_page_url":"https://app.heygen.com/videos/%s",`+
		`"video_share_page_url":"https://app.heygen.com/share/%s","folder_id":null,"callback_id":"order %d","title":"Welcome, caf\u00e9 \"No. %d\""},`+
		`"created_at":"%s"}`,
		eventID(n), eventType(n), video, video, created.Unix()+604800, signature,
		video, created.Unix()+604800, video, video, n, n, created.Format(time.RFC3339))
}

func eventTypes() []string {
	return []string{"avatar_video.success", "avatar_video_caption.success", "video_translate.success", "video_agent.success"}
}

func eventType(n int) string { return eventTypes()[n%len(eventTypes())] }

func eventID(n int) string { return "evt_" + hash("event", n)[:22] }

func hash(kind string, n int) string {
	sum := sha256.Sum256(strconv.AppendInt([]byte(kind), int64(n), 10))
	return hex.EncodeToString(sum[:])
}

// seenIDs are the ids that the receiver has: all but one in a hundred.
func seenIDs(events int) []byte {
	var b bytes.Buffer
	for n := range events {
		if n%missEvery != missEvery-1 {
			b.WriteString(eventID(n))
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// missing is how many of the events the receiver does not have.
func missing(events int) int { return events / missEvery }
