package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"backstop/internal/heygen"
)

// Links gives an event links that work before it is sent.
type Links interface {
	// Renew returns the event_data to send and, where links in it had expired, a
	// note for people on what came of that; "" when there was nothing to do. It
	// never fails: what could not be renewed is sent as it is, and the note says
	// why. It returns within LookUpBudget, and at once when ctx ends.
	Renew(ctx context.Context, e heygen.Event) (data []byte, note string)
}

// Resources is asked for what an event tells of, as it is now. Its errors are
// those of heygen.Client.
type Resources interface {
	Fresh(ctx context.Context, r heygen.Resource) (heygen.Fresh, error)
}

const (
	// LookUpBudget is the longest that a replay is held up for its links, the
	// wait for the rate included. An answer of the API takes well below a second;
	// a receiver gets an old link rather than nothing.
	LookUpBudget = 4 * time.Second

	// lookUpPause is how long nothing is asked after several failures in a row,
	// so that a backlog is not held up for each of its events.
	lookUpPause = time.Minute
	pauseAfter  = 3

	// answerLasts is how long an answer is used again, a negative one too: the
	// events of one video mostly go out one behind the other. Fresh links last for
	// days.
	answerLasts = time.Minute
	answersKept = 250
)

// LookUpOptions say how links are looked up.
type LookUpOptions struct {
	API    Resources
	Now    func() time.Time // what links are held against; nil: time.Now
	Logger *slog.Logger     // nil: none
}

// LookUps renews links by asking HeyGen for the resource of an event. It is safe
// for use by several goroutines, starts none, and forgets all with the process.
type LookUps struct {
	api    Resources
	now    func() time.Time
	log    *slog.Logger
	flight singleflight.Group // one request for one resource at a time

	mu      sync.Mutex
	answers map[heygen.Resource]lookedUp     // guarded by mu
	pauses  map[heygen.ResourceKind]*breaker // guarded by mu
}

// lookedUp is what came of one look-up.
type lookedUp struct {
	fresh  heygen.Fresh
	why    string // why there are no fresh links, for people; "": there are
	failed bool   // no answer, or none that says anything of the resource
	cut    bool   // whoever asked went away: it says nothing at all
	late   bool   // its turn would have come too late: it was not asked
	until  time.Time
}

// NewLookUps makes LookUps that ask o.API.
func NewLookUps(o LookUpOptions) *LookUps {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &LookUps{
		api: o.API, now: o.Now, log: o.Logger,
		answers: map[heygen.Resource]lookedUp{}, pauses: map[heygen.ResourceKind]*breaker{},
	}
}

// Renew implements Links.
func (l *LookUps) Renew(ctx context.Context, e heygen.Event) (data []byte, note string) {
	now := l.now()
	if heygen.StaleLinks(e.Data, now) == 0 {
		return e.Data, ""
	}
	r, ok := e.Resource()
	if !ok {
		return e.Data, asTheyAre("HeyGen cannot be asked about an event like this")
	}
	found := l.lookUp(ctx, r)
	if found.why != "" {
		return e.Data, asTheyAre(found.why)
	}
	data, did := heygen.Renew(e.Data, found.fresh, now)
	return data, renewalNote(did)
}

// lookUp answers from memory, or asks. Whoever wants what another one is asking
// for waits for that answer, and asks on when the other one went away.
func (l *LookUps) lookUp(ctx context.Context, r heygen.Resource) lookedUp {
	budget, cancel := context.WithTimeout(ctx, LookUpBudget)
	defer cancel()
	for {
		if known, ok := l.known(r); ok {
			return known
		}
		answer, _, _ := l.flight.Do(string(r.Kind)+"/"+r.ID, func() (any, error) { return l.ask(ctx, budget, r), nil })
		if found := answer.(lookedUp); !found.cut || budget.Err() != nil {
			return found
		}
	}
}

func (l *LookUps) known(r heygen.Resource) (lookedUp, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.answers[r]
	return found, ok && time.Now().Before(found.until)
}

// ask makes one look-up for whom ctx is, unless those of its kind pause.
func (l *LookUps) ask(ctx, budget context.Context, r heygen.Resource) lookedUp {
	if till, ok := l.begin(r.Kind); !ok {
		return lookedUp{why: "look-ups pause until " + stamp(till) + " because several failed in a row"}
	}
	fresh, err := l.api.Fresh(budget, r)
	found := lookedUp{fresh: fresh}
	switch {
	case err != nil && ctx.Err() != nil:
		found = lookedUp{why: "the look-up was broken off", cut: true}
	case errors.Is(err, context.DeadlineExceeded) && budget.Err() == nil:
		found = lookedUp{why: "too many look-ups at once for their rate", late: true}
	case err != nil:
		found = failedLookUp(err, r)
	case !fresh.Complete():
		found.why = "the " + string(r.Kind) + " is " + plainStatus(fresh.Status)
	}
	l.end(r, found)
	return found
}

// failedLookUp puts the failure of a look-up into words of our own: what HeyGen
// wrote is not shown. Credentials that are refused are no alarm here: a key may
// be good for the listing and not for this.
func failedLookUp(err error, r heygen.Resource) lookedUp {
	var e *heygen.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return lookedUp{why: "the look-up took too long", failed: true}
	case !errors.As(err, &e):
		return lookedUp{why: "the look-up failed", failed: true}
	case e.Status == http.StatusNotFound:
		return lookedUp{why: "HeyGen has no such " + string(r.Kind) + " any more (404)"}
	case errors.Is(err, heygen.ErrCredentials) && e.Status == 0:
		return lookedUp{why: "the API key cannot be read", failed: true}
	case errors.Is(err, heygen.ErrCredentials):
		return lookedUp{why: "HeyGen refused the look-up" + statusOf(e) + ": the key may lack that right", failed: true}
	case errors.Is(err, heygen.ErrRequest):
		return lookedUp{why: "HeyGen refused the look-up" + statusOf(e)}
	case errors.Is(err, heygen.ErrUnreadable):
		return lookedUp{why: "HeyGen's answer to the look-up could not be read", failed: true}
	}
	return lookedUp{why: "HeyGen could not be asked" + statusOf(e), failed: true}
}

// begin asks for leave to make a look-up; without it, it tells until when there
// is none.
func (l *LookUps) begin(kind heygen.ResourceKind) (till time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pauses[kind] == nil {
		l.pauses[kind] = &breaker{}
	}
	return l.pauses[kind].begin(time.Now())
}

// end takes in what came of a look-up.
func (l *LookUps) end(r heygen.Resource, found lookedUp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.pauses[r.Kind].end(found, now) {
		l.edge(r.Kind, found)
	}
	if found.cut || found.late {
		return
	}
	if len(l.answers) >= answersKept {
		l.forget(now)
	}
	found.until = now.Add(answerLasts)
	l.answers[r] = found
}

// edge logs that look-ups of a kind stop, or go on.
func (l *LookUps) edge(kind heygen.ResourceKind, found lookedUp) {
	if found.failed {
		l.log.Warn("expired links are sent as they are for a while: they could not be looked up", "resource", string(kind), "reason", found.why)
		return
	}
	l.log.Info("expired links are renewed again", "resource", string(kind))
}

// forget makes room. Where nothing is old all of it goes: it costs a question.
func (l *LookUps) forget(now time.Time) {
	for r, found := range l.answers {
		if !now.Before(found.until) {
			delete(l.answers, r)
		}
	}
	if len(l.answers) >= answersKept {
		clear(l.answers)
	}
}

// breaker keeps look-ups of one kind from holding up replay after replay
// when they fail. The zero one lets all pass.
type breaker struct {
	failures int // in a row
	till     time.Time
	trying   bool // after a pause one looks whether it works again
}

func (p *breaker) begin(now time.Time) (till time.Time, ok bool) {
	switch {
	case p.failures < pauseAfter:
		return till, true
	case p.trying, now.Before(p.till):
		return p.till, false
	}
	p.trying, p.till = true, now.Add(lookUpPause)
	return till, true
}

// end reports whether a pause begins or ends.
func (p *breaker) end(found lookedUp, now time.Time) (edge bool) {
	p.trying = false
	switch was := p.failures >= pauseAfter; {
	case found.cut || found.late: // nothing is known
		if was {
			p.till = now // the next one tries
		}
		return false
	case !found.failed:
		p.failures = 0
		return was
	default:
		p.failures++
		p.till = now.Add(lookUpPause)
		return !was && p.failures >= pauseAfter
	}
}
