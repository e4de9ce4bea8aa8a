package main_test

import (
	"flag"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

var (
	hostileFlag      = flag.Int("hostile", 2000, "how many events wait for the flapping receiver of TestHostileReceivers; from 10,000 on it is up and down for five seconds each")
	hostileKillsFlag = flag.Int("hostile-kills", 3, "how many SIGKILLs each case with kills deals out")
)

// The real program has a backlog to bring to a receiver that makes it hard.
// Whatever the receiver does, each event arrives, once where the answers come
// through, in order, at no more than the rate; and nothing dies but what the
// receiver refuses.
func TestHostileReceivers(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed %d", seed)
	binary := build(t)
	t.Run("cases", func(t *testing.T) {
		for i, c := range hostileCases() {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				w := newHostileWorld(t, binary, c, seed+uint64(i))
				c.run(w)
			})
		}
	})
}

// hostileCase is one way in which a receiver is hard to serve.
type hostileCase struct {
	name    string
	events  int           // that wait; 0: 200
	timeout time.Duration // receiver.timeout; 0: 2s
	rate    float64       // replay.rate; 0: no limit
	backoff time.Duration // replay.backoff_max; 0: 500ms
	tries   int           // replay.max_attempts; 0: 12
	secret  string        // that backstop signs with; "": the receiver's
	kills   int           // while the backlog drains
	behave  func(w *hostileWorld, a arrival) reply
	dead    func(w *hostileWorld, id string) bool // nil: none dies
	run     func(w *hostileWorld)
}

// hostileCases are the ways in which a receiver is hard to serve. Where it takes
// nothing at all for some time, one attempt that counts would be enough to die of.
func hostileCases() []hostileCase {
	kills := *hostileKillsFlag
	return []hostileCase{
		{name: "out of reach", rate: 100, tries: 1, run: outOfReach},
		{name: "flapping", events: *hostileFlag, rate: 1000, kills: kills, run: flapping},
		{name: "slow", events: 16, timeout: 6 * time.Second, kills: min(kills, 1), behave: slowAnswers, run: slowReceiver},
		{name: "endless answers", events: 24, kills: kills, behave: endlessAnswers, run: endlessReceiver},
		{name: "answers too late", events: 120, timeout: time.Second, kills: kills, behave: lateAnswers, run: underKills},
		{name: "reset after the work", kills: kills, behave: resets, run: underKills},
		{name: "refuses some", events: 500, rate: 100, kills: kills, behave: refusesSome, dead: refusedOnes, run: refusingReceiver},
		{name: "another secret and 401", secret: "whsec_old", rate: 500, tries: 1, behave: unauthorized(http.StatusUnauthorized), run: anotherSecret},
		{name: "another secret and 500", secret: "whsec_old", rate: 500, tries: 1, behave: unauthorized(http.StatusInternalServerError), run: anotherSecret},
		{name: "asks for time", events: 60, backoff: 5 * time.Second, behave: askForTime, run: askingReceiver},
	}
}
