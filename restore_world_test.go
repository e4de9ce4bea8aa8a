package main_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A busy daemon is rolled back again and again: a copy of its state is made, it goes on, and then the copy is restored. Whatever
// was sent or reported in between, and the restored state has forgotten, is not sent a second time unasked; and in the end,
// when the receiver's ids were imported and the rest was asked for, nothing is lost.
func TestRollingBackABusyDaemon(t *testing.T) {
	rounds, seed := 4, *seedFlag
	if testing.Short() {
		rounds = 1
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed %d", seed)
	w := &rollingWorld{killWorld: newKillWorld(t, build(t), killMode{sweeps: true}, seed)}
	w.copy = filepath.Join(w.site.dir, "copy.db")
	for round := range rounds {
		w.live(2 * round)
		w.copyState()
		w.live(2*round + 1)
		if _, code := w.site.run("", "state", "restore", w.copy); code != 0 {
			t.Fatalf("restore: exit %d\n%s", code, w.site.said.tail())
		}
		w.sound()
	}
	w.settleWithheld()
	w.judgeUnasked(w.replays.all())
	w.t.Logf("%d restores, %d events withheld in the end and %d of them sent by hand, %d replays unasked",
		rounds, w.withheld, w.byHand, len(w.replays.all())-w.byHand)
	if w.withheld == 0 {
		t.Error("nothing was withheld: the world is too tame")
	}
}

type rollingWorld struct {
	*killWorld
	copy             string
	withheld, byHand int
	asked            time.Time // when the withheld ones were asked for
}

// live runs the daemon until it has sent and taken something, and stops it.
func (w *rollingWorld) live(life int) {
	w.t.Helper()
	sent, taken := len(w.replays.all()), len(w.reports.all())
	p := w.start(life)
	until(w.t, 60*time.Second, "events were replayed and reported", func() bool {
		return len(w.replays.all()) >= sent+8 && len(w.reports.all()) >= taken+8
	})
	if code := p.stop(); code != 0 {
		w.t.Fatalf("SIGINT: exit %d\n%s", code, w.site.said.tail())
	}
}

func (w *rollingWorld) copyState() {
	w.t.Helper()
	text, err := os.ReadFile(w.site.statePath())
	if err == nil {
		err = os.WriteFile(w.copy, text, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// settleWithheld lets the daemon do all that it does by itself, imports what the receiver has, and asks for the rest.
func (w *rollingWorld) settleWithheld() {
	w.t.Helper()
	w.stop()
	p := w.start(1000)
	until(w.t, 90*time.Second, "nothing is left but what is withheld", func() bool {
		return w.heygen.Stats().Hidden == 0 && w.onlyWithheld()
	})
	w.withheld = len(w.missed())
	w.asked = time.Now()
	var have []string
	for id, count := range w.receiver.Accepted() {
		if count.Total() > 0 {
			have = append(have, id)
		}
	}
	w.site.must(strings.Join(have, "\n"), "seen", "import", "-")
	w.byHand = len(w.missed())
	w.site.must("", "replay", "--missed", "--yes")
	for _, id := range w.unserved() {
		w.t.Errorf("lost: %s was listed, and the receiver never accepted it", id)
	}
	if out := w.site.must("", "status"); !strings.HasPrefix(out, "all clear") {
		w.t.Errorf("status: %s", out)
	}
	if code := p.stop(); code != 0 {
		w.t.Errorf("SIGINT: exit %d\n%s", code, w.site.said.tail())
	}
	w.sound()
}

// onlyWithheld reports whether all that is listed is known, and nothing is left that backstop does by itself.
func (w *rollingWorld) onlyWithheld() bool {
	known := 0
	for e := range readLines[withheldEvent](w.t, w.site.must("", "events", "--json")) {
		known++
		if e.Status != "seen" && !(e.Status == "missed" && e.Withheld) {
			return false
		}
	}
	return known == len(w.heygen.Listed())
}

type withheldEvent struct {
	ID       string `json:"event_id"`
	Status   string `json:"status"`
	Withheld bool   `json:"withheld"`
}

func (w *rollingWorld) missed() (ids []string) {
	for e := range readLines[withheldEvent](w.t, w.site.must("", "events", "--status", "missed", "--json")) {
		ids = append(ids, e.ID)
	}
	return ids
}

// judgeUnasked looks for attempts that nobody asked for, of events that the receiver had taken or reported before.
func (w *rollingWorld) judgeUnasked(visits []visit) {
	accepted, taken := map[string]visit{}, w.reports.all()
	for _, v := range visits {
		if before, twice := accepted[v.id]; twice && v.at.Before(w.asked) {
			w.t.Errorf("%s was accepted in life %s and sent again in life %s", v.id, before.life, v.life)
		}
		if at, reported := taken[v.id]; reported && v.at.Sub(at) > moment && v.at.Before(w.asked) {
			w.t.Errorf("%s was sent in life %s, %s after its report was answered", v.id, v.life, v.at.Sub(at))
		}
		if v.accepted() {
			accepted[v.id] = v
		}
	}
}
