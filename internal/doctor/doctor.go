// Package doctor owns the checks of `backstop doctor`: what is looked at, how each
// finding is judged, and how it is mended. What it looks at it is given as values
// and a few questions. It writes nothing, opens no state, and sends the receiver
// nothing but OPTIONS, unless it is asked for the events of the receiver's test.
package doctor

import (
	"context"
	"fmt"
	"time"

	"backstop/internal/heygen"
)

// Status is what a check came to.
type Status string

// The statuses.
const (
	OK   Status = "ok"
	Warn Status = "warn" // it works, or could not be checked
	Fail Status = "fail" // something does not work
)

// Check is one line of what doctor says.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Found  string `json:"found"`            // no payload, no secret, no query of a URL
	Remedy string `json:"remedy,omitempty"` // how to mend it; never "" but for ok
}

func ok(name, format string, args ...any) Check {
	return Check{Name: name, Status: OK, Found: fmt.Sprintf(format, args...)}
}

func warn(name, remedy, format string, args ...any) Check {
	return Check{Name: name, Status: Warn, Found: fmt.Sprintf(format, args...), Remedy: remedy}
}

func fail(name, remedy, format string, args ...any) Check {
	return Check{Name: name, Status: Fail, Found: fmt.Sprintf(format, args...), Remedy: remedy}
}

// unchecked is the line of what could not be looked at because something else is
// wrong. It is a warning: whether it works nobody knows.
func unchecked(name, because string) Check {
	return warn(name, "mend what is named before it, then run doctor again", "not checked: %s", because)
}

// Summary counts the lines.
type Summary struct {
	OK   int `json:"ok"`
	Warn int `json:"warn"`
	Fail int `json:"fail"`
}

// Count takes a line in.
func (s *Summary) Count(c Check) {
	switch c.Status {
	case OK:
		s.OK++
	case Warn:
		s.Warn++
	case Fail:
		s.Fail++
	}
}

// API is what HeyGen is asked. A *heygen.Client is one; it should make a single
// attempt, so that what is wrong shows soon.
type API interface {
	Page(context.Context, heygen.PageRequest) (*heygen.Page, error)
	EventTypes(context.Context) ([]heygen.EventType, error)
	Endpoints(context.Context) ([]heygen.Endpoint, error)
}

// Patient is a backstop as doctor looks at it.
type Patient struct {
	Daemon    Daemon
	State     State
	Listing   Listing
	Sources   Sources
	Receiver  Receiver
	Replaying *Replaying // nil: there is no state that could tell
	Test      *Test      // nil: the receiver is sent no events
	Notices   Notices
	// Mistaken are the parts of the configuration that have mistakes: what rests on
	// one of them is not looked at.
	Mistaken map[string]bool
	Now      time.Time // zero: now
}

// Run makes every check and gives each line to yield as soon as it is known. It
// ends within the sum of the limits of its steps, whatever hangs. An error is that
// of ctx or of yield.
func (p Patient) Run(ctx context.Context, yield func(Check) error) error {
	if p.Now.IsZero() {
		p.Now = time.Now()
	}
	var k known
	for _, s := range p.steps() {
		var checks []Check
		checks, k = s.within(ctx, k)
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, c := range checks {
			if err := yield(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// mistaken is the line of a check that rests on a part of the configuration with
// mistakes; false where it has none.
func (p Patient) mistaken(name, part string) (Check, bool) {
	return unchecked(name, part+" has mistakes in the configuration"), p.Mistaken[part]
}
