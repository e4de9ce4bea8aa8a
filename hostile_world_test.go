package main_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"backstop/internal/simulate"
)

const hostileConfig = `
heygen: {base_url: LISTING, api_key: hk_hostile, rate: 0, timeout: 10s}
receiver:
  url: RECEIVER/webhooks/heygen
  secret: SECRET
  timeout: TIMEOUT
  headers: {X-Life: "${LIFE:-none}"}
schedule: {poll: "@every 1s", sweep: "@every 1h"}
reconcile: {settle: 1s, lookback: 6s, sweep_lookback: 60s, start: beginning, collapse_window: 0s}
seen:
  - report: {}
replay: {rate: RATE, concurrency: 4, backoff_min: 50ms, backoff_max: BACKOFF, max_attempts: TRIES}
state: {path: DIR/backstop.db}
control: DIR/control.sock
admin: {listen: ""}
log: {format: text}
`

const hostileSecret = "whsec_hostile_20c4"

// hostileWorld is a HeyGen whose pushes do not arrive, a hostile receiver, and
// the real program between them.
type hostileWorld struct {
	t *testing.T
	hostileCase
	random   *rand.Rand
	site     *site
	config   string
	heygen   *simulate.World
	asked    atomic.Int64 // requests for a page
	receiver *hostile
	endpoint *endpoint
	waiting  []simulate.Event
	order    map[string]int // of an event in the backlog
	begun    time.Time
	lives    int
	killed   map[string]time.Time
	reloads  int
	memory   int // the most that a process held, in kB

	mu    sync.Mutex
	took  map[int]int          // accepted or turned away in each second; guarded by mu
	later map[string]time.Time // when an event may come again; guarded by mu
}

func newHostileWorld(t *testing.T, binary string, c hostileCase, seed uint64) *hostileWorld {
	w := &hostileWorld{
		t: t, hostileCase: c, random: rand.New(rand.NewPCG(seed, 7)), begun: time.Now(),
		order: map[string]int{}, killed: map[string]time.Time{},
		took: map[int]int{}, later: map[string]time.Time{},
	}
	w.defaults()
	w.receiver = newHostile(hostileSecret, w.timeout/2, func(a arrival) reply {
		if c.behave == nil {
			return reply{}
		}
		return c.behave(w, a)
	})
	w.receiver.least = 4 * time.Millisecond // so that POSTs meet there
	w.endpoint = newEndpoint(t, w.receiver)
	t.Cleanup(w.endpoint.down)
	w.heygen = simulate.New(simulate.Options{Seed: seed, APIKey: "hk_hostile", PushURL: "http://" + w.endpoint.address})
	w.config = strings.NewReplacer(
		"LISTING", serve(t, w.listing()), "RECEIVER", "http://"+w.endpoint.address, "SECRET", w.secret,
		"TIMEOUT", w.timeout.String(), "RATE", fmt.Sprint(w.rate), "BACKOFF", w.backoff.String(), "TRIES", strconv.Itoa(w.tries),
	).Replace(hostileConfig)
	w.site = newSite(t, binary, w.config)
	w.miss(w.events)
	w.learn()
	return w
}

func (w *hostileWorld) defaults() {
	if w.events == 0 {
		w.events = 200
	}
	if w.timeout == 0 {
		w.timeout = 2 * time.Second
	}
	if w.backoff == 0 {
		w.backoff = 500 * time.Millisecond
	}
	if w.tries == 0 {
		w.tries = 12
	}
	if w.secret == "" {
		w.secret = hostileSecret
	}
}

// listing is HeyGen's API, with the pages counted.
func (w *hostileWorld) listing() http.Handler {
	api := w.heygen.Handler()
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/webhooks/events") {
			w.asked.Add(1)
		}
		api.ServeHTTP(rw, r)
	})
}

// miss makes events whose pushes get lost. Some follow others of their entity at
// once, some much later.
func (w *hostileWorld) miss(n int) {
	began := w.begun.Add(-time.Duration(w.events)*time.Second - time.Minute)
	for range n {
		e := missedEvent(w.t, w.heygen, began, len(w.waiting), w.events)
		w.order[e.ID] = len(w.waiting)
		w.waiting = append(w.waiting, e)
	}
}

// missedEvent makes the ith event, about one of so many, that no push brings.
func missedEvent(t *testing.T, heygen *simulate.World, began time.Time, i, of int) simulate.Event {
	r := simulate.Recipe{
		Type: "avatar_video.success", Entity: fmt.Sprintf("vid_near_%d", i/8), Push: simulate.NeverSent,
		Created: began.Add(time.Duration(i) * time.Second),
	}
	if i%8 > 2 {
		r.Entity = fmt.Sprintf("vid_far_%d", i%max(1, of/2))
	}
	e, err := heygen.Create(r)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// learn has backstop walk the listing and send nothing yet: what is missed is
// known, all of it, when the trouble begins.
func (w *hostileWorld) learn() {
	w.site.must("", "seen", "add", "evt_pairing")
	w.site.must("", "pause")
	if out, code := w.site.run("", "reconcile"); code != 5 {
		w.t.Fatalf("reconcile: exit %d\n%s", code, out)
	}
	w.site.must("", "resume")
	if missed := w.counts()["missed"]; missed != len(w.waiting) {
		w.t.Fatalf("%d events are missed, want %d", missed, len(w.waiting))
	}
}

// counts asks backstop how many events stand how; nil while nobody answers.
func (w *hostileWorld) counts() map[string]int {
	var status struct {
		Counts map[string]int `json:"counts"`
	}
	out, code := w.site.run("", "status", "--json")
	if code != 0 {
		return nil // it is just starting
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		w.t.Fatalf("status --json: %v\n%s", err, out)
	}
	return status.Counts
}

// left is how many events are neither seen nor dead.
func (w *hostileWorld) left() int {
	c := w.counts()
	if c == nil {
		return len(w.waiting)
	}
	return len(w.waiting) - c["seen"] - c["dead"]
}

// start starts the daemon.
func (w *hostileWorld) start() *process {
	w.lives++
	return w.site.start([]string{"LIFE=" + strconv.Itoa(w.lives)}, "run")
}

// kill ends the daemon with SIGKILL, and looks at what it left.
func (w *hostileWorld) kill(p *process) {
	w.t.Helper()
	at := time.Now() // what it sends may still arrive, but no more than was in flight
	w.sample(p)
	if !p.kill() {
		w.t.Fatalf("the daemon ended by itself with exit code %d\n%s", p.cmd.ProcessState.ExitCode(), w.site.said.tail())
	}
	w.killed[strconv.Itoa(w.lives)] = at
	w.site.must("", "state", "check")
}

// drain sends the backlog, and deals out kills at random instants meanwhile.
func (w *hostileWorld) drain() *process {
	p := w.start()
	for n := range w.kills {
		share := len(w.waiting) / (w.kills + 2)
		w.awaitPosts(p, n*share+1+w.random.IntN(max(1, 2*share)))
		pause(w.t.Context(), time.Duration(w.random.IntN(8))*time.Millisecond)
		w.kill(p)
		p = w.start()
	}
	return p
}

// awaitPosts waits until so many POSTs have come.
func (w *hostileWorld) awaitPosts(p *process, n int) {
	limit := time.After(hostilePatience)
	for next := w.receiver.next(); w.receiver.posts() < n; next = w.receiver.next() {
		select {
		case <-next:
		case <-p.done:
			return
		case <-limit:
			w.t.Fatalf("after %s: %d POSTs, want %d\n%s", hostilePatience, w.receiver.posts(), n, w.site.said.tail())
		}
	}
}

// hostilePatience is how long anything may take that these tests wait for.
const hostilePatience = 3 * time.Minute

// settle waits until nothing is left to do and stops the daemon.
func (w *hostileWorld) settle(p *process) {
	w.t.Helper()
	defer func() {
		if w.t.Failed() {
			w.t.Logf("%v\n%s", w.counts(), w.site.said.tail())
		}
	}()
	expected := 0
	for _, e := range w.waiting {
		if w.hostileCase.dead == nil || !w.hostileCase.dead(w, e.ID) {
			expected++
		}
	}
	until(w.t, hostilePatience, "the receiver has every event", func() bool { return w.receiver.has() >= expected })
	until(w.t, hostilePatience, "nothing is left to do", func() bool { return w.left() == 0 })
	w.sample(p)
	if code := p.stop(); code != 0 {
		w.t.Errorf("SIGINT: exit %d", code)
	}
	w.site.must("", "state", "check")
}

// reload puts another configuration in force.
func (w *hostileWorld) reload(p *process, old, new string) {
	config := strings.ReplaceAll(strings.ReplaceAll(w.config, old, new), "DIR", w.site.dir)
	if err := os.WriteFile(filepath.Join(w.site.dir, "config.yaml"), []byte(config), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.reloads++
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		w.t.Fatal(err)
	}
}

// sample looks how much memory of its own a process has.
func (w *hostileWorld) sample(p *process) { w.memory = max(w.memory, p.anonymous()) }

// judge has the validator look at the receiver's log, and compares it with what
// backstop says.
func (w *hostileWorld) judge() {
	dead := func(id string) bool { return w.hostileCase.dead != nil && w.hostileCase.dead(w, id) }
	wrong, met := trial{
		events: w.waiting, log: w.receiver.all(), killed: w.killed, concurrency: 4, rate: w.rate, reloads: w.reloads,
		dead: dead, unsigned: w.secret != hostileSecret,
	}.judge()
	for _, one := range wrong[:min(len(wrong), 20)] {
		w.t.Error(one)
	}
	events := w.site.events()
	for _, e := range w.waiting {
		want := "seen"
		if dead(e.ID) {
			want = "dead"
		}
		if events[e.ID].Status != want {
			w.t.Errorf("%s ended as %q, want %s", e.ID, events[e.ID].Status, want)
		}
	}
	w.t.Logf("%s; %d kB of anonymous memory at most; %s", met, w.memory, time.Since(w.begun).Round(100*time.Millisecond))
}
