package heygen

import (
	"log/slog"
	"sync"
	"time"
)

const (
	// slack is by how much the API's clock may be behind ours and still count
	// as the same: its Date is in whole seconds and took its way.
	slack = 2 * time.Second
	// drift is from where a difference is worth a warning.
	drift = time.Minute
)

// clock is the smaller of the local clock and the API's.
type clock struct {
	log *slog.Logger

	mu     sync.Mutex
	date   time.Time // the API's time …
	at     time.Time // … at this local time, read on the monotonic clock too
	warned bool
}

// now returns the smaller of the local clock and the API's last Date carried
// forward; the local one before any answer. A local clock that was set ahead
// thus makes nothing look older than it is.
func (c *clock) now() time.Time {
	c.mu.Lock()
	date, at := c.date, c.at
	c.mu.Unlock()
	local := time.Now()
	if date.IsZero() {
		return local.UTC()
	}
	if carried := date.Add(local.Sub(at)); local.Sub(carried) > slack {
		return carried.UTC()
	}
	return local.UTC()
}

// observe takes in the Date of an answer. An answer that lists an event from
// well after its own Date disproves it: the Date is then ignored.
func (c *clock) observe(date, newest time.Time) {
	if date.IsZero() {
		return
	}
	at := time.Now()
	c.mu.Lock()
	warn := !c.warned && at.Sub(date).Abs() > drift
	c.warned = c.warned || warn
	if newest.Sub(date) > drift {
		date = time.Time{}
	}
	c.date, c.at = date, at
	c.mu.Unlock()
	if warn {
		c.log.Warn("HeyGen's clock and the local one differ; the smaller one counts. Check the local clock (NTP)",
			"local_ahead", at.Sub(date).Round(time.Second), "date_ignored", date.IsZero())
	}
}
