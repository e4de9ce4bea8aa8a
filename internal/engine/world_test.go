package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"backstop/internal/config"
	"backstop/internal/heygen"
	"backstop/internal/metrics"
	"backstop/internal/notify"
	"backstop/internal/receiver"
	"backstop/internal/secret"
	"backstop/internal/simulate"
	"backstop/state"
)

const (
	sceneKey    = "hk_scene_51c0"
	sceneSecret = "whsec_scene_9d2e"
)

// errGone is what a request of a process that has been killed, or to one that
// does not run, ends with.
var errGone = fmt.Errorf("dial: %w", syscall.ECONNREFUSED)

// scene is HeyGen, a receiver and the lives of one backstop between them, all in
// memory but the state, which is a real file. It belongs to one bubble.
type scene struct {
	t        *testing.T
	plan     plan
	cfg      *config.Config
	world    *simulate.World
	receiver *receiver.Receiver
	stop     func() // ends the world; waits for it
	began    time.Time

	mu      sync.Mutex
	life    *life // guarded by mu; nil while backstop does not run
	history       // guarded by mu
	trouble       // guarded by mu
}

// trouble is what goes wrong at the receiver now.
type trouble struct {
	calm         bool   // nothing does
	down         bool   // no connection
	rest         string // Retry-After of every answer; "": none
	unauthorized bool   // 401 to all
	healed       bool   // poisonous events are taken, too
	poison       string // type and entity of the fact that is refused; "": none yet
	lethal       string // a kill waits for "post" or "page"; "": none does
}

// history is what was seen from outside of backstop, and what was done to it.
type history struct {
	posts     []*post
	tries     map[string]int            // POSTs by id, or by content where there is no id
	acked     map[string]time.Time      // reports that were answered 2xx and not taken back
	said      map[string]bool           // ids that were ever in a report
	ackedFact map[heygen.Fact]time.Time // the same of anonymous ones
	saidFact  map[heygen.Fact]bool      //
	touched   map[string]bool           // ids that a person did something about
	again     map[string]int            // how often a person gave leave to send an id once more
	undated   map[string]bool           // ids that the listing shows without a date
	deaths    []death                   // of backstop, but for the graceful ones
	starts    []time.Time               // of backstop
	errors    []string                  // what must not happen
	met       map[string]int            // situations
	mark      time.Time                 // the last one looked at in this life
	known     map[string]state.Status   // what the state told last
	waits     map[string]bool           // ids that were once the twin of another
	listed    map[string]simulate.Event // as far as it was looked at
	notices   []notify.Notice           // whoever is told of trouble
	pings     int                       // the dead man's switch
	complete  time.Time                 // when a walk had certainly been complete; zero: none yet
}

// death is one kill.
type death struct {
	at   time.Time
	life int
}

// post is one replay as it went over the wire.
type post struct {
	id         string
	life       int
	start, end time.Time // end is zero while it flies
	status     int       // of the receiver, 0: it did not answer
	got        int       // that backstop heard, 0: none
	body       string
	reason     string
	attempt    string
}

func accepted(status int) bool { return status/100 == 2 }

// atWork lets a bubble's clock, which begins in 2000, come to a time at which
// events are dated.
func atWork(t *testing.T) {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC)))
}

// newScene makes a world that runs and a receiver; backstop is started by live.
func newScene(t *testing.T, p plan) *scene {
	s := &scene{t: t, plan: p, began: time.Now(), history: history{
		tries: map[string]int{}, acked: map[string]time.Time{}, said: map[string]bool{},
		ackedFact: map[heygen.Fact]time.Time{}, saidFact: map[heygen.Fact]bool{},
		touched: map[string]bool{}, again: map[string]int{}, undated: map[string]bool{}, met: map[string]int{},
		known: map[string]state.Status{}, waits: map[string]bool{}, listed: map[string]simulate.Event{},
	}}
	s.cfg = p.config(filepath.Join(t.TempDir(), "backstop.db"))
	s.receiver = receiver.New(receiver.Options{
		Secrets: []string{sceneSecret}, MaxAge: 100 * time.Hour, Strict: true, Work: p.work, Answer: s.answer,
		Report: "http://backstop.test/v1/seen", Client: &http.Client{Transport: carrier(s.hear)},
		Unsaid: func(d receiver.Delivery) bool { return d.Replay && !p.reportsReplays },
	})
	options := p.world
	options.Transport = carrier(s.deliver)
	s.world = simulate.New(options)
	ctx, cancel := context.WithCancel(t.Context())
	var making sync.WaitGroup
	making.Go(func() { _ = s.world.Run(ctx) })
	s.stop = func() { cancel(); making.Wait() }
	t.Cleanup(func() {
		s.stop()
		s.end()
		_ = s.receiver.Close() // nobody hears the rest
	})
	return s
}

// meet counts a situation.
func (s *scene) meet(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.met[what]++
}

// wrong notes what must not happen.
func (s *scene) wrong(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.errors) < 20 {
		s.errors = append(s.errors, time.Since(s.began).String()+": "+fmt.Sprintf(format, args...))
	}
}

// chance tells from the seed, and from nothing else, whether something befalls
// the nth of the things called by a name.
func (s *scene) chance(share float64, what, name string, n int) bool {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %s %d", s.plan.seed, what, name, n)
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11)/(1<<53) < share
}

// carrier is an http.RoundTripper that asks a function: real sockets hang in a
// bubble.
type carrier func(req *http.Request) (*http.Response, error)

func (f carrier) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// serve asks a handler in memory. An answer that announces more than it holds
// breaks off, as it does over a real connection.
func serve(h http.Handler, req *http.Request) *http.Response {
	if req.Body == nil {
		req.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, req)
	resp := recorder.Result()
	if short := resp.ContentLength > int64(recorder.Body.Len()); short {
		resp.Body = io.NopCloser(io.MultiReader(resp.Body, brokenOff{}))
	}
	return resp
}

// strike has the next commit fail where a kill waits for this.
func (s *scene) strike(what string, l *life) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lethal == what {
		s.lethal = ""
		s.met["kill at a "+what]++
		l.arm("before", 0)
	}
}

type brokenOff struct{}

func (brokenOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// list is the way from one life of backstop to HeyGen.
func (s *scene) list(l *life) carrier {
	handler := s.world.Handler()
	return func(req *http.Request) (*http.Response, error) {
		if l.isDead() {
			return nil, errGone
		}
		if req.URL.Query().Has("token") {
			s.strike("page", l)
		}
		resp := serve(handler, req)
		if l.isDead() {
			return nil, errGone
		}
		if s.plan.undated > 0 && resp.StatusCode == http.StatusOK {
			return s.mangle(resp)
		}
		return resp, nil
	}
}

// dateSuffix is how a row of the listing ends; it always has this length.
const dateSuffix = `,"created_at":"2006-01-02T15:04:05Z"}`

// mangle takes the date of some rows away. What it can't read it leaves alone.
func (s *scene) mangle(resp *http.Response) (*http.Response, error) {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), brokenOff{}))
		return resp, nil
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var page struct {
		Data []json.RawMessage `json:"data"`
		More bool              `json:"has_more"`
		Next json.RawMessage   `json:"next_token"`
	}
	if json.Unmarshal(body, &page) != nil || page.Next == nil {
		return resp, nil
	}
	for i, row := range page.Data {
		var id struct {
			ID string `json:"event_id"`
		}
		if json.Unmarshal(row, &id) == nil && s.chance(s.plan.undated, "undated", id.ID, 0) {
			page.Data[i] = append(bytes.Clone(row[:len(row)-len(dateSuffix)]), `,"created_at":"soon"}`...)
			s.mu.Lock()
			s.undated[id.ID] = true
			s.mu.Unlock()
		}
	}
	body = append([]byte(`{"data":[`), bytes.Join(raw(page.Data), []byte{','})...)
	body = fmt.Appendf(body, `],"has_more":%t,"next_token":%s}`, page.More, page.Next)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

func raw(rows []json.RawMessage) [][]byte {
	all := make([][]byte, len(rows))
	for i := range rows {
		all[i] = rows[i]
	}
	return all
}

// deliver is the way of a push to the receiver.
func (s *scene) deliver(req *http.Request) (*http.Response, error) {
	if s.unreachable() {
		s.meet("push met an outage")
		return nil, errGone
	}
	return serve(s.receiver.Handler(), req), nil
}

func (s *scene) unreachable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down && !s.calm
}

// replay is the way of a replay of one life to the receiver. The receiver goes on
// when the sender has gone away.
func (s *scene) replay(l *life) carrier {
	return func(req *http.Request) (*http.Response, error) {
		p := s.takeOff(l, req)
		defer s.land(p)
		if l.isDead() || s.unreachable() {
			return nil, errGone
		}
		answered := make(chan *http.Response, 1)
		ctx := context.WithoutCancel(req.Context())
		handled := req.Clone(ctx)
		handled.Body = io.NopCloser(bytes.NewReader([]byte(p.body)))
		go func() { // ends when the receiver has worked, at most plan.work later
			resp := serve(s.receiver.Handler(), handled)
			s.mu.Lock()
			p.status = resp.StatusCode
			s.mu.Unlock()
			answered <- resp
		}()
		select {
		case resp := <-answered:
			s.strike("post", l)
			return s.comeBack(p, resp)
		case <-req.Context().Done():
			return nil, req.Context().Err()
		case <-l.killed:
			return nil, errGone
		}
	}
}

// comeBack lets some answers get lost on their way back.
func (s *scene) comeBack(p *post, resp *http.Response) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.calm && s.chance(s.plan.lostAnswers, "answer", p.id, s.tries[p.id]) {
		s.met["answer lost"]++
		return nil, fmt.Errorf("read: %w", syscall.ECONNRESET)
	}
	p.got = resp.StatusCode
	if s.rest != "" {
		resp.Header.Set("Retry-After", s.rest)
	}
	return resp, nil
}

func (s *scene) takeOff(l *life, req *http.Request) *post {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		s.wrong("the body of a replay: %v", err)
	}
	p := &post{
		id: req.Header.Get("Heygen-Event-Id"), life: l.number, start: time.Now(), body: string(body),
		reason: req.Header.Get("X-Backstop-Reason"), attempt: req.Header.Get("X-Backstop-Attempt"),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posts = append(s.posts, p)
	return p
}

func (s *scene) land(p *post) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.end = time.Now()
}

// answer is what the receiver says to a well-formed push or replay.
func (s *scene) answer(d receiver.Delivery, _ int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := d.ID
	if name == "" {
		name = string(d.Body[:])
	}
	s.tries[name]++
	switch {
	case s.unauthorized && !s.calm:
		s.met["401"]++
		return http.StatusUnauthorized
	case s.poisonousLocked(d) && !s.healed:
		s.met["404"]++
		return http.StatusNotFound
	case !s.calm && s.chance(s.plan.errors, "error", name, s.tries[name]):
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

// poisonousLocked reports whether the receiver refuses an event for good. It is
// one fact at most, with its twin: three refused in a row would be a receiver
// that refuses all.
func (s *scene) poisonousLocked(d receiver.Delivery) bool {
	fact := d.Type + " " + d.Entity
	if s.poison == "" && !s.calm && d.Replay && s.chance(s.plan.poison, "poison", fact, 0) {
		s.poison = fact
	}
	return s.poison == fact
}

// hear takes a report to backstop, where it runs. What was answered is
// acknowledged.
func (s *scene) hear(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	l := s.life
	s.mu.Unlock()
	if l == nil || l.isDead() {
		return nil, errGone
	}
	seen := sightings(body)
	s.say(seen)
	if _, err := l.engine.Record(seen); err != nil {
		return respond(http.StatusInternalServerError), nil
	}
	s.acknowledge(seen)
	return respond(http.StatusOK), nil
}

func respond(status int) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}
}

// sightings reads a report as the handler of reports does.
func sightings(body []byte) []state.Sighting {
	var seen []state.Sighting
	for line := range bytes.Lines(body) {
		var item struct {
			ID   string          `json:"event_id"`
			At   time.Time       `json:"received_at"`
			Type string          `json:"event_type"`
			Data json.RawMessage `json:"event_data"`
		}
		if json.Unmarshal(line, &item) != nil {
			continue
		}
		fact := heygen.Fact{}
		if item.ID == "" {
			fact, _ = heygen.FactOf(item.Type, item.Data)
		}
		seen = append(seen, state.Sighting{ID: item.ID, Fact: fact, At: item.At, Proof: state.Report})
	}
	return seen
}

func (s *scene) say(seen []state.Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range seen {
		if one.ID != "" {
			s.said[one.ID] = true
		} else {
			s.saidFact[one.Fact] = true
		}
	}
}

func (s *scene) acknowledge(seen []state.Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range seen {
		if _, ok := s.acked[one.ID]; !ok && one.ID != "" {
			s.acked[one.ID] = time.Now()
		}
		if _, ok := s.ackedFact[one.Fact]; !ok && !one.Fact.IsZero() {
			s.ackedFact[one.Fact] = time.Now()
		}
	}
}

// life is one process of backstop, from Open to its end.
type life struct {
	number int
	engine *Engine
	counts *metrics.Metrics
	last   map[string]float64 // what was scraped last; of the goroutine that samples
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
	err    error         // of Run; after done
	killed chan struct{} // closed at a kill

	mu      sync.Mutex
	armed   string // point of the next commit that fails; "": none
	at      int    // if above 0, only the commit of this number
	commits int
	died    time.Time
	failed  bool // a commit was reported failed: nothing may be written any more
	after   int  // commits tried after that
}

// fault is called around every commit. It must not use the state.
func (l *life) fault(point string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed {
		l.after++
		return errors.New("the process is dead")
	}
	if point == "before" {
		l.commits++
	}
	if l.armed != point || l.at > 0 && l.commits != l.at {
		return nil
	}
	l.failed, l.died = true, time.Now()
	close(l.killed)
	return fmt.Errorf("commit %d fails %s: %w", l.commits, point, syscall.EIO)
}

func (l *life) isDead() bool {
	select {
	case <-l.killed:
		return true
	default:
		return false
	}
}

// made is how many commits were tried.
func (l *life) made() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.commits
}

func (l *life) arm(point string, at int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed, l.at = point, at
}

// live starts backstop on the state as it is. Point and at, unless empty, say
// which commit fails and how.
func (s *scene) live(point string, at int) *life {
	s.mu.Lock()
	l := &life{number: len(s.deaths) + s.met["graceful stop"] + 1, done: make(chan struct{}), killed: make(chan struct{}), armed: point, at: at, counts: metrics.New("scene")}
	s.mark = time.Time{} // what waited in memory may be gone
	s.mu.Unlock()
	e, err := Open(Options{
		Config: s.cfg, Need: Create, Logger: slog.New(slog.DiscardHandler), API: s.list(l), Receiver: s.replay(l), Fault: l.fault,
		Metrics: l.counts, Notices: carrier(s.notified),
	})
	if err != nil {
		if l.isDead() { // the commit that failed was one of Open
			return l
		}
		s.t.Fatalf("open in life %d: %v", l.number, err)
	}
	l.engine = e
	s.mu.Lock()
	s.life = l
	s.mu.Unlock()
	s.run(l)
	return l
}

// run starts Run.
func (s *scene) run(l *life) {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.set(func() { s.starts = append(s.starts, time.Now()) })
	l.cancel = cancel
	l.done = make(chan struct{})
	go func() { // ends with ctx, or when the state latches; end waits for it
		defer close(l.done)
		l.err = l.engine.Run(ctx)
	}()
}

// current gives the life that runs, nil for none.
func (s *scene) current() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life
}

// end stops backstop gracefully, if it runs.
func (s *scene) end() {
	l := s.current()
	if l == nil {
		return
	}
	begun := time.Now()
	l.cancel()
	<-l.done
	if took := time.Since(begun); took > 5*time.Second {
		s.wrong("V5: the stop took %v", took)
	}
	s.bury(l)
	if l.isDead() {
		return
	}
	s.meet("graceful stop")
	if l.err != nil {
		s.wrong("Run ended with %v at a stop", l.err)
	}
}

// kill ends backstop as a power failure does: from now on nothing it does has
// any effect.
func (s *scene) kill() {
	l := s.current()
	l.arm("before", 0)
	_ = l.engine.store.Act(time.Now(), "scene", "dies", 0)
	s.mourn(l)
}

// mourn waits for the end of a life whose commit failed.
func (s *scene) mourn(l *life) {
	s.mu.Lock()
	s.deaths = append(s.deaths, death{l.died, l.number})
	s.lethal = ""
	s.mu.Unlock()
	if l.engine == nil {
		return
	}
	begun := time.Now()
	<-l.done
	if took := time.Since(begun); took > 5*time.Second {
		s.wrong("V5: the end after a latch took %v", took)
	}
	l.cancel()
	if !errors.Is(l.err, state.ErrLatched) {
		s.wrong("S11: Run ended with %v, want the latch", l.err)
	}
	s.bury(l)
}

// bury lets go of the file.
func (s *scene) bury(l *life) {
	s.mu.Lock()
	s.life = nil
	s.mu.Unlock()
	err := l.engine.Close()
	if dead := l.isDead(); dead != (err != nil) {
		s.wrong("Close after a kill (%t) gave %v", dead, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.after > 0 {
		s.wrong("S11: %d commits were tried after the one that failed", l.after)
	}
}

// config is the configuration of a plan.
func (p plan) config(path string) *config.Config {
	cfg := config.Default()
	cfg.Heygen.BaseURL = "https://api.heygen.test"
	cfg.Heygen.APIKey = secret.Text(sceneKey)
	cfg.Heygen.PageSize = p.pageSize
	cfg.Heygen.Rate = 0
	cfg.Heygen.Timeout = 10 * time.Second
	cfg.Receiver.URL = "https://receiver.test/hook"
	cfg.Receiver.Secrets = []secret.Secret{secret.Text(sceneSecret)}
	cfg.Schedule.Poll, cfg.Schedule.Sweep = p.poll, p.sweep
	cfg.Reconcile.Settle = p.settle
	cfg.Reconcile.Lookback = p.lookback
	cfg.Reconcile.SweepLookback = 12 * time.Hour
	cfg.Reconcile.Start.Beginning = p.beginning
	cfg.Reconcile.CollapseWindow = 10 * time.Minute
	cfg.Replay.Rate = p.rate
	cfg.Replay.Concurrency = p.concurrency
	cfg.Replay.BackoffMax = 3 * time.Minute
	cfg.State.Path = path
	if p.maxAttempts > 0 {
		cfg.Replay.MaxAttempts = p.maxAttempts
	}
	if p.retention > 0 {
		cfg.State.Retention = p.retention
	}
	return cfg
}
