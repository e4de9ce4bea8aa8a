package main_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"backstop/internal/receiver"
	"backstop/internal/simulate"
)

var (
	killsFlag = flag.Int("kills", 0, "how many SIGKILLs TestKill deals out; 0: 200, or 20 with -short")
	seedFlag  = flag.Uint64("seed", 0, "the seed of TestKill; 0: a new one")
)

const (
	killKey     = "hk_kill_3f1c9a77d2"
	killSecret  = "whsec_kill_8b0e44c1"
	concurrency = 4
)

// killConfig makes everything fast, and the lookback longer than the lateness of
// the listing.
const killConfig = `
heygen:
  base_url: LISTING
  api_key: ${HEYGEN_API_KEY}
  page_size: PAGE
  rate: 0
  timeout: 5s
receiver:
  url: RECEIVER/webhooks/heygen?token=url_4d1f
  secret: ${HEYGEN_WEBHOOK_SECRET}
  headers:
    X-Life: ${LIFE:-none}
schedule:
  poll: "@every 1s"
  sweep: "SWEEP"
reconcile:
  settle: 1s
  lookback: 6s
  sweep_lookback: 60s
  start: beginning
seen:
  - report: {}
replay:
  rate: 0
  concurrency: 4
  max_attempts: 50
  backoff_min: 100ms
  backoff_max: 1s
state:
  path: DIR/backstop.db
control: DIR/control.sock
admin:
  listen: unix:DIR/admin.sock
log:
  level: debug
  format: text
`

// The real program is killed again and again, at random instants of its start,
// its walks, its reports and its replays. No event may be lost, and a further
// POST of an event that the receiver had accepted may come only from what a kill
// found in flight.
func TestKill(t *testing.T) {
	kills, seed := *killsFlag, *seedFlag
	if kills == 0 {
		kills = 200
		if testing.Short() {
			kills = 20
		}
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("%d kills, -seed %d", kills, seed)
	binary := build(t)
	modes := []killMode{
		{name: "run", sweeps: true}, {name: "run, replays reported", reportsReplays: true}, {name: "run, busy", busy: true}, {name: "reconcile", oneShots: true},
	}
	var sum figures
	t.Run("worlds", func(t *testing.T) {
		for i, mode := range modes {
			share := kills/len(modes) + min(1, kills%len(modes)/(i+1))
			t.Run(mode.name, func(t *testing.T) {
				t.Parallel()
				w := newKillWorld(t, binary, mode, seed+uint64(i))
				w.planned = max(1, share)
				w.killOften(w.planned)
				w.settle()
				w.judge()
				sum.add(w.figures)
			})
		}
	})
	t.Logf("%s", &sum)
	if !t.Failed() {
		sum.wild(t)
	}
}

// killMode is what is killed.
type killMode struct {
	name           string
	oneShots       bool // `backstop reconcile --wait` and `backstop seen import` instead of the daemon
	reportsReplays bool // the receiver reports also what came by replay
	busy           bool // more of everything
	sweeps         bool // often; elsewhere what polls miss stays missed
}

// figures are what a run reached, to be shown and to prove that it was no tame one.
type figures struct {
	mu sync.Mutex

	planned, kills, events, replays, duplicates, checks int
	walking, reporting, sending, starting, closed       int // kills that found it so
}

func (f *figures) add(o *figures) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planned += o.planned
	f.kills += o.kills
	f.events += o.events
	f.replays += o.replays
	f.duplicates += o.duplicates
	f.checks += o.checks
	f.walking += o.walking
	f.reporting += o.reporting
	f.sending += o.sending
	f.starting += o.starting
	f.closed += o.closed
}

func (f *figures) String() string {
	return fmt.Sprintf("%d kills (%d in a request of a walk, %d in a report, %d with a replay in flight, %d before the first of these); "+
		"%d events, %d replays accepted, %d duplicates; state checked %d times",
		f.kills, f.walking, f.reporting, f.sending, f.starting, f.events, f.replays, f.duplicates, f.checks)
}

// wild fails a full run that never met what it is for.
func (f *figures) wild(t *testing.T) {
	if f.kills < f.planned {
		t.Errorf("%d kills, want %d", f.kills, f.planned)
	}
	if f.planned < 200 {
		return // a short run may be tame
	}
	for what, n := range map[string]int{
		"before its first request": f.starting, "in a walk": f.walking, "in a report": f.reporting,
		"with a replay in flight": f.sending, "between an answer and its record": f.duplicates,
	} {
		if n == 0 {
			t.Errorf("no kill fell %s: the test is too tame", what)
		}
	}
}

// killWorld is a world whose backstop is killed: HeyGen and the receiver live in
// this process and see everything from outside.
type killWorld struct {
	*figures
	t        *testing.T
	mode     killMode
	random   *rand.Rand
	site     *site
	heygen   *simulate.World
	receiver *receiver.Receiver
	reports  *reports
	listing  atomic.Int64 // requests under way
	asked    atomic.Int64 // requests ever
	replays  *replays
	stop     func()          // no further events
	imported map[string]bool // by `seen import`
	known    map[string]bool // ids that the state has told of
}

func newKillWorld(t *testing.T, binary string, mode killMode, seed uint64) *killWorld {
	w := &killWorld{
		figures: &figures{}, t: t, mode: mode, random: rand.New(rand.NewPCG(seed, 1)), replays: newReplays(),
		imported: map[string]bool{}, known: map[string]bool{},
	}
	webhook := serve(t, w.replays.watch(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.receiver.Handler().ServeHTTP(rw, r) })))
	w.heygen = simulate.New(killOptions(mode, seed, webhook+"/webhooks/heygen"))
	api := w.heygen.Handler()
	base := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		w.listing.Add(1)
		defer w.listing.Add(-1)
		api.ServeHTTP(rw, r)
	}))
	page, sweep := "20", "@every 1h"
	if mode.busy {
		page = "60"
	}
	if mode.sweeps {
		sweep = "@every 3s"
	}
	config := strings.NewReplacer("LISTING", base, "RECEIVER", webhook, "PAGE", page, "SWEEP", sweep).Replace(killConfig)
	w.site = newSite(t, binary, config, "HEYGEN_API_KEY="+killKey, "HEYGEN_WEBHOOK_SECRET="+killSecret)
	w.reports = newReports(filepath.Join(w.site.dir, "admin.sock"))
	w.receiver = receiver.New(w.receiverOptions(seed))
	ctx, cancel := context.WithCancel(t.Context())
	var making sync.WaitGroup
	making.Go(func() {
		if err := w.heygen.Run(ctx); err != nil {
			t.Errorf("simulate: %v", err)
		}
	})
	w.stop = func() { cancel(); making.Wait() }
	t.Cleanup(func() {
		w.stop()
		w.reports.giveUp()
		_ = w.receiver.Close() // what was not reported shows in the judgement
	})
	return w
}

func killOptions(mode killMode, seed uint64, push string) simulate.Options {
	faults := simulate.Mild()
	faults.SlowBy, faults.LateListingBy, faults.LateListing = 150*time.Millisecond, 4*time.Second, 0.1
	o := simulate.Options{
		Seed: seed, Events: 400, Span: 5 * time.Minute, Rate: 25, PushURL: push, Secret: killSecret,
		Lost: 0.3, Late: 0.1, LateBy: 1200 * time.Millisecond, Doubled: 0.05, RetryMin: 100 * time.Millisecond,
		APIKey: killKey, Faults: faults,
	}
	if mode.busy {
		o.Events, o.Rate = 1500, 80
	}
	return o
}

func (w *killWorld) receiverOptions(seed uint64) receiver.Options {
	random, mu := rand.New(rand.NewPCG(seed, 2)), sync.Mutex{}
	o := receiver.Options{
		Secrets: []string{killSecret}, NeedID: true, Strict: true, Work: 2 * time.Millisecond,
		Answer: func(receiver.Delivery, int) int {
			mu.Lock()
			defer mu.Unlock()
			if random.IntN(50) == 0 {
				return http.StatusServiceUnavailable
			}
			return 0
		},
		Report: "http://127.0.0.1/v1/seen", Client: &http.Client{Transport: w.reports},
		Unsaid: func(d receiver.Delivery) bool { return d.Replay && !w.mode.reportsReplays },
	}
	if w.mode.oneShots {
		o.Report = "" // nobody listens; see importSeen
	}
	return o
}

// killOften starts backstop and kills it until that happened n times.
func (w *killWorld) killOften(n int) {
	for life := 0; w.kills < n && !w.t.Failed(); life++ {
		if life > 20*n {
			w.t.Fatalf("%d lives gave only %d kills", life, w.kills)
		}
		w.liveOnce(life)
		w.sound()
		if w.random.IntN(4) == 0 {
			w.check()
		}
	}
}

// liveOnce starts backstop and kills it at a random instant.
func (w *killWorld) liveOnce(life int) {
	if w.mode.oneShots {
		w.importSeen()
	}
	asked := w.asked.Load()
	p := w.start(life)
	if w.random.IntN(4) > 0 { // a start after a kill has a look at the state first, and takes its time
		w.awaitRequest(p, asked)
	}
	w.await(p)
	walking, reporting, sending := w.listing.Load() > 0, w.reports.flying.Load() > 0, w.replays.flying.Load() > 0
	starting := w.asked.Load() == asked
	if !p.kill() {
		w.ended(p)
		return
	}
	w.kills++
	count := func(n *int, was bool) {
		if was {
			*n++
		}
	}
	count(&w.walking, walking)
	count(&w.reporting, reporting && !starting)
	count(&w.sending, sending)
	count(&w.starting, starting)
}

func (w *killWorld) start(life int) *process {
	env := []string{"LIFE=" + strconv.Itoa(life)}
	if w.mode.oneShots {
		return w.site.start(env, "reconcile", "--wait", "--timeout", "20s")
	}
	return w.site.start(env, "run")
}

// awaitRequest lets backstop live until it has asked the listing for something.
func (w *killWorld) awaitRequest(p *process, before int64) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	for w.asked.Load() == before && pause(ctx, 2*time.Millisecond) {
		select {
		case <-p.done:
			return
		default:
		}
	}
}

// await lets backstop live: most often some random time, else until it sends, so
// that many kills fall around a POST.
func (w *killWorld) await(p *process) {
	life := time.Duration(5+w.random.IntN(296)) * time.Millisecond
	if w.random.IntN(3) == 0 {
		life = time.Duration(w.random.IntN(12)) * time.Millisecond
		select {
		case <-w.replays.next():
		case <-p.done:
		case <-time.After(1500 * time.Millisecond):
		}
	}
	select {
	case <-p.done:
	case <-time.After(life):
	}
}

// ended judges a process that ended before it was killed: a daemon must not, and
// a one-shot says how things stand.
func (w *killWorld) ended(p *process) {
	code := p.cmd.ProcessState.ExitCode()
	if !w.mode.oneShots || !slices.Contains([]int{0, 1, 4, 5}, code) {
		w.t.Fatalf("backstop ended by itself with exit code %d\n%s", code, w.site.said.tail())
	}
}

// importSeen tells backstop what was pushed, as a cron job would; sometimes it is
// killed, too.
func (w *killWorld) importSeen() {
	lines, ids := "", []string{}
	for id, count := range w.receiver.Accepted() {
		if count.Push > 0 && !w.imported[id] {
			ids = append(ids, id)
			lines += id + "\n"
		}
	}
	if len(ids) == 0 {
		return
	}
	cmd := w.site.command("seen", "import", "-")
	cmd.Stdin = strings.NewReader(lines)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	if w.random.IntN(3) == 0 {
		timer := time.AfterFunc(time.Duration(w.random.IntN(40))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
	}
	if err := cmd.Wait(); err != nil {
		if cmd.ProcessState.ExitCode() != -1 {
			w.t.Fatalf("seen import: %v\n%s", err, w.site.said.tail())
		}
		w.kills++
		return
	}
	w.reports.take(ids)
	for _, id := range ids {
		w.imported[id] = true
	}
}

// sound asks the program itself whether the state that a kill left is sound. It
// reports false where the kill came before there was one.
func (w *killWorld) sound() bool {
	if _, err := os.Stat(w.site.statePath()); os.IsNotExist(err) {
		return false
	}
	w.checks++
	if out, code := w.site.run("", "state", "check"); code != 0 {
		w.t.Fatalf("state check: exit %d\n%s", code, out)
	}
	return true
}

// check looks at what a kill left: the state must be sound, everything that was
// acknowledged must be in it, nothing it knew may be gone, and what it calls
// replayed must have been accepted.
func (w *killWorld) check() {
	acknowledged := w.reports.all()
	if !w.sound() {
		return
	}
	have := map[string]bool{}
	for line := range readLines[struct {
		ID string `json:"event_id"`
	}](w.t, w.site.must("", "seen", "export", "--json")) {
		have[line.ID] = true
	}
	for id := range acknowledged {
		if !have[id] {
			w.t.Errorf("S10: the report of %s was answered 200, and the state has forgotten it", id)
		}
	}
	w.checkEvents()
}

func (w *killWorld) checkEvents() map[string]listedEvent {
	events, accepted := w.site.events(), w.receiver.Accepted()
	for _, e := range events {
		w.known[e.ID] = true
		if e.Proof == "replay" && accepted[e.ID].Replay == 0 {
			w.t.Errorf("S2: %s is seen by replay, and the receiver never accepted one", e.ID)
		}
		if e.Status == "seen" && accepted[e.ID].Total() == 0 {
			w.t.Errorf("S3: %s is seen (%s), and the receiver never accepted it", e.ID, e.Proof)
		}
	}
	for id := range w.known {
		if _, ok := events[id]; !ok {
			w.t.Errorf("S1: the state knew %s, and knows it no more", id)
		}
	}
	return events
}

// settle ends the bad times: no new events, no kills, until nothing is left to do.
func (w *killWorld) settle() {
	w.stop()
	defer func() {
		if w.t.Failed() {
			w.t.Logf("the receiver never accepted %v\n%s", w.unserved(), w.site.said.tail())
		}
	}()
	if w.mode.oneShots {
		until(w.t, 90*time.Second, "one-shots leave nothing to do", w.settledByOneShot)
		return
	}
	p := w.site.start([]string{"LIFE=last"}, "run")
	until(w.t, 90*time.Second, "nothing is left to do", func() bool {
		select {
		case <-p.done:
			w.ended(p)
		default:
		}
		return w.everyoneServed() && w.quiet()
	})
	if code := p.stop(); code != 0 {
		w.t.Errorf("SIGINT: exit %d\n%s", code, w.site.said.tail())
	}
}

func (w *killWorld) settledByOneShot() bool {
	w.importSeen()
	p := w.site.start([]string{"LIFE=last"}, "reconcile", "--wait", "--timeout", "20s")
	<-p.done
	w.ended(p)
	return p.cmd.ProcessState.ExitCode() == 0 && w.everyoneServed() && w.quiet()
}

// everyoneServed reports whether the receiver has accepted every event, and
// HeyGen lists them all.
func (w *killWorld) everyoneServed() bool {
	return w.heygen.Stats().Hidden == 0 && len(w.unserved()) == 0
}

// unserved are the listed events that the receiver has not accepted.
func (w *killWorld) unserved() []string { return unserved(w.heygen, w.receiver) }

// quiet asks backstop whether anything is left to do.
func (w *killWorld) quiet() bool { return w.site.quiet(len(w.heygen.Listed())) }

// judge is the validator: it compares what HeyGen listed, what the receiver
// answered and what backstop says.
func (w *killWorld) judge() {
	w.check()
	listed, events := w.heygen.Listed(), w.checkEvents()
	w.events = len(listed)
	for _, id := range w.unserved() {
		w.t.Errorf("lost: %s was listed, and the receiver never accepted it", id)
	}
	for _, id := range listed {
		if events[id].Status != "seen" {
			w.t.Errorf("S1: %s ended as %q, want seen", id, events[id].Status)
		}
	}
	visits := w.replays.all()
	w.judgeDuplicates(visits)
	w.judgeKnowledge(visits)
	w.judgeOrder(visits)
	w.judgeBytes()
	w.judgeLeftovers()
	secrets := map[string][]string{"API key": {killKey}, "webhook secret": {killSecret}, "token in the receiver's URL": {"url_4d1f"}}
	for _, leak := range leaks(w.site.said.String(), secrets) {
		w.t.Errorf("S12: %s", leak)
	}
	w.t.Logf("%s", w.figures)
}

// judgeDuplicates is S4: of the replays that one life of backstop had accepted, at
// most those in flight at its kill may come again, and none within that life.
func (w *killWorld) judgeDuplicates(visits []visit) {
	last, again := map[string]string{}, map[string]int{}
	for _, v := range visits {
		if !v.accepted() {
			continue
		}
		w.figures.replays++
		before, twice := last[v.id]
		last[v.id] = v.life
		if !twice {
			continue
		}
		w.duplicates++
		if before == v.life {
			w.t.Errorf("S4: %s was accepted twice in life %s, with no kill between", v.id, v.life)
		}
		if again[before]++; again[before] == concurrency+1 {
			w.t.Errorf("S4: more than %d events that life %s had sent came again", concurrency, before)
		}
	}
}

// moment is how long after the transaction that writes the intent, and that reads
// the reports, its POST may begin on a busy machine.
const moment = 500 * time.Millisecond

// judgeKnowledge is S5 and S17: an attempt must not begin after a report of its
// event was answered. Attempts that the receiver saw after such an answer are
// looked up: it counts when backstop began them.
func (w *killWorld) judgeKnowledge(visits []visit) {
	taken := w.reports.all()
	for _, v := range visits {
		at, reported := taken[v.id]
		if !reported || v.at.Before(at) {
			continue
		}
		if begun, told := w.site.attempt(v); begun.Sub(at) > moment {
			w.t.Errorf("S5: attempt %d of %s began at %s, its report was answered at %s: %s", v.attempt, v.id,
				begun.Format(time.StampMicro), at.Format(time.StampMicro), told)
		}
	}
}

// judgeOrder is S13: of two events of one entity the older was accepted before
// the first attempt of the newer. One that backstop had not met by then can't be:
// HeyGen listed it later, or a walk that broke off had come as far as the newer.
func (w *killWorld) judgeOrder(visits []visit) {
	first, served := map[string]time.Time{}, map[string]time.Time{}
	for _, v := range visits {
		if _, ok := first[v.id]; !ok {
			first[v.id] = v.at
		}
	}
	for _, d := range w.receiver.Log() {
		if _, ok := served[d.ID]; !ok && d.Accepted() {
			served[d.ID] = d.At
		}
	}
	pairs := 0
	for _, family := range w.families() {
		for i, newer := range family {
			begun, replayed := first[newer.ID]
			for _, older := range family[:i] {
				if !replayed || !older.CreatedAt.Before(newer.CreatedAt) {
					continue
				}
				pairs++
				if !served[older.ID].Before(begun) && w.met(older.ID).Before(begun) {
					w.t.Errorf("S13: %s was first replayed at %s, the older %s of its entity arrived at %s:\n%s%s", newer.ID,
						begun.Format(time.StampMicro), older.ID, served[older.ID].Format(time.StampMicro),
						w.site.must("", "explain", newer.ID, "--json"), w.site.must("", "explain", older.ID, "--json"))
				}
			}
		}
	}
	if pairs == 0 {
		w.t.Error("no entity had two events to be kept in order: the world is too small")
	}
}

// met tells when backstop first listed an event.
func (w *killWorld) met(id string) time.Time {
	var event struct {
		ListedAt time.Time `json:"listed_at"`
	}
	out := w.site.must("", "explain", id, "--json")
	if err := json.Unmarshal([]byte(out), &event); err != nil {
		w.t.Fatalf("explain --json: %v\n%s", err, out)
	}
	return event.ListedAt
}

// families are the listed events by entity, oldest first.
func (w *killWorld) families() map[string][]simulate.Event {
	families := map[string][]simulate.Event{}
	for _, id := range w.heygen.Listed() {
		e, _ := w.heygen.Event(id)
		families[e.Entity] = append(families[e.Entity], e)
	}
	return families
}

// judgeBytes is S6: what was replayed is what was listed.
func (w *killWorld) judgeBytes() {
	for _, d := range w.receiver.Log() {
		if !d.Replay || d.Status == 0 {
			continue
		}
		e, known := w.heygen.Event(d.ID)
		body := fmt.Sprintf(`{"event_type":%q,"event_data":%s}`, e.Type, e.Data)
		if !known || d.Fault != "" || d.Body != sha256.Sum256([]byte(body)) {
			w.t.Errorf("S6: attempt %d of %s is not the event as it was listed (%s)", d.Attempt, d.ID, d.Fault)
		}
	}
}

// judgeLeftovers looks for files that kills left behind for ever.
func (w *killWorld) judgeLeftovers() {
	files, err := os.ReadDir(w.site.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	known := []string{"config.yaml", "backstop.db", "backstop.db.side", "control.sock", "admin.sock"}
	for _, f := range files {
		if !slices.Contains(known, f.Name()) {
			w.t.Errorf("%s was left behind", f.Name())
		}
	}
}
