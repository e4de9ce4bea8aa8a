package main_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

var soakFlag = flag.Int("soak", 2000, "how many events TestTapSoak pushes")

// uncommitted is how long after a 2xx a kill may still lose its record.
//
// The tap queues a push before it passes the 2xx on, the queue is written as
// soon as the commit before is done, and what is committed outlives a kill: that
// is one or two commits, of some milliseconds each. The bound is a hundred times
// as long, for a machine that is busy with other tests.
const uncommitted = 2 * time.Second

// The real program is killed at random instants and started again at once while
// HeyGen pushes through its tap, and the receiver behind it is restarted. No
// event may be lost. A push that got its 2xx may be replayed only where a kill
// came between that and the commit of its record.
func TestTapSoak(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("%d events, -seed %d", *soakFlag, seed)
	w := newSoakWorld(t, *soakFlag, seed)
	w.killOften()
	w.settle()
	w.judge()
	t.Logf("%s", w.soakFigures)
	w.wild(t)
}

// soakFigures are what a soak met.
type soakFigures struct {
	events, kills, sending, restarts int // sending: kills with a push in flight
	pushes, failed, risky            int // tries through the tap; those without a 2xx; those with a kill soon after their 2xx
	replays, replayed                int // requests that arrived, and their events
	why                              [wrong + 1]int
	longest                          time.Duration // from a 2xx to the kill that lost its record
}

func (f *soakFigures) String() string {
	return fmt.Sprintf("%d events; %d pushes through the tap, %d of them failed; %d kills (%d with a push in flight), %d receiver restarts; "+
		"%d replays of %d events, of these had no push arrived: %d; had a 2xx through the tap: %d not committed at a kill (the longest for %s; %d pushes had a kill within %s of their 2xx), "+
		"%d as their replay began; had arrived without it: %d in flight at a kill or restart; pushed after their replay had begun: %d",
		f.events, f.pushes, f.failed, f.kills, f.sending, f.restarts, f.replays, f.replayed, f.why[missed], f.why[notCommitted], f.longest.Round(time.Microsecond),
		f.risky, uncommitted, f.why[raced], f.why[inFlight], f.why[crossed])
}

// wild fails a long run that never met what it is for.
func (f *soakFigures) wild(t *testing.T) {
	if *soakFlag < 20_000 {
		return // a short run may be tame
	}
	if f.sending == 0 || f.restarts == 0 || f.risky == 0 || f.risky == f.pushes-f.failed || f.replayed == 0 {
		t.Error("no kill fell into a push, or before a commit, or far from one, or nothing was restarted or replayed: the test is too tame")
	}
}

// killOften kills the daemon at random instants and starts it again at once,
// until HeyGen has nothing left to push. Half of the lives are so short that
// kills fall into a start, too.
func (w *soakWorld) killOften() {
	for !w.heygen.Done() && !w.t.Failed() {
		life := time.Duration(w.random.IntN(600)) * time.Millisecond
		if w.random.IntN(2) > 0 {
			life = time.Duration(1000+w.random.IntN(6000)) * time.Millisecond
		}
		p := w.site.startOn(w.socket)
		select {
		case <-p.done:
		case <-time.After(life):
		}
		at := time.Now()
		if !p.kill() {
			w.t.Fatalf("the daemon ended by itself with exit code %d\n%s", p.cmd.ProcessState.ExitCode(), w.site.said.tail())
		}
		w.killedAt = append(w.killedAt, at)
	}
}

// settle ends the bad times, waits until nothing is left to do, and stops the
// daemon.
func (w *soakWorld) settle() {
	w.stop()
	p := w.site.startOn(w.socket)
	defer func() {
		if w.t.Failed() {
			w.t.Logf("the receiver never accepted %v\n%s", unserved(w.heygen, w.receiver), w.site.said.tail())
		}
	}()
	until(w.t, 90*time.Second, "nothing is left to do", func() bool {
		return w.heygen.Stats().Hidden == 0 && len(unserved(w.heygen, w.receiver)) == 0 && w.site.quiet(len(w.heygen.Listed()))
	})
	p.terminate()
	w.site.must("", "state", "check")
}

// judge compares what HeyGen listed, what the receiver answered and what
// backstop says.
func (w *soakWorld) judge() {
	listed, events, accepted := w.heygen.Listed(), w.site.events(), w.receiver.Accepted()
	w.events, w.kills, w.restarts = len(listed), len(w.killedAt), len(w.endpoint.outages)
	if w.events != *soakFlag {
		w.t.Errorf("%d events are listed, want %d", w.events, *soakFlag)
	}
	for _, id := range listed {
		e, got := events[id], accepted[id]
		if e.Status != "seen" || got.Total() == 0 || e.Proof == "tap" && got.Push == 0 || e.Proof == "replay" && got.Replay == 0 {
			w.t.Errorf("%s ended as %q (%s), accepted %d times as a push and %d times as a replay", id, e.Status, e.Proof, got.Push, got.Replay)
		}
	}
	w.judgePushes()
	w.judgeReplays()
}

// judgePushes fails the test where a push broke off without a kill, or got no
// 2xx though the receiver was up.
func (w *soakWorld) judgePushes() {
	for id, tries := range w.tries.byID {
		for _, one := range tries {
			w.judgePush(id, one)
		}
	}
	for _, killed := range w.killedAt {
		if w.tries.under(killed) {
			w.sending++
		}
	}
}

func (w *soakWorld) judgePush(id string, one try) {
	w.pushes++
	_, killed := w.killed(one.begun.Add(-moment), one.ended)
	switch {
	case one.ok():
		if _, soon := w.killed(one.begun, one.ended.Add(uncommitted)); soon {
			w.risky++
		}
		return
	case one.status == 0 && killed:
	case one.status == http.StatusBadGateway && w.endpoint.wasDown(one.begun.Add(-moment), one.ended):
	default:
		w.t.Errorf("a push of %s failed with no kill or restart to blame (0: no answer): %s", id, one)
	}
	w.failed++
}

// killed gives the first kill between two instants.
func (w *soakWorld) killed(from, to time.Time) (at time.Time, ok bool) {
	for _, at := range w.killedAt {
		if !at.Before(from) && !at.After(to) {
			return at, true
		}
	}
	return time.Time{}, false
}

// why is how an event came to be replayed, the later the worse.
type why int

const (
	missed       why = iota // it was pushed neither before nor after
	crossed                 // it was pushed after its replay had begun
	inFlight                // it was pushed, and the answer was cut off
	raced                   // its 2xx came just before the replay was decided on
	notCommitted            // a kill lost the record of its 2xx
	wrong                   // there was no such kill
)

// judgeReplays fails the test where an event was replayed whose push had got a
// 2xx through the tap before, unless each record of that may have been lost.
func (w *soakWorld) judgeReplays() {
	arrived, worst := w.arrived(), map[string]why{}
	for _, v := range w.replays.all() {
		w.soakFigures.replays++
		worst[v.id] = max(worst[v.id], w.judgeReplay(v, arrived[v.id]))
	}
	w.replayed = len(worst)
	for _, one := range worst {
		w.why[one]++
	}
}

// arrived are the instants at which pushes came to the receiver that it took.
func (w *soakWorld) arrived() map[string][]time.Time {
	all := map[string][]time.Time{}
	for _, d := range w.receiver.Log() {
		if !d.Replay && d.Accepted() {
			all[d.ID] = append(all[d.ID], d.At)
		}
	}
	return all
}

func (w *soakWorld) judgeReplay(v visit, arrived []time.Time) why {
	if len(arrived) == 0 {
		return missed
	}
	begun, told := w.site.attempt(v)
	worst := crossed
	if arrived[0].Before(begun) {
		worst = inFlight
	}
	for _, one := range w.tries.byID[v.id] {
		if one.ok() && one.ended.Before(begun) {
			worst = max(worst, w.proven(one, begun))
		}
	}
	if worst == wrong {
		w.t.Errorf("%s was replayed at %s, though its pushes had got a 2xx and no kill came soon after: %v\n%s", v.id,
			begun.Format(time.StampMicro), w.tries.byID[v.id], told)
	}
	return worst
}

// proven says how a replay could begin after a push got its 2xx.
func (w *soakWorld) proven(one try, begun time.Time) why {
	to := one.ended.Add(uncommitted)
	if begun.Before(to) {
		to = begun
	}
	at, killed := w.killed(one.begun, to)
	switch {
	case killed:
		w.longest = max(w.longest, at.Sub(one.ended))
		return notCommitted
	case begun.Sub(one.ended) < moment:
		return raced
	}
	return wrong
}
