// Package receiver is a small honest webhook receiver, for the demo and for tests: it checks a
// push or replay as public receivers do, keeps what it accepted, answers and fails as it is
// told to, and can tell backstop what it has.
//
// It is also the judge of soak tests: its log says what came when, in which order and how it
// was answered. That is why it verifies signatures with code of its own. It opens no listener.
package receiver

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"backstop/internal/heygen"
)

// Options describe a receiver. The zero value accepts everything well formed, signed or not.
type Options struct {
	Secrets []string      // any of them may have signed; none: signatures are not looked at
	MaxAge  time.Duration // of Heygen-Timestamp, either way; 0: 300 s
	NeedID  bool          // refuse a request without Heygen-Event-Id, as legacy pushes come
	Strict  bool          // refuse a body with more keys than event_type and event_data

	Work   time.Duration               // how long an event takes before it is answered; 0: nothing
	Answer func(d Delivery, n int) int // status for the nth well-formed delivery (from 0); nil or 0: 200. Only a 2xx accepts it
	Down   []Window                    // while in one the connection breaks off without an answer

	Report  string                // URL of backstop's POST /v1/seen; "": nothing is reported
	Token   string                // Bearer token for it; "": none
	Unsaid  func(d Delivery) bool // accepted, but never reported; nil: all are reported
	Client  *http.Client          // for reports; nil: an own one
	Tries   int                   // of one report; 0: eight
	Backoff time.Duration         // before the second try, doubled for each further one; 0: 50 ms

	Logger *slog.Logger // nil: silent
}

// Window is a time during which the receiver is down: from From, and before To.
type Window struct{ From, To time.Time }

// Delivery is one request to the receiver.
type Delivery struct {
	At      time.Time
	ID      string      // Heygen-Event-Id; "" where the request had none
	Type    string      // "" where the body was not read
	Entity  string      // "" where event_data names none
	Fact    heygen.Fact // the content; zero where it has no key
	Body    [32]byte    // SHA-256 of the body
	Replay  bool        // it had X-Backstop-Replay
	Attempt int         // X-Backstop-Attempt; 0: none
	Reason  string      // X-Backstop-Reason
	Status  int         // the answer; 0: the connection was broken off
	Fault   string      // why it was refused; "" when it was not
}

// Accepted reports whether the receiver answered 2xx.
func (d Delivery) Accepted() bool { return d.Status >= 200 && d.Status < 300 }

// Count is how often something was accepted, by way of arrival.
type Count struct{ Push, Replay int }

// Total is both ways together.
func (c Count) Total() int { return c.Push + c.Replay }

func (c Count) with(d Delivery) Count {
	if d.Replay {
		c.Replay++
	} else {
		c.Push++
	}
	return c
}

// Receiver is one receiver. Its methods may be called from anywhere at once.
type Receiver struct {
	o        Options
	reporter *reporter // nil when nothing is reported

	mu         sync.Mutex
	down       bool // by SetDown
	wellFormed int
	log        []Delivery
	ids        map[string]Count
	facts      map[heygen.Fact]Count
	bodies     map[[32]byte]Count
}

// New returns a receiver. With a report URL it starts one goroutine, which Close ends.
func New(o Options) *Receiver {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Receiver{o: o, ids: map[string]Count{}, facts: map[heygen.Fact]Count{}, bodies: map[[32]byte]Count{}}
	if o.Report != "" {
		r.reporter = newReporter(o)
	}
	return r
}

// Close waits until everything accepted is reported or given up, at most for the tries of one
// report, and returns an error that tells how much was not. Call it after the last request.
func (r *Receiver) Close() error {
	if r.reporter == nil {
		return nil
	}
	return r.reporter.close()
}

// SetDown breaks off every connection from now on, or stops doing so.
func (r *Receiver) SetDown(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

func (r *Receiver) isDown(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.down || slices.ContainsFunc(r.o.Down, func(w Window) bool {
		return !now.Before(w.From) && now.Before(w.To)
	})
}

// Accepted returns how often each event id was accepted. What came without an id is not in it;
// see Facts and Bodies.
func (r *Receiver) Accepted() map[string]Count {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.ids)
}

// Facts returns how often each content was accepted, under whatever id or none.
func (r *Receiver) Facts() map[heygen.Fact]Count {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.facts)
}

// Bodies returns how often each body, by its SHA-256, was accepted.
func (r *Receiver) Bodies() map[[32]byte]Count {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.bodies)
}

// Log returns every delivery, in the order in which they were answered.
func (r *Receiver) Log() []Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

// next counts a well-formed delivery and returns its number, from 0.
func (r *Receiver) next() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wellFormed++
	return r.wellFormed - 1
}

// note writes a delivery into the log and, when it was accepted, into the books. It happens
// before the answer leaves: whoever got a 2xx finds it here.
func (r *Receiver) note(d Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, d)
	if !d.Accepted() {
		return
	}
	r.bodies[d.Body] = r.bodies[d.Body].with(d)
	if d.ID != "" {
		r.ids[d.ID] = r.ids[d.ID].with(d)
	}
	if !d.Fact.IsZero() {
		r.facts[d.Fact] = r.facts[d.Fact].with(d)
	}
}
