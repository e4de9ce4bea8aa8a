package main_test

import (
	"context"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// outOfReach: nobody listens at the receiver's address for some time. Meanwhile
// more is missed, and backstop is killed; and once more while it catches up.
func outOfReach(w *hostileWorld) {
	w.endpoint.down()
	p := w.start()
	until(w.t, hostilePatience, "the outage is felt", func() bool { return w.counts()["replaying"] >= 3 })
	w.miss(10)
	w.kill(p)
	p = w.start()
	w.miss(10)
	until(w.t, hostilePatience, "what is new is known", func() bool {
		c := w.counts()
		return c["missed"]+c["replaying"] == len(w.waiting)
	})
	polls := w.asked.Load()
	until(w.t, hostilePatience, "polls go on", func() bool { return w.asked.Load() >= polls+2 })
	if err := w.endpoint.back(); err != nil {
		w.t.Fatal(err)
	}
	w.awaitPosts(p, 1+w.random.IntN(len(w.waiting)/2))
	w.kill(p)
	w.settle(w.start())
	w.judge()
}

// flapping: the receiver goes and comes; every other time it is there and
// answers 503.
func flapping(w *hostileWorld) {
	var busy atomic.Bool
	w.receiver.turn(func(arrival) reply {
		if busy.Load() {
			return reply{status: http.StatusServiceUnavailable}
		}
		return reply{}
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	flaps := 0
	var flapped sync.WaitGroup
	flapped.Go(func() {
		for ; w.up(ctx, flaps); flaps++ {
			w.flap(ctx, &busy, flaps%2 == 0)
		}
	})
	defer flapped.Wait()
	defer cancel()
	w.settle(w.drain())
	cancel()
	flapped.Wait()
	w.judge()
	if flaps < 5 {
		w.t.Errorf("the receiver flapped only %d times", flaps)
	}
	w.t.Logf("it flapped %d times", flaps)
}

// fullFlaps is from how many events on the receiver flaps by the clock.
const fullFlaps = 10_000

// up lets the receiver be up for a while: for some of the backlog, or by the
// clock. It reports false when ctx ended, or the backlog did.
func (w *hostileWorld) up(ctx context.Context, flaps int) bool {
	target := math.MaxInt
	if w.events < fullFlaps {
		target = w.events * (flaps + 1) / 8
	}
	limit := time.After(5 * time.Second)
	for next := w.receiver.next(); w.receiver.has() < target; next = w.receiver.next() {
		select {
		case <-next:
		case <-limit:
			return w.receiver.has() < len(w.waiting)
		case <-ctx.Done():
			return false
		}
	}
	return w.receiver.has() < len(w.waiting)
}

func (w *hostileWorld) flap(ctx context.Context, busy *atomic.Bool, closed bool) {
	down := 700 * time.Millisecond
	if w.events >= fullFlaps {
		down = 5 * time.Second
	}
	if !closed {
		busy.Store(true)
		pause(ctx, down)
		busy.Store(false)
		return
	}
	w.endpoint.down()
	pause(ctx, down)
	if err := w.endpoint.back(); err != nil {
		w.t.Errorf("the receiver does not come back: %v", err)
	}
}

func slowAnswers(*hostileWorld, arrival) reply { return reply{work: 2 * time.Second} }

// slowReceiver: it takes long for each event. Polls do not wait for it.
func slowReceiver(w *hostileWorld) {
	p := w.start()
	w.awaitPosts(p, 1)
	polls := w.asked.Load()
	until(w.t, hostilePatience, "polls go on", func() bool { return w.asked.Load() >= polls+2 })
	if w.receiver.has() == w.events {
		w.t.Error("polls went on only when everything was sent")
	}
	for range w.kills {
		w.kill(p)
		p = w.start()
	}
	w.settle(p)
	w.judge()
}

func endlessAnswers(w *hostileWorld, a arrival) reply {
	return reply{body: []flood{drip, torrent, huge}[w.order[a.id]%3]}
}

// endlessReceiver: its answers do not end. A little is read of each, and nothing
// of it kept.
func endlessReceiver(w *hostileWorld) {
	p := w.drain()
	until(w.t, hostilePatience, "the receiver has every event", func() bool {
		w.sample(p)
		return w.receiver.has() == w.events
	})
	w.settle(p)
	w.judge()
	for _, a := range w.receiver.all() {
		if a.read > 64<<20 { // most of it waits in the connection
			w.t.Errorf("%d bytes of one answer were taken", a.read)
		}
	}
	if w.memory > 96<<10 {
		w.t.Errorf("backstop held %d kB", w.memory)
	}
}

func lateAnswers(w *hostileWorld, a arrival) reply {
	return reply{late: a.nth == 0 && w.order[a.id]%6 == 1}
}

func resets(w *hostileWorld, a arrival) reply {
	return reply{reset: a.nth == 0 && w.order[a.id]%4 == 1}
}

// underKills: the backlog drains, and backstop is killed meanwhile.
func underKills(w *hostileWorld) {
	w.settle(w.drain())
	w.judge()
}

// refusedOnes are one event in fifty.
func refusedOnes(w *hostileWorld, id string) bool { return w.order[id]%50 == 25 }

func refusesSome(w *hostileWorld, a arrival) reply {
	if refusedOnes(w, a.id) {
		return reply{status: http.StatusNotFound}
	}
	return reply{}
}

// refusingReceiver: it refuses some events for good. They die after three tries
// and hold nobody up; a person sends them again once the receiver is mended.
func refusingReceiver(w *hostileWorld) {
	w.settle(w.drain())
	w.judge()
	refused := refusals(w.receiver.all(), http.StatusNotFound)
	for _, e := range w.waiting {
		want, most := 0, 0
		if refusedOnes(w, e.ID) {
			want, most = refusedUntilDead, refusedUntilDead+w.kills
		}
		if n := refused[e.ID]; n < want || n > most {
			w.t.Errorf("%s was refused %d times, want %d to %d", e.ID, n, want, most)
		}
	}
	w.receiver.turn(func(arrival) reply { return reply{} })
	before := w.receiver.posts()
	w.site.must("", "replay", "--dead")
	if n := w.receiver.posts() - before; n != len(refused) {
		w.t.Errorf("%d POSTs for %d events that were dead", n, len(refused))
	}
	if c := w.counts(); w.receiver.has() != w.events || c["dead"] != 0 || c["seen"] != w.events {
		w.t.Errorf("in the end %d of %d events have arrived, and backstop tells %v", w.receiver.has(), w.events, c)
	}
}

func unauthorized(status int) func(*hostileWorld, arrival) reply {
	return func(_ *hostileWorld, a arrival) reply {
		if a.signed {
			return reply{}
		}
		return reply{status: status}
	}
}

// anotherSecret: the receiver's secret is not backstop's. Only probes are sent,
// and nothing dies, until the configuration is right.
func anotherSecret(w *hostileWorld) {
	p := w.start()
	w.awaitPosts(p, 10)
	w.kill(p)
	p = w.start()
	w.awaitPosts(p, w.receiver.posts()+10)
	w.probesOnly(w.receiver.all())
	if c := w.counts(); w.receiver.has() > 0 || c["dead"] > 0 {
		w.t.Errorf("%d were accepted, and backstop tells %v", w.receiver.has(), c)
	}
	w.reload(p, w.secret, hostileSecret)
	w.settle(p)
	w.judge()
}

// probesOnly bounds the POSTs to a receiver that takes none: in each life those
// in flight when it shows, and probes that come ever more slowly.
func (w *hostileWorld) probesOnly(log []arrival) {
	over := log[len(log)-1].at.Sub(log[0].at) + moment
	each := 4 + 3 + 4 // in flight, until it is an outage, until the backoff has grown
	if most := w.lives*each + int(over/(w.backoff*3/4)); len(log) > most {
		w.t.Errorf("%d POSTs in %s to a receiver that takes none: want %d at most", len(log), over, most)
	}
}

// budget is how many events the receiver takes in a second.
const budget = 15

// askForTime: the receiver takes so much in each second, and asks for time after
// that: in seconds, or until a date.
func askForTime(w *hostileWorld, a arrival) reply {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.at.Before(w.later[a.id]) {
		w.t.Errorf("%s came %s before the time that the receiver had asked for", a.id, w.later[a.id].Sub(a.at))
	}
	second := int(a.at.Sub(w.begun) / time.Second)
	if w.took[second]++; w.took[second] <= budget {
		return reply{}
	}
	if w.order[a.id]%2 == 0 {
		w.later[a.id] = time.Now().Add(time.Second)
		return reply{status: http.StatusTooManyRequests, retry: "1"}
	}
	date := time.Now().Add(2 * time.Second).UTC().Truncate(time.Second)
	w.later[a.id] = date
	return reply{status: http.StatusTooManyRequests, retry: date.Format(http.TimeFormat)}
}

// askingReceiver: what it turned away comes when it said, and not before; and it
// is not asked much more often than it takes.
func askingReceiver(w *hostileWorld) {
	w.settle(w.start())
	w.judge()
	log := w.receiver.all()
	turned := 0
	for _, n := range refusals(log, http.StatusTooManyRequests) {
		turned += n
	}
	seconds := 2 + int(log[len(log)-1].at.Sub(log[0].at)/time.Second)
	if most := seconds * (4 + 3 + 5); turned > most { // in flight, until it is an outage, probes
		w.t.Errorf("%d POSTs were turned away in %d seconds: want %d at most", turned, seconds, most)
	}
}
