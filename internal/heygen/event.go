// Package heygen is HeyGen's API as backstop reads it: the listing of
// delivered webhook events, its pages, rows and errors, the signature and the
// body of a push, and what makes two events the same fact. It asks and reads;
// it stores nothing, decides nothing about events, and never fetches a URL
// that came from data.
package heygen

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of what is read. Sizes are of the decoded (gunzipped) bytes.
const (
	maxPage      = 64 << 20  // a page
	maxPageOfOne = 128 << 20 // a page that was asked for with limit 1
	maxRow       = 8 << 20   // one row of a page
	maxRows      = 10_000    // rows of a page; 100 is the most that is asked for
	maxDepth     = 1_000     // nesting of a page, its own three levels included
	maxToken     = 128 << 10 // a cursor
	maxID        = 512       // an event id
	maxType      = 256       // an event type
	maxCreated   = 64        // created_at as text
	maxEntity    = 512       // an entity id
)

// Event is one row of the listing.
type Event struct {
	ID        string    // event_id, 1–512 printable ASCII bytes
	Type      string    // event_type; an open set
	Data      []byte    // event_data, byte for byte as it was listed
	CreatedAt time.Time // whole UTC seconds; zero: undated
	Created   string    // created_at as it was listed, for people; at most 64 bytes
}

// BadRow is a row that could not be read; the other rows of its page could.
type BadRow struct {
	ID     string // event_id as far as it is printable, cut to 64 bytes; "" unknown
	Reason string // what is wrong with it, for people; quotes nothing of the row
	Bytes  int    // its size
	Sum    uint64 // identifies the row's bytes, the same in every process
}

// Query is what the listing is filtered by. The zero Query is the whole listing.
type Query struct {
	Type   string // event_type; "" any
	Entity string // entity_id; "" any
}

// String returns "all", "type=…", "entity=…" or "type=… entity=…".
func (q Query) String() string {
	var parts []string
	if q.Type != "" {
		parts = append(parts, "type="+q.Type)
	}
	if q.Entity != "" {
		parts = append(parts, "entity="+q.Entity)
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, " ")
}

// PageRequest asks for one page of the listing.
type PageRequest struct {
	Query Query
	Limit int    // rows, 1–100; 0 leaves it to HeyGen (10)
	Token string // the cursor, exactly as an earlier page gave it; "" the first page
}

func (r PageRequest) values() url.Values {
	v := url.Values{}
	set := func(key, value string) {
		if value != "" {
			v.Set(key, value)
		}
	}
	set("event_type", r.Query.Type)
	set("entity_id", r.Query.Entity)
	set("token", r.Token)
	if r.Limit != 0 {
		v.Set("limit", strconv.Itoa(r.Limit))
	}
	return v
}

// bound is the most bytes the answer may have. A page of one may hold a row
// that no larger page could carry, so that the walk gets past it.
func (r PageRequest) bound() int {
	if r.Limit == 1 {
		return maxPageOfOne
	}
	return maxPage
}

// Page is one page of the listing. Its Events share memory per page, never
// with a later page.
type Page struct {
	Events    []Event
	Bad       []BadRow
	Last      bool      // has_more is false, or absent together with the token
	Next      string    // next_token; "" when !Last means a broken listing
	Date      time.Time // the answer's Date header; zero when absent
	RequestID string    // the answer's X-Request-Id, for HeyGen's support
	Bytes     int       // size of the answer's decoded body
}

// PrintableID reports whether id can be an event id: 1–512 printable ASCII
// bytes, the space included.
func PrintableID(id string) bool { return printableID(id) }

func printableID[T string | []byte](id T) bool {
	if len(id) == 0 || len(id) > maxID {
		return false
	}
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}
