package main_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"backstop/internal/receiver"
	"backstop/internal/simulate"
)

const soakConfig = `
heygen: {base_url: LISTING, api_key: hk_soak, rate: 0, timeout: 5s}
receiver: {url: RECEIVER/webhooks/heygen, secret: SECRET, timeout: 5s}
schedule: {poll: "@every 1s", sweep: "@every 1h"}
reconcile: {settle: 3s, lookback: 8s, sweep_lookback: 60s, start: beginning}
seen:
  - tap: {}
replay: {rate: 0, concurrency: 4, max_attempts: 50, backoff_min: 100ms, backoff_max: 1s}
state: {path: DIR/backstop.db}
control: DIR/control.sock
admin: {listen: ""}
log: {format: text}
`

const (
	soakSecret = "whsec_soak_51d0e7"
	soakRate   = 100 // events a second
)

// soakWorld is a HeyGen that pushes through the tap of a backstop that is
// killed, to a receiver that is restarted.
type soakWorld struct {
	*soakFigures
	t        *testing.T
	random   *rand.Rand
	site     *site
	socket   *net.TCPListener // of the tap; it outlives each daemon, as with systemd
	heygen   *simulate.World
	receiver *receiver.Receiver
	endpoint *endpoint
	replays  *replays
	tries    *pushLog
	killedAt []time.Time
	stop     func() // no further events and restarts
}

func newSoakWorld(t *testing.T, events int, seed uint64) *soakWorld {
	w := &soakWorld{
		soakFigures: &soakFigures{}, t: t, random: rand.New(rand.NewPCG(seed, 5)), replays: newReplays(),
		tries:    &pushLog{next: &http.Transport{MaxIdleConnsPerHost: 32}, byID: map[string][]try{}},
		receiver: receiver.New(receiver.Options{Secrets: []string{soakSecret}, NeedID: true, Strict: true, Work: 5 * time.Millisecond}),
	}
	var err error
	if w.socket, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	w.endpoint = newEndpoint(t, w.replays.watch(w.receiver.Handler()))
	w.heygen = simulate.New(w.options(events, seed))
	listing := serve(t, w.heygen.Handler())
	config := strings.NewReplacer("LISTING", listing, "RECEIVER", "http://"+w.endpoint.address, "SECRET", soakSecret).Replace(soakConfig)
	w.site = newSite(t, build(t), config)
	w.begin(rand.New(rand.NewPCG(seed, 6)))
	return w
}

func (w *soakWorld) options(events int, seed uint64) simulate.Options {
	faults := simulate.Mild()
	faults.LateListingBy = 4 * time.Second
	return simulate.Options{
		Seed: seed, Rate: soakRate, Stop: events, APIKey: "hk_soak", Faults: faults,
		PushURL: "http://" + w.socket.Addr().String() + "/", Secret: soakSecret, Transport: w.tries,
		Lost: 0.05, Late: 0.05, LateBy: 1200 * time.Millisecond, Doubled: 0.03, RetryMin: 200 * time.Millisecond,
	}
}

// begin lets HeyGen push and the receiver restart, until stop.
func (w *soakWorld) begin(random *rand.Rand) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var living sync.WaitGroup
	living.Go(func() {
		if err := w.heygen.Run(ctx); err != nil {
			w.t.Errorf("simulate: %v", err)
		}
	})
	living.Go(func() { w.endpoint.restartOften(ctx, random) })
	w.stop = func() { cancel(); living.Wait() }
	w.t.Cleanup(func() {
		_ = w.socket.Close() // a push that waits there fails, and ends
		w.stop()
		w.tries.next.CloseIdleConnections()
		w.endpoint.down()
	})
}

// try is one try of HeyGen to push.
type try struct {
	begun, ended time.Time
	status       int // 0: the connection broke
}

func (t try) ok() bool { return t.status/100 == 2 }

func (t try) String() string {
	return fmt.Sprintf("%s to %s: %d", t.begun.Format(time.StampMicro), t.ended.Format(time.StampMicro), t.status)
}

// pushLog is HeyGen's connection to the tap. It notes what became of each try.
type pushLog struct {
	next *http.Transport
	mu   sync.Mutex
	byID map[string][]try // by event id; guarded by mu
}

// RoundTrip makes one try.
func (p *pushLog) RoundTrip(r *http.Request) (*http.Response, error) {
	one := try{begun: time.Now()}
	resp, err := p.next.RoundTrip(r)
	one.ended = time.Now()
	if err == nil {
		one.status = resp.StatusCode
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id := r.Header.Get("Heygen-Event-Id")
	p.byID[id] = append(p.byID[id], one)
	return resp, err
}

// under reports whether a push was under way at an instant.
func (p *pushLog) under(at time.Time) bool {
	for _, tries := range p.byID {
		for _, one := range tries {
			if one.begun.Before(at) && one.ended.After(at) {
				return true
			}
		}
	}
	return false
}

// outage is a time when nothing listened at the receiver's address.
type outage struct{ from, to time.Time }

// endpoint serves the receiver at one address, and can go down and come back.
// What the receiver has taken outlives that.
type endpoint struct {
	t       *testing.T
	handler http.Handler
	address string
	server  *http.Server
	served  sync.WaitGroup
	outages []outage
}

func newEndpoint(t *testing.T, h http.Handler) *endpoint {
	e := &endpoint{t: t, handler: h, address: "127.0.0.1:0"}
	if err := e.up(); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *endpoint) up() error {
	l, err := net.Listen("tcp", e.address)
	if err != nil {
		return err
	}
	e.address = l.Addr().String()
	e.server = &http.Server{Handler: e.handler, ReadHeaderTimeout: 10 * time.Second}
	e.served.Go(func() {
		if err := e.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			e.t.Errorf("serve: %v", err)
		}
	})
	return nil
}

// down refuses connections from now on and breaks off what is under way.
func (e *endpoint) down() {
	_ = e.server.Close() // nobody listens any more, whatever it says
	e.served.Wait()
}

// restartOften goes down for short times until ctx ends. It ends up.
func (e *endpoint) restartOften(ctx context.Context, random *rand.Rand) {
	for pause(ctx, time.Duration(500+random.IntN(5500))*time.Millisecond) {
		from := time.Now()
		e.down()
		pause(ctx, time.Duration(20+random.IntN(780))*time.Millisecond)
		if err := e.back(); err != nil {
			e.t.Errorf("the receiver does not come back: %v", err)
			return
		}
		e.outages = append(e.outages, outage{from, time.Now()})
	}
}

// back comes up again, though a connection that goes out may have got the port.
func (e *endpoint) back() error {
	ctx, cancel := context.WithTimeout(e.t.Context(), 20*time.Second)
	defer cancel()
	err := e.up()
	for err != nil && pause(ctx, 10*time.Millisecond) {
		err = e.up()
	}
	return err
}

// wasDown reports whether the receiver was down for a part of a time.
func (e *endpoint) wasDown(from, to time.Time) bool {
	return slices.ContainsFunc(e.outages, func(o outage) bool { return !o.to.Before(from) && !o.from.After(to) })
}
