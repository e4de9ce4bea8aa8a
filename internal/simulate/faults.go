package simulate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// The orders a listing can have.
const (
	Newest   = "newest"
	Oldest   = "oldest"
	Shuffled = "shuffled"
)

// The shares of pushes that go wrong unless a person asks for calm; see Mild for the listing.
const (
	MildLost    = 0.05
	MildLate    = 0.05
	MildDoubled = 0.03
)

// Faults say how the listing misbehaves. Shares lie between 0 and 1; the zero value is calm.
// TooMany, ServerError, HTML, Truncated, ExpiredCursors and EmptyPages exclude one another in
// one answer: where their shares add up to more than 1 the later ones get what is left.
type Faults struct {
	TooMany     float64 // answered 429
	ServerError float64 // answered 500, 502, 503, 504 or 520
	HTML        float64 // answered 200 with a web page, as a portal or a CDN would
	Truncated   float64 // cut off: half of them by a broken connection, half with the length that fits

	ExpiredCursors float64 // of answers to a request with a cursor: 400, as if it had expired
	EmptyPages     float64 // no events, but has_more and another cursor to the same place

	Slow   float64       // held back for SlowBy before anything else happens
	SlowBy time.Duration // 0: one second

	Order string // Newest (also ""), Oldest or Shuffled

	LateListing   float64       // of new events: listed LateListingBy after their created_at
	LateListingBy time.Duration // 0: ten seconds

	RetryAfter string // the header of a 429, as it is; "": 1

	// Of answers to a look-up of a video, a translation and so on. The first five exclude one another.
	ResourceGone       float64       // 404
	ResourceForbidden  float64       // 403, as for a key that lacks the right
	ResourceError      float64       // 500, 502, 503, 504 or 520
	ResourceUnfinished float64       // still processing
	ResourceNull       float64       // every link is null
	ResourceSlow       float64       // held back for ResourceSlowBy before anything else happens
	ResourceSlowBy     time.Duration // 0: one second
}

// Mild is the little misbehaviour that anything talking to a network must stand up to.
func Mild() Faults {
	return Faults{
		TooMany: 0.01, ServerError: 0.01, HTML: 0.003, Truncated: 0.005,
		ExpiredCursors: 0.003, EmptyPages: 0.003,
		Slow: 0.02, SlowBy: 300 * time.Millisecond,
		LateListing: 0.02, LateListingBy: 5 * time.Second,
		Order: Newest,
	}
}

// Validate names the first field that makes no sense.
func (f Faults) Validate() error {
	for _, s := range []struct {
		name  string
		share float64
	}{
		{"too_many", f.TooMany}, {"server_error", f.ServerError}, {"html", f.HTML}, {"truncated", f.Truncated},
		{"expired_cursors", f.ExpiredCursors}, {"empty_pages", f.EmptyPages}, {"slow", f.Slow}, {"late_listing", f.LateListing},
		{"resource_gone", f.ResourceGone}, {"resource_forbidden", f.ResourceForbidden}, {"resource_error", f.ResourceError}, {"resource_unfinished", f.ResourceUnfinished},
		{"resource_null", f.ResourceNull}, {"resource_slow", f.ResourceSlow},
	} {
		if err := validShare(s.name, s.share); err != nil {
			return err
		}
	}
	if f.SlowBy < 0 || f.LateListingBy < 0 || f.ResourceSlowBy < 0 {
		return errors.New("slow_by, late_listing_by and resource_slow_by: give a time that is not negative")
	}
	switch f.Order {
	case "", Newest, Oldest, Shuffled:
		return nil
	}
	return fmt.Errorf("order: %q is none of newest, oldest and shuffled", f.Order)
}

func validShare(name string, share float64) error {
	if !(share >= 0 && share <= 1) { // written so that NaN fails, too
		return fmt.Errorf("%s: %v is not a share; give a number from 0 to 1", name, share)
	}
	return nil
}

func (f Faults) order() string {
	if f.Order == "" {
		return Newest
	}
	return f.Order
}

func (f Faults) slowBy() time.Duration { return or(f.SlowBy, time.Second) }

func (f Faults) lateListingBy() time.Duration { return or(f.LateListingBy, 10*time.Second) }

func (f Faults) retryAfter() string {
	if f.RetryAfter == "" {
		return "1"
	}
	return f.RetryAfter
}

func or(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}

// fault is what happens to one answer.
type fault string

const (
	noFault       fault = ""
	tooMany       fault = "too_many"
	serverError   fault = "server_error"
	htmlPage      fault = "html"
	truncated     fault = "truncated"
	expiredCursor fault = "expired_cursors"
	emptyPage     fault = "empty_pages"
)

// draw decides about one answer: how long it is held back, and what else happens to it.
func (f Faults) draw(r *rand.Rand, withCursor bool) (time.Duration, fault) {
	var hold time.Duration
	if r.Float64() < f.Slow {
		hold = f.slowBy()
	}
	if !withCursor {
		f.ExpiredCursors = 0
	}
	u := r.Float64()
	for _, c := range []struct {
		share float64
		what  fault
	}{
		{f.TooMany, tooMany}, {f.ServerError, serverError}, {f.HTML, htmlPage},
		{f.Truncated, truncated}, {f.EmptyPages, emptyPage}, {f.ExpiredCursors, expiredCursor},
	} {
		if u < c.share {
			return hold, c.what
		}
		u -= c.share
	}
	return hold, noFault
}

// wireFaults is how Faults read in JSON: durations as text.
type wireFaults struct {
	TooMany        float64 `json:"too_many"`
	ServerError    float64 `json:"server_error"`
	HTML           float64 `json:"html"`
	Truncated      float64 `json:"truncated"`
	ExpiredCursors float64 `json:"expired_cursors"`
	EmptyPages     float64 `json:"empty_pages"`
	Slow           float64 `json:"slow"`
	SlowBy         span    `json:"slow_by"`
	Order          string  `json:"order"`
	LateListing    float64 `json:"late_listing"`
	LateListingBy  span    `json:"late_listing_by"`
	RetryAfter     string  `json:"retry_after"`

	ResourceGone       float64 `json:"resource_gone"`
	ResourceForbidden  float64 `json:"resource_forbidden"`
	ResourceError      float64 `json:"resource_error"`
	ResourceUnfinished float64 `json:"resource_unfinished"`
	ResourceNull       float64 `json:"resource_null"`
	ResourceSlow       float64 `json:"resource_slow"`
	ResourceSlowBy     span    `json:"resource_slow_by"`
}

// span is a duration that reads as "1.5s" in JSON.
type span time.Duration

// MarshalText writes the duration as Go does.
func (s span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (s *span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = span(d)
	return err
}

func (f Faults) wire() wireFaults {
	return wireFaults{
		f.TooMany, f.ServerError, f.HTML, f.Truncated, f.ExpiredCursors, f.EmptyPages,
		f.Slow, span(f.SlowBy), f.order(), f.LateListing, span(f.LateListingBy), f.RetryAfter,
		f.ResourceGone, f.ResourceForbidden, f.ResourceError, f.ResourceUnfinished, f.ResourceNull, f.ResourceSlow, span(f.ResourceSlowBy),
	}
}

func (f wireFaults) faults() Faults {
	return Faults{
		TooMany: f.TooMany, ServerError: f.ServerError, HTML: f.HTML, Truncated: f.Truncated,
		ExpiredCursors: f.ExpiredCursors, EmptyPages: f.EmptyPages,
		Slow: f.Slow, SlowBy: time.Duration(f.SlowBy), Order: f.Order,
		LateListing: f.LateListing, LateListingBy: time.Duration(f.LateListingBy), RetryAfter: f.RetryAfter,
		ResourceGone: f.ResourceGone, ResourceForbidden: f.ResourceForbidden, ResourceError: f.ResourceError, ResourceUnfinished: f.ResourceUnfinished,
		ResourceNull: f.ResourceNull, ResourceSlow: f.ResourceSlow, ResourceSlowBy: time.Duration(f.ResourceSlowBy),
	}
}

// MarshalJSON writes the faults with durations as text ("300ms").
func (f Faults) MarshalJSON() ([]byte, error) { return json.Marshal(f.wire()) }

// UnmarshalJSON changes what the object names and leaves the rest; an unknown key is an error.
func (f *Faults) UnmarshalJSON(text []byte) error {
	w := f.wire()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return err
	}
	next := w.faults()
	if err := next.Validate(); err != nil {
		return err
	}
	*f = next
	return nil
}
