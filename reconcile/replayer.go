package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"backstop/state"
)

// ReplayOptions configure a Replayer.
type ReplayOptions struct {
	URL         string                   // the receiver's; "": watch only, nothing is sent
	Secrets     func() ([]string, error) // the first signs; nil or none: unsigned; an error: nothing is sent
	Headers     map[string]string        // added to every replay
	Body        string                   // BodyPush or BodyListing; "": BodyPush
	Timeout     time.Duration            // of one attempt; 0: 10 s
	BackoffMin  time.Duration            // 0: 5 s
	BackoffMax  time.Duration            // 0: 1 h
	Rate        float64                  // attempts a second over all workers; 0: no limit
	Concurrency int                      // attempts in flight; 0: 4
	MaxAttempts int                      // counted attempts until dead; 0: 12
	Version     string                   // for the User-Agent
	Before      *Replayer                // of an earlier configuration: its drains end, and its pace goes on where the URL is the same; nil: none
	Sources     *Sources                 // asked before each POST; nil: nobody
	Links       Links                    // renews expired links before each POST; nil: they are sent as they are
	Transport   http.RoundTripper        // nil: its own
	Observe     func(Answer)             // told what came of each POST, by many goroutines; nil: nobody is
	Logger      *slog.Logger             // nil: none
}

// Drained says what a Drain did and what it left.
type Drained struct {
	Sent    int       // attempts made
	Seen    int       // events that the receiver has now
	Dead    int       // events given up
	Waiting int       // events missed or replaying that are left
	Next    time.Time // when the next of them may be sent; zero: none, or not by itself
	Paused  string    // why replaying is held back, for people; "" it is not
}

// ErrHandOver is the cause to end a Run with whose work another Replayer takes
// up: attempts in flight are then awaited for as long as they may take.
var ErrHandOver = errors.New("replaying goes on in another replayer")

// errPaced says that an event is due and that the pace does not allow its
// attempt yet.
var errPaced = errors.New("the pace allows no attempt now")

// Replayer sends missed events to the receiver. Run and Drain may be used at
// the same time: they share the workers, the rate and the order.
type Replayer struct {
	store    *state.Store // nil: its events are of a shadow run
	home     Queue        // what it sends from where nothing else is said
	sender   *Sender
	unusable error // why there is no sender
	options  ReplayOptions
	limits   Limits
	pace     *pace
	slots    chan struct{} // one for each attempt in flight
	wake     chan struct{} // holds one
	log      *slog.Logger

	superseded atomic.Bool // by the Replayer of a later configuration

	claiming sync.Mutex // held from asking for the permit until the attempt is in flight
	lanes    lanes      // guarded by claiming
	asking   asking     // guarded by claiming
	held     string     // guarded by claiming: the hold that was logged last

	mu      sync.Mutex // guards the below, and keeps deciding and settling one step
	flying  int        // attempts in flight
	outage  outage
	stopped stopped // nothing can be sent for a while
}

// NewReplayer makes a Replayer that sends the missed events of s. A receiver's
// URL that cannot be used is told by Drained.Paused.
func NewReplayer(s *state.Store, o ReplayOptions) *Replayer {
	r := newReplayer(s, o)
	r.store = s
	return r
}

func newReplayer(home Queue, o ReplayOptions) *Replayer {
	if o.Concurrency <= 0 {
		o.Concurrency = 4
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Replayer{
		home: home, options: o, log: o.Logger,
		limits: Limits{o.BackoffMin, o.BackoffMax, o.MaxAttempts, rand.Float64}.withDefaults(),
		pace:   paceOf(o),
		slots:  make(chan struct{}, o.Concurrency),
		wake:   make(chan struct{}, 1),
	}
	r.options.Before = nil // it may go
	if o.Before != nil {
		o.Before.superseded.Store(true)
	}
	r.sender, r.unusable = NewSender(SenderOptions{
		URL: o.URL, Headers: o.Headers, Body: o.Body, Timeout: o.Timeout,
		Version: o.Version, Concurrency: o.Concurrency, Transport: o.Transport, Observe: o.Observe,
	})
	return r
}

// paceOf goes on with the pace of the Replayer before, so that a reload in the
// middle of trouble does not throw a backlog at the receiver, and so that both
// keep one rate while the older one ends. Another receiver has its own pace.
func paceOf(o ReplayOptions) *pace {
	if o.Before == nil || o.Before.options.URL != o.URL {
		return newPace(o.Rate, o.Logger)
	}
	o.Before.pace.configure(o.Rate)
	return o.Before.pace
}

// Wake tells Run that something may be due: after a pass, a report, a requeue,
// a resume. It never blocks.
func (r *Replayer) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Drain sends each event that is due now once, and returns when nothing more is
// due and nothing is in flight; what failed and waits for its backoff stays. It
// returns, too, when a later configuration's Replayer has taken over: whoever has
// more to send asks that one.
// When ctx ends it sends nothing more, waits a few seconds for the answers in
// flight, and returns without an error: Drained says what was done. An error
// means that the state could not be read or written.
func (r *Replayer) Drain(ctx context.Context) (Drained, error) {
	return r.drain(ctx, byHand{})
}

// DrainManual is a Drain of the events that a person asked for, and no others:
// it works while backstop is unpaired, and does not send what others wait for.
// With probe its first attempt is made at once although the receiver was found
// not to work: the person may just have mended it.
func (r *Replayer) DrainManual(ctx context.Context, probe bool) (Drained, error) {
	return r.drain(ctx, byHand{manual: true, probe: probe})
}

// byHand is how a drain is asked for by a person. The zero byHand is not.
type byHand struct {
	manual bool  // only what a person asked for
	probe  bool  // the next attempt need not wait for its time as a probe
	from   Queue // what is sent, in the place of the Replayer's own; nil: that
}

func (r *Replayer) drain(ctx context.Context, by byHand) (Drained, error) {
	s := r.newShift(ctx, map[string]bool{}, nil)
	s.by = by
	err := s.work(ctx)
	return s.report(), err
}

// Run sends what is due whenever it is due, until ctx ends; then it waits a few
// seconds for the answers in flight and returns nil. It returns an error when
// the state fails; it does not return when the receiver does.
func (r *Replayer) Run(ctx context.Context) error {
	s := r.newShift(ctx, nil, r.wake)
	err := s.work(ctx)
	s.report()
	return err
}

// noteHold logs when replaying is held back, for another reason, or no more.
func (r *Replayer) noteHold(why string) {
	switch {
	case why == r.held:
		return
	case why == "":
		r.log.Info("replaying goes on")
	case r.options.URL == "":
		r.log.Info("nothing is replayed", "reason", why)
	default:
		r.log.Warn("nothing is replayed", "reason", why)
	}
	r.held = why
}

// stopped is why nothing can be sent for a while: the state takes no intents, and
// without one a POST could be repeated without end; or a source can't answer.
type stopped struct {
	why  string    // "": it can
	till time.Time // when to try again
}

func (r *Replayer) stop(why string, till time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = stopped{why, till}
}

// Down reports whether the receiver was found not to answer: one attempt at a
// time looks whether it does again.
func (r *Replayer) Down() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outage.down
}

// InFlight counts the attempts under way, of every Run and Drain.
func (r *Replayer) InFlight() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flying
}

func (r *Replayer) fly(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flying += n
}

// waiting counts the events of a queue that are left to be sent by themselves.
func (r *Replayer) waiting(q Queue) int {
	counts := q.Counts()
	return int(counts.Status[state.Missed] + counts.Status[state.Replaying] - counts.Withheld)
}
