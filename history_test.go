package main_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"backstop/internal/simulate"
)

var (
	historyFlag      = flag.Int("history", 20_000, "events of the history that TestBackfillSurvivesKills reads")
	historyKillsFlag = flag.Int("history-kills", 10, "how many SIGKILLs it deals out")
)

const historyConfig = `
heygen: {base_url: LISTING, rate: 0, timeout: 10s}
receiver: {url: RECEIVER/webhooks/heygen, secret: whsec_history, timeout: 5s}
replay: {rate: 0, concurrency: 4, backoff_min: 50ms, backoff_max: 500ms}
state: {path: DIR/backstop.db}
control: DIR/control.sock
admin: {listen: ""}
log: {format: text}
`

// missedShare is how many events of the history the receiver does not have: one
// in so many.
const missedShare = 100

// History is read while the listing misbehaves, and the process that reads it is
// killed again and again. Every event is accounted for once, few pages are read
// twice, and the receiver gets what it missed.
func TestBackfillSurvivesKills(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("%d events, %d kills, -seed %d", *historyFlag, *historyKillsFlag, seed)
	w := newHistoryWorld(t, seed)
	w.pair()
	w.killOften(*historyKillsFlag)
	w.judge()
}

// historyWorld is a HeyGen with a long past and a receiver that has most of it.
type historyWorld struct {
	t      *testing.T
	random *rand.Rand
	moods  *rand.Rand // of the receiver; guarded by mu
	site   *site
	heygen *simulate.World
	ids    []string

	useful   atomic.Int64 // answers of the listing that were not faults
	requests atomic.Int64
	refused  atomic.Int64 // cursors
	mu       sync.Mutex
	got      map[string]int // accepted replays by id; guarded by mu
	plan     historyEnd
	kills    int
	inFlight int // kills that found a replay in flight
	posts    atomic.Int64
	flying   atomic.Int64
	memory   int // the most a process held, in kB
}

// historyEnd is what the last line of a backfill says.
type historyEnd struct {
	Result *struct {
		Plan                     struct{ Events, Seen, Missed, Bad int }
		Seen, Proven, Dead, Left int
	}
}

func newHistoryWorld(t *testing.T, seed uint64) *historyWorld {
	w := &historyWorld{t: t, random: rand.New(rand.NewPCG(seed, 3)), moods: rand.New(rand.NewPCG(seed, 4)), got: map[string]int{}}
	faults := simulate.Faults{TooMany: 0.002, ServerError: 0.003, HTML: 0.001, Truncated: 0.002, ExpiredCursors: 0.003, EmptyPages: 0.001}
	w.heygen = simulate.New(simulate.Options{
		Seed: seed, Events: *historyFlag, Span: 2 * 365 * 24 * time.Hour, Faults: faults,
		Start: time.Now().Add(-time.Hour), // all of it has settled
	})
	w.ids = w.heygen.Listed()
	api := w.heygen.Handler()
	base := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		noted := &notedWriter{ResponseWriter: rw, status: http.StatusOK}
		api.ServeHTTP(noted, r)
		if !strings.HasSuffix(r.URL.Path, "/v3/webhooks/events") {
			return // links that have expired are looked up beside the walk
		}
		w.requests.Add(1)
		switch noted.status {
		case http.StatusOK:
			w.useful.Add(1)
		case http.StatusBadRequest:
			w.refused.Add(1)
		}
	}))
	webhook := serve(t, http.HandlerFunc(w.receive))
	config := strings.NewReplacer("LISTING", base, "RECEIVER", webhook).Replace(historyConfig)
	w.site = newSite(t, build(t), config, "HEYGEN_API_KEY=hk_history")
	return w
}

// receive is the user's webhook: it fails now and then.
func (w *historyWorld) receive(rw http.ResponseWriter, r *http.Request) {
	w.posts.Add(1)
	w.flying.Add(1)
	defer w.flying.Add(-1)
	pause(r.Context(), 3*time.Millisecond) // the work
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.moods.IntN(50) == 0 {
		rw.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.got[r.Header.Get("Heygen-Event-Id")]++
}

// missed reports whether the receiver missed the nth event.
func (w *historyWorld) missed(n int) bool { return n%missedShare == missedShare/2 }

// pair tells backstop what the receiver has.
func (w *historyWorld) pair() {
	var ids strings.Builder
	for n, id := range w.ids {
		if !w.missed(n) {
			fmt.Fprintln(&ids, id)
		}
	}
	w.site.must(ids.String(), "seen", "import", "-")
}

// killOften runs the backfill until it has been killed so many times, and then
// to its end. How long it may live follows from how long it lived.
func (w *historyWorld) killOften(n int) {
	args := []string{"backfill", "--all", "--yes", "--json"}
	for life := 0; ; life++ {
		if life > 10*n+10 {
			w.t.Fatalf("%d lives and only %d kills", life, w.kills)
		}
		from := len(w.site.said.String())
		p := w.site.start(nil, args...)
		ended := w.await(p, w.fate(n))
		w.sample(p)
		sending := w.flying.Load() > 0
		if !ended && p.kill() {
			w.kills++
			if sending {
				w.inFlight++
			}
			continue
		}
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			w.t.Fatalf("the backfill ends with %d\n%s", code, w.site.said.tail())
		}
		w.plan = lastLine(w.t, w.site.said.String()[from:])
		if w.kills < n {
			w.t.Errorf("it ended after %d of %d kills", w.kills, n)
		}
		return
	}
}

// fate says when a life ends: two thirds of the kills fall while history is
// read, the others while it is sent, and the last life goes on to its end.
func (w *historyWorld) fate(kills int) func() bool {
	more := func(n *atomic.Int64, each int) func() bool {
		until := n.Load() + 1 + w.random.Int64N(int64(2*each+1))
		return func() bool { return n.Load() >= until }
	}
	events := len(w.ids)
	switch third := max(1, kills/3); {
	case w.kills >= kills:
		return func() bool { return false }
	case w.kills < kills-third:
		return more(&w.requests, events/100/kills)
	default:
		return more(&w.posts, events/missedShare/third/4)
	}
}

// await lets a process live until its fate comes, or it ends.
func (w *historyWorld) await(p *process, fate func() bool) (ended bool) {
	for n := 1; !fate(); n++ {
		select {
		case <-p.done:
			return true
		case <-time.After(time.Millisecond):
		}
		if n%500 == 0 {
			w.sample(p)
		}
	}
	return false
}

// sample looks how much memory of its own a process has had.
func (w *historyWorld) sample(p *process) { w.memory = max(w.memory, p.anonymous()) }

func lastLine(t *testing.T, text string) (end historyEnd) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if json.Unmarshal([]byte(lines[i]), &end) == nil && end.Result != nil {
			return end
		}
	}
	t.Fatalf("no result in %q", lines[len(lines)-1])
	return end
}

// judge compares what was seen from outside with what must be.
func (w *historyWorld) judge() {
	events, missed := len(w.ids), 0
	w.mu.Lock()
	defer w.mu.Unlock()
	repeats := 0
	for n, id := range w.ids {
		got := w.got[id]
		switch {
		case !w.missed(n) && got > 0:
			w.t.Errorf("%s was sent, and the receiver had it", id)
		case w.missed(n) && got == 0:
			w.t.Errorf("%s was missed and never sent", id)
		}
		if w.missed(n) {
			missed++
			repeats += max(0, got-1)
		}
		delete(w.got, id)
	}
	if len(w.got) > 0 {
		w.t.Errorf("%d ids were sent that are not listed", len(w.got))
	}
	end := w.plan.Result
	if end.Plan.Events != events || end.Plan.Bad != 0 || end.Left != 0 || end.Dead != 0 {
		w.t.Errorf("the backfill ends with %+v, want %d events, none bad, left or dead", *end, events)
	}
	if end.Seen+end.Proven != missed {
		w.t.Errorf("%d planned events were seen in the end, want %d", end.Seen+end.Proven, missed)
	}
	pages := (events + 99) / 100
	// Each life asks for the listing's time; an answer that was a fault is asked for again.
	if most := pages + pages/50 + 10*(w.kills+1); int(w.useful.Load()) > most {
		w.t.Errorf("%d useful requests for %d pages and %d kills, want %d at most", w.useful.Load(), pages, w.kills, most)
	}
	if repeats > 4*w.kills {
		w.t.Errorf("%d replays were sent again after %d kills, want %d at most", repeats, w.kills, 4*w.kills)
	}
	if out := w.site.must("", "state", "check"); !strings.Contains(out, "sound") {
		w.t.Errorf("state check: %s", out)
	}
	w.t.Logf("%d events, %d missed; %d kills (%d with a replay in flight); %d pages, %d requests of which %d useful, %d cursors refused; %d repeats; at most %d kB of anonymous memory",
		events, missed, w.kills, w.inFlight, pages, w.requests.Load(), w.useful.Load(), w.refused.Load(), repeats, w.memory)
}
