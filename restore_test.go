package main_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backstop/internal/receiver"
	"backstop/internal/simulate"
)

// restoreConfig sends all that is missed as fast as it can.
const restoreConfig = `
heygen: {base_url: LISTING, api_key: hk_restore, rate: 0}
receiver: {url: RECEIVER/hook, secret: whsec_restore}
reconcile: {settle: 1s, start: beginning}
replay: {rate: 0, concurrency: 4}
admin: {listen: ""}
`

// restoreEvents is how many events the copy was about to send.
const restoreEvents = 300

// `state restore` is killed again and again, at random instants, over a state that was rolled back or lost. All events of the copy
// were sent since, so that a copy which was used in silence would send them again. After each kill the next run is refused
// with the remedy, or the state is the restored one; nothing is sent either way.
func TestKillOfARestore(t *testing.T) {
	kills, seed := *killsFlag, *seedFlag
	if kills == 0 {
		kills = 40
		if testing.Short() {
			kills = 10
		}
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("%d kills, -seed %d", kills, seed)
	w := newRestoreWorld(t, seed)
	for w.kills < kills {
		if w.ended > 10*kills {
			t.Fatalf("%d restores gave only %d kills", w.ended, w.kills)
		}
		w.killOne()
	}
	t.Logf("%d kills: %d left what there was, refused, and %d the restored state; %d restores ended before their kill", w.kills, w.refused, w.restored, w.ended)
	if kills >= 40 && (w.refused == 0 || w.restored == 0) {
		t.Error("every kill fell on one side: the test is too tame")
	}
	w.finish()
}

type restoreWorld struct {
	t        *testing.T
	random   *rand.Rand
	site     *site
	receiver *receiver.Receiver
	copy     string
	listed   []string
	takes    time.Duration // a whole restore, as far as it is known: the machine may have become slower or faster

	kills, refused, restored, ended int
}

// newRestoreWorld makes a state that has missed events, copies it, and sends them.
func newRestoreWorld(t *testing.T, seed uint64) *restoreWorld {
	w := &restoreWorld{t: t, random: rand.New(rand.NewPCG(seed, 3))}
	w.receiver = receiver.New(receiver.Options{Secrets: []string{"whsec_restore"}, NeedID: true, Strict: true})
	t.Cleanup(func() { _ = w.receiver.Close() }) // it reports nothing
	heygen := simulate.New(simulate.Options{Seed: seed, Events: restoreEvents, Span: time.Hour, APIKey: "hk_restore"})
	config := strings.NewReplacer("LISTING", serve(t, heygen.Handler()), "RECEIVER", serve(t, w.receiver.Handler())).Replace(restoreConfig)
	w.site = newSite(t, build(t), config)
	w.copy = filepath.Join(w.site.dir, "copy.db")
	w.listed = heygen.Listed()

	w.site.must("evt_pairing\n", "seen", "import", "-")
	w.site.must("", "pause")
	w.reconcile(5)
	w.site.must("", "resume")
	w.clone(w.site.statePath(), w.copy)
	w.site.must("", "reconcile", "--wait")
	w.nothingFurther()
	w.rollBack()
	start := time.Now()
	w.site.must("", "state", "restore", w.copy)
	w.takes = time.Since(start)
	return w
}

func (w *restoreWorld) clone(from, to string) {
	w.t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *restoreWorld) rollBack() { w.t.Helper(); w.clone(w.copy, w.site.statePath()) }

// reconcile makes a pass that must end with a code, and gives all that it said.
func (w *restoreWorld) reconcile(want int) string {
	w.t.Helper()
	before := len(w.site.said.String())
	_, code := w.site.run("", "reconcile")
	text := w.site.said.String()[before:]
	if code != want {
		w.t.Fatalf("reconcile: exit %d, want %d\n%s", code, want, text)
	}
	return text
}

// nothingFurther makes sure that every event was accepted once.
func (w *restoreWorld) nothingFurther() {
	w.t.Helper()
	accepted := w.receiver.Accepted()
	for _, id := range w.listed {
		if n := accepted[id].Total(); n != 1 {
			w.t.Fatalf("%s was accepted %d times, want once\n%s", id, n, w.site.said.tail())
		}
	}
}

// killOne rolls back or loses the state, and kills the restore that is to mend it.
func (w *restoreWorld) killOne() {
	w.t.Helper()
	file := w.copy
	w.rollBack()
	switch w.random.IntN(3) {
	case 0:
		file = w.site.statePath() // where it lies
	case 1:
		if err := os.Remove(w.site.statePath()); err != nil {
			w.t.Fatal(err)
		}
	}
	p := w.site.start(nil, "state", "restore", file)
	select {
	case <-p.done:
	case <-time.After(time.Duration(w.random.Int64N(int64(w.takes)))):
	}
	restored := w.restored
	if p.kill() {
		w.kills++
	} else {
		w.ended++
	}
	w.judge(file)
	if w.restored > restored { // it was late: the next may come a little earlier
		w.takes -= w.takes / 25
	} else {
		w.takes += w.takes / 25
	}
}

// judge looks at what a kill left, and does as it says.
func (w *restoreWorld) judge(file string) {
	w.t.Helper()
	before := len(w.site.said.String())
	_, code := w.site.run("", "reconcile")
	text := w.site.said.String()[before:]
	w.nothingFurther()
	switch {
	case code == 1 && strings.Contains(text, "`backstop state restore FILE`"):
		w.refused++
		if _, err := os.Stat(file); err != nil {
			w.t.Fatalf("the remedy can't be followed: %v", err)
		}
		w.site.must("", "state", "restore", file)
		text = w.reconcile(5)
		w.nothingFurther()
	case code == 5:
		w.restored++
	default:
		w.t.Fatalf("reconcile: exit %d\n%s", code, text)
	}
	if !strings.Contains(text, fmt.Sprintf("%d withheld since the restore", restoreEvents)) {
		w.t.Fatalf("want %d withheld:\n%s", restoreEvents, text)
	}
	w.site.must("", "state", "check")
}

// finish imports one half and sends the other, and looks for what was left behind.
func (w *restoreWorld) finish() {
	w.t.Helper()
	half := w.listed[:len(w.listed)/2]
	w.site.must(strings.Join(half, "\n"), "seen", "import", "-")
	w.site.must("", "replay", "--missed", "--yes")
	accepted := w.receiver.Accepted()
	for i, id := range w.listed {
		want := 1
		if i >= len(half) {
			want = 2
		}
		if n := accepted[id].Total(); n != want {
			w.t.Errorf("%s was accepted %d times, want %d", id, n, want)
		}
	}
	var status struct {
		Clean bool `json:"clean"`
	}
	if err := json.Unmarshal([]byte(w.site.must("", "status", "--json")), &status); err != nil || !status.Clean {
		w.t.Errorf("status: %+v %v", status, err)
	}
	files, err := os.ReadDir(w.site.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), ".") {
			w.t.Errorf("%s was left behind", f.Name())
		}
	}
}
