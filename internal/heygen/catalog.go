package heygen

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxObject       = 4 << 20 // an answer that is no page of events
	maxCatalogPages = 20      // HeyGen gives the whole set in one
)

// EventType is one type of event that HeyGen says it sends.
type EventType struct {
	EventType   string `json:"event_type"`
	Description string `json:"description"`
}

// EventTypes returns the types HeyGen says it sends. The set is open: others
// may be listed all the same.
func (c *Client) EventTypes(ctx context.Context) ([]EventType, error) {
	var all []EventType
	token, met := "", map[string]bool{}
	for range maxCatalogPages {
		page, err := c.catalog(ctx, token)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Data...)
		if token = page.Next; token == "" || page.More != nil && !*page.More {
			return all, nil
		}
		if met[token] {
			break
		}
		met[token] = true
	}
	return nil, &Error{Kind: ErrUnreadable, Doing: listTypes, Hint: "try again later",
		Cause: fmt.Errorf("the list goes in circles or has more than %d pages", maxCatalogPages)}
}

const listTypes = "list event types"

type catalogPage struct {
	Data  []EventType    `json:"data"`
	More  *bool          `json:"has_more"`
	Next  string         `json:"next_token"`
	Error jsontext.Value `json:"error"`
}

func (c *Client) catalog(ctx context.Context, token string) (catalogPage, error) {
	var page catalogPage
	query := url.Values{}
	if token != "" {
		query.Set("token", token)
	}
	err := c.get(ctx, request{
		doing: listTypes,
		path:  []string{"v3", "webhooks", "event-types"},
		query: query,
		token: token,
		bound: maxObject,
		decode: func(body []byte, _ answer) (time.Time, error) {
			page = catalogPage{}
			if err := unmarshal(body, &page); err != nil {
				return time.Time{}, err
			}
			if err := refusedBy(page.Error); err != nil {
				return time.Time{}, err
			}
			if page.Data == nil {
				return time.Time{}, unreadable("an object without data")
			}
			return time.Time{}, nil
		},
	})
	return page, err
}

// Video is a video as HeyGen has it now. Its links are signed: they are
// secrets. A field that is absent or null is zero.
type Video struct {
	ID               string
	Status           string // pending, processing, completed, failed; an open set
	VideoURL         string
	GIFURL           string
	CaptionedURL     string // captioned_video_url
	SubtitleURL      string
	ThumbnailURL     string
	PageURL          string // video_page_url
	FailureCode      string
	FailureMessage   string
	Created, Settled time.Time // created_at, completed_at
}

// videoAnswer is the same as the API writes it.
type videoAnswer struct {
	Data *struct {
		ID           string         `json:"id"`
		Status       string         `json:"status"`
		VideoURL     string         `json:"video_url"`
		GIFURL       string         `json:"gif_url"`
		CaptionedURL string         `json:"captioned_video_url"`
		SubtitleURL  string         `json:"subtitle_url"`
		ThumbnailURL string         `json:"thumbnail_url"`
		PageURL      string         `json:"video_page_url"`
		Code         jsontext.Value `json:"failure_code"`
		Message      string         `json:"failure_message"`
		Created      jsontext.Value `json:"created_at"`
		Completed    jsontext.Value `json:"completed_at"`
	} `json:"data"`
	Error jsontext.Value `json:"error"`
}

// Video returns one video. An unknown id is an error with Status 404.
func (c *Client) Video(ctx context.Context, id string) (*Video, error) {
	if id == "" || id == "." || id == ".." {
		return nil, &Error{Kind: ErrRequest, Doing: "get video", Hint: "give the id of a video"}
	}
	var v *Video
	err := c.get(ctx, request{
		doing: "get video",
		path:  []string{"v3", "videos", url.PathEscape(id)},
		bound: maxObject,
		hint:  "the video is gone, belongs to another account, or never was",
		decode: func(body []byte, _ answer) (time.Time, error) {
			var err error
			v, err = readVideo(body)
			return time.Time{}, err
		},
	})
	return v, err
}

func readVideo(body []byte) (*Video, error) {
	var a videoAnswer
	if err := unmarshal(body, &a); err != nil {
		return nil, err
	}
	if err := refusedBy(a.Error); err != nil {
		return nil, err
	}
	d := a.Data
	if d == nil || d.ID == "" {
		return nil, unreadable("no video in it")
	}
	v := &Video{
		ID: d.ID, Status: d.Status,
		VideoURL: d.VideoURL, GIFURL: d.GIFURL, CaptionedURL: d.CaptionedURL,
		SubtitleURL: d.SubtitleURL, ThumbnailURL: d.ThumbnailURL, PageURL: d.PageURL,
		FailureMessage: d.Message, Created: unix(d.Created), Settled: unix(d.Completed),
	}
	if usable(d.Code) {
		v.FailureCode = scalarText(d.Code)
	}
	return v, nil
}

// unix reads a Unix time in seconds; zero for anything else.
func unix(v jsontext.Value) time.Time {
	var seconds float64
	if v.Kind() != '0' || json.Unmarshal(v, &seconds) != nil || seconds <= 0 || seconds > 1e11 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// unmarshal reads a small answer, as strictly as a page; its errors quote
// nothing of the answer.
func unmarshal(body []byte, into any) error {
	if json.Unmarshal(body, into) != nil {
		return unreadable("not the JSON that the API documents")
	}
	return nil
}

func refusedBy(v jsontext.Value) error {
	if len(v) == 0 || v.Kind() == 'n' {
		return nil
	}
	return refusal{v}
}
