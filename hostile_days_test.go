package main_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/config"
	"backstop/internal/secret"
	"backstop/internal/simulate"
)

func agreeable(*bubble, arrival) reply { return reply{} }

// oneTry lets an event die of the first attempt that counts. It saves the time
// that idle polls take, too.
func oneTry(c *config.Config) {
	c.Replay.MaxAttempts = 1
	c.Schedule.Poll = "@every 5m"
}

// Nobody listens at the receiver's address for a day, while more is missed.
// Nothing dies, it is looked for once a minute, and all of it arrives.
func TestReceiverOutOfReachForADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 100, agreeable, func(o *simulate.Options) { o.Rate, o.Stop = 1.0/200, 420 }, oneTry)
		b.wire.refuse(true)
		b.run()
		time.Sleep(24 * time.Hour)
		status, err := b.engine.Status()
		if err != nil {
			t.Fatal(err)
		}
		if c := status.Counts; c["dead"] > 0 || c["seen"] > 0 || c["missed"]+c["replaying"] != 520 {
			t.Errorf("after a day: %v", c)
		}
		if n := len(b.wire.refused()); n > 20+24*60*4/3 { // one a minute less the jitter
			t.Errorf("%d POSTs in the outage", n)
		}
		b.wire.refuse(false)
		b.settle(4 * time.Hour)
		b.judge()
	})
}

// The receiver takes 29 of the 30 seconds that it has, each time. No more than
// the concurrency waits there, and polls come as if nothing were.
func TestReceiverTakesItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(*bubble, arrival) reply { return reply{work: 29 * time.Second} }
		b := newBubble(t, 200, slow, nil, func(c *config.Config) { c.Receiver.Timeout = 30 * time.Second })
		b.run()
		begun, polls := time.Now(), b.asked.Load()
		b.settle(3 * time.Hour)
		b.judge()
		if minutes := int64(time.Since(begun) / time.Minute); b.asked.Load()-polls < minutes {
			t.Errorf("%d pages were asked for in %d minutes of polls each minute", b.asked.Load()-polls, minutes)
		}
	})
}

// The receiver is up for five seconds and down for five. All arrives in order,
// and little of it is tried in vain.
func TestReceiverFlaps(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{5, 0} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, 300, agreeable, nil, func(c *config.Config) { c.Replay.Rate = rate })
				begun := time.Now()
				flaps := b.flap(5 * time.Second)
				b.run()
				b.settle(time.Hour)
				b.judge()
				took := time.Since(begun)
				if n := len(b.wire.refused()); n > flaps()*(4+3+1) { // in flight, until it is an outage, a probe
					t.Errorf("%d POSTs in vain while it flapped %d times", n, flaps())
				}
				t.Logf("it flapped %d times in %s", flaps(), took)
			})
		})
	}
}

// Answers that do not end hold a POST up for the second that they are read, and
// no longer.
func TestAnswersWithoutEndAreCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		endless := func(b *bubble, a arrival) reply { return reply{body: []flood{drip, torrent, huge}[b.order[a.id]%3]} }
		b := newBubble(t, 60, endless, nil, nil)
		b.run()
		b.settle(time.Hour)
		b.judge()
		for _, a := range b.receiver.all() {
			if held := a.closed.Sub(a.at); held > time.Second+b.receiver.least || a.read > 1<<20 {
				t.Errorf("%s was read for %s, %d bytes of it", a.id, held, a.read)
			}
		}
	})
}

// The receiver knows another secret. It gets probes and nothing else, and
// everything once the configuration is right.
func TestReceiverKnowsAnotherSecret(t *testing.T) {
	tests := []struct {
		status int
		span   time.Duration
		most   int
	}{
		{http.StatusUnauthorized, 24 * time.Hour, 4 + 10 + 24*4/3},           // in flight, until the backoff is an hour, one an hour less the jitter
		{http.StatusInternalServerError, 2 * time.Hour, 4 + 3 + 4 + 120*4/3}, // likewise, with a minute
	}
	for _, tt := range tests {
		t.Run(strconv.Itoa(tt.status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				refuse := func(_ *bubble, a arrival) reply { return unauthorized(tt.status)(nil, a) }
				b := newBubble(t, 50, refuse, nil, func(c *config.Config) {
					oneTry(c)
					c.Receiver.Secrets = []secret.Secret{secret.Text("whsec_another")}
				})
				b.run()
				time.Sleep(tt.span)
				if n := b.receiver.posts(); n > tt.most || b.receiver.has() > 0 {
					t.Errorf("%d POSTs in %s, want %d at most; %d accepted", n, tt.span, tt.most, b.receiver.has())
				}
				b.reload(func(c *config.Config) { c.Receiver.Secrets = []secret.Secret{secret.Text(hostileSecret)} })
				b.settle(3 * time.Hour)
				b.judge()
			})
		})
	}
}

// The receiver takes so much in each minute, and says how long the rest is to
// wait. Nothing comes before that, and little is turned away.
func TestReceiverAsksForTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &minutes{each: 40, took: map[int64]int{}, later: map[string]time.Time{}}
		b := newBubble(t, 200, func(_ *bubble, a arrival) reply { return m.answer(a) }, nil, nil)
		b.run()
		b.settle(2 * time.Hour)
		b.judge()
		if m.early > 0 {
			t.Errorf("%d POSTs came before the time that the receiver had asked for", m.early)
		}
		log := b.receiver.all()
		over := 2 + int(log[len(log)-1].at.Sub(log[0].at)/time.Minute)
		if turned := len(log) - 200; turned > over*(4+3+5) { // in flight, until it is an outage, probes
			t.Errorf("%d POSTs were turned away in %d minutes", turned, over)
		}
	})
}

// minutes is a receiver that takes so many events in each minute.
type minutes struct {
	each  int
	mu    sync.Mutex
	took  map[int64]int        // by minute
	later map[string]time.Time // when an event may come again
	early int
}

func (m *minutes) answer(a arrival) reply {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a.at.Before(m.later[a.id]) {
		m.early++
	}
	minute := a.at.Unix() / 60
	if m.took[minute]++; m.took[minute] <= m.each {
		return reply{}
	}
	m.later[a.id] = time.Unix(60*(minute+1), 0)
	return reply{status: http.StatusTooManyRequests, retry: strconv.Itoa(int(time.Until(m.later[a.id]).Seconds()) + 1)}
}
