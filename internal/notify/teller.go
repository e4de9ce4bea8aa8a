package notify

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"backstop/state"
)

// Store keeps what was told. It is implemented by [state.Store].
type Store interface {
	// Notices is a copy; nil: nobody is told.
	Notices() *state.Notices
	// ChangeNotices reads, changes and writes them as one; an error says that they may be as before.
	ChangeNotices(change func(*state.Notices)) error
	// DropNotices forgets them and ends the counting.
	DropNotices() error
}

// Options makes a Teller.
type Options struct {
	URL      func() (string, error)            // gets a POST; nil: none
	Headers  func() (map[string]string, error) // of the POST; nil: none
	Slack    bool                              // the text alone
	Command  []string                          // a program and its arguments; empty: none
	Cooldown time.Duration                     // 0: an hour
	Report   func() Report                     // how things stand; it must be quick
	Secrets  func() []string                   // what nothing may show; nil: nothing
	Version  string
	Store    Store
	Logger   *slog.Logger

	Transport http.RoundTripper // for tests; nil: the network
}

// Teller tells people. Its methods may be called side by side. It starts no
// goroutine: Run, or Tell, does the work.
type Teller struct {
	options  Options
	log      *slog.Logger
	channels []channel
	woken    chan struct{}
	passed   atomic.Bool // a pass has ended that nobody looked at yet

	look  sync.Mutex // one look at a time
	retry time.Time  // guarded by look: nothing is delivered before

	mu     sync.Mutex
	health Health // guarded by mu
}

// Health is how the telling itself fares.
type Health struct {
	Channels     []string  `json:"channels"`               // url, command
	Open         []string  `json:"open,omitempty"`         // conditions whose alarm was told, and whose end was not
	LastAt       time.Time `json:"last_at,omitzero"`       // when a notice was delivered, in this process
	Failing      string    `json:"failing,omitempty"`      // why none can be
	FailingSince time.Time `json:"failing_since,omitzero"` // in this process
}

// channel is one way to people.
type channel struct {
	name string
	send func(ctx context.Context, n Notice) error
}

// New makes a Teller; without a URL and a command it tells nobody.
func New(o Options) *Teller {
	if o.Cooldown <= 0 {
		o.Cooldown = time.Hour
	}
	if o.Secrets == nil {
		o.Secrets = func() []string { return nil }
	}
	t := &Teller{options: o, log: o.Logger, woken: make(chan struct{}, 1)}
	if o.URL != nil {
		to := newTarget(o.URL, o.Headers, o.Version, postRetries, o.Transport)
		t.channels = append(t.channels, channel{"url", func(ctx context.Context, n Notice) error { return t.post(ctx, to, n) }})
	}
	if len(o.Command) > 0 {
		run := &program{argv: o.Command, secrets: o.Secrets, limit: programTime}
		t.channels = append(t.channels, channel{"command", func(ctx context.Context, n Notice) error {
			body, err := encode(n)
			if err != nil {
				return err
			}
			return run.send(ctx, body)
		}})
	}
	return t
}

func (t *Teller) post(ctx context.Context, to *target, n Notice) error {
	body, err := encode(n)
	if t.options.Slack {
		body, err = n.forSlack()
	}
	if err != nil {
		return err
	}
	return to.send(ctx, http.MethodPost, body)
}

// Begin has the state count what happens to events, or forget what was told where
// nobody is told any more. It is called before a pass or a replay is made.
func (t *Teller) Begin() {
	if t == nil {
		return
	}
	var err error
	switch counted := t.options.Store.Notices() != nil; {
	case len(t.channels) == 0:
		err = t.options.Store.DropNotices()
	case !counted:
		err = t.options.Store.ChangeNotices(func(*state.Notices) {})
	}
	if err != nil {
		t.log.Warn("notices: what was told can't be written down", "error", err)
	}
}

// Wake says that something may have changed: a pass has ended, or anything else.
// It never blocks.
func (t *Teller) Wake(passed bool) {
	if t == nil || len(t.channels) == 0 {
		return
	}
	if passed {
		t.passed.Store(true)
	}
	select {
	case t.woken <- struct{}{}:
	default:
	}
}

// lookAgain is how often a look is taken although nobody woke it: a cool-down
// ends, or a notice has to be tried again.
const lookAgain = time.Minute

func (t *Teller) pace() time.Duration { return min(lookAgain, t.options.Cooldown) }

// Run tells until ctx ends, and returns its error. What it was telling then is
// told after the next start.
func (t *Teller) Run(ctx context.Context) error {
	if len(t.channels) == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	ticker := time.NewTicker(t.pace())
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.woken:
		case <-ticker.C:
		}
		t.Tell(ctx, t.passed.Swap(false))
	}
}

// Tell takes one look and tells what is due. passed says that a pass has ended
// since the last look. What can't be told is logged, kept, and told by a later
// look.
func (t *Teller) Tell(ctx context.Context, passed bool) {
	if t == nil || len(t.channels) == 0 {
		return
	}
	t.look.Lock()
	defer t.look.Unlock()
	if err := t.tell(ctx, passed); err != nil && ctx.Err() == nil {
		t.log.Warn("notices: what was told can't be written down", "error", err)
	}
}

func (t *Teller) tell(ctx context.Context, passed bool) error {
	stored := t.options.Store.Notices()
	if stored == nil {
		return nil // Begin could not write
	}
	r := t.options.Report()
	all := conditions(r, *stored, passed, t.options.Cooldown)
	alarms, err := t.observe(*stored, all, r.Now)
	if err != nil || r.Now.Before(t.retry) {
		return err
	}
	for _, c := range all {
		what := due(alarms[c.name], c, r.Now, t.options.Cooldown)
		if what == "" {
			continue
		}
		if !t.deliver(ctx, compose(alarms[c.name], c, what, r, t.options.Version)) {
			t.retry = r.Now.Add(t.pace())
			return nil
		}
		if err := t.told(c, tell(alarms[c.name], c, what, r.Now)); err != nil {
			return err
		}
	}
	return nil
}

// observe writes down what has changed since the last look; mostly nothing has.
func (t *Teller) observe(stored state.Notices, all []condition, now time.Time) (map[string]state.Alarm, error) {
	alarms, changed := map[string]state.Alarm{}, map[string]state.Alarm{}
	for _, c := range all {
		before := stored.Alarms[c.name]
		alarms[c.name] = observe(before, c, now.UTC())
		if alarms[c.name] != before {
			changed[c.name] = alarms[c.name]
		}
	}
	if len(changed) == 0 {
		return alarms, nil
	}
	return alarms, t.options.Store.ChangeNotices(func(n *state.Notices) { put(n, changed) })
}

func put(n *state.Notices, changed map[string]state.Alarm) {
	if n.Alarms == nil {
		n.Alarms = map[string]state.Alarm{}
	}
	for name, a := range changed {
		n.Alarms[name] = a
	}
}

// told writes down that people know. A crash before it tells them twice.
func (t *Teller) told(c condition, a state.Alarm) error {
	return t.options.Store.ChangeNotices(func(n *state.Notices) {
		put(n, map[string]state.Alarm{c.name: a})
		switch c.name {
		case Replayed:
			n.Replayed = n.Replayed.Without(c.news)
		case Dead:
			n.Dead = n.Dead.Without(c.news)
		}
	})
}

// deliver reports whether one channel at least took the notice. Were it all of
// them, a channel that works would get it again and again while another fails.
func (t *Teller) deliver(ctx context.Context, n Notice) bool {
	var failed []string
	for _, w := range t.send(ctx, n) {
		if w.Failing != "" {
			failed = append(failed, w.Channel+": "+w.Failing)
		}
	}
	delivered := len(failed) < len(t.channels)
	if ctx.Err() != nil && len(failed) > 0 {
		return delivered // what was cut off did not fail
	}
	t.note(strings.Join(failed, "; "), delivered)
	if delivered {
		t.log.Info("notice delivered", "condition", n.Condition, "state", n.State, "events", n.Count)
	}
	return delivered
}

// note keeps how the telling fares, and logs when that changes.
func (t *Teller) note(failing string, delivered bool) {
	t.mu.Lock()
	before := t.health
	t.health.Failing = failing
	switch {
	case failing == "":
		t.health.FailingSince = time.Time{}
	case before.Failing == "":
		t.health.FailingSince = time.Now().UTC()
	}
	if delivered {
		t.health.LastAt = time.Now().UTC()
	}
	t.mu.Unlock()
	switch {
	case failing != "" && failing != before.Failing:
		t.log.Warn("a notice could not be delivered; it is tried again", "why", failing)
	case failing == "" && before.Failing != "":
		t.log.Info("notices are delivered again", "after", time.Since(before.FailingSince).Round(time.Second))
	}
}

// Health tells how the telling fares; nil where nobody is told.
func (t *Teller) Health() *Health {
	if t == nil || len(t.channels) == 0 {
		return nil
	}
	t.mu.Lock()
	h := t.health
	t.mu.Unlock()
	for _, c := range t.channels {
		h.Channels = append(h.Channels, c.name)
	}
	if stored := t.options.Store.Notices(); stored != nil {
		for _, name := range []string{Replayed, Dead, Paused, Unreadable, Source, Full} {
			if stored.Alarms[name].Open {
				h.Open = append(h.Open, name)
			}
		}
	}
	return &h
}
