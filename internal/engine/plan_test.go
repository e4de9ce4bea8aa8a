package engine

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"backstop/internal/simulate"
)

// plan is everything that is drawn from a seed: one seed, one plan.
type plan struct {
	seed  uint64
	world simulate.Options

	undated        float64 // of rows of the listing: without a date
	errors         float64 // of answers of the receiver: 503
	lostAnswers    float64 // of its answers to replays
	work           time.Duration
	poison         float64 // of facts that are replayed, the first of them: the receiver refuses it
	reportsReplays bool

	pageSize         int
	concurrency      int
	rate             float64
	maxAttempts      int // 0: the usual number; fewer where only an outage makes a replay fail
	settle, lookback time.Duration
	poll, sweep      string
	beginning        bool
	retention        time.Duration

	span  time.Duration // of the bad times
	steps []step
	busy  bool // many events
	heal  bool // what the receiver refused is taken when a person sends it again
}

// step is something that happens in the bad times.
type step struct {
	at   time.Duration
	what string
	n    int // which event, or how long backstop does not run in seconds
}

func (p plan) String() string {
	var steps []string
	for _, s := range p.steps {
		steps = append(steps, fmt.Sprintf("%v %s %d", s.at.Round(time.Second), s.what, s.n))
	}
	p.world.Logger, p.world.Transport = nil, nil
	return fmt.Sprintf("world %+v\nundated %.2f errors %.2f lost answers %.2f work %v poison %.2f replays reported %t page size %d "+
		"concurrency %d rate %v settle %v lookback %v poll %s sweep %s beginning %t heal %t\nsteps: %s",
		p.world, p.undated, p.errors, p.lostAnswers, p.work, p.poison, p.reportsReplays, p.pageSize,
		p.concurrency, p.rate, p.settle, p.lookback, p.poll, p.sweep, p.beginning, p.heal, strings.Join(steps, "; "))
}

// draw makes the plan of a seed.
func draw(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 0x5ce9e))
	p := plan{
		seed:    seed,
		undated: sometimes(r, 4, 0.05), errors: sometimes(r, 2, 0.2), lostAnswers: sometimes(r, 2, 0.2),
		poison: sometimes(r, 2, 0.2), reportsReplays: r.IntN(2) == 0, heal: r.IntN(2) == 0,
		pageSize: pick(r, 3, 7, 20, 100), concurrency: pick(r, 1, 2, 4), rate: pick(r, 0, 2.0, 5),
		settle: pick(r, time.Minute, time.Minute, 3*time.Minute), lookback: pick(r, 5*time.Minute, 10*time.Minute),
		work: pick(r, 0, 0, 300*time.Millisecond, 4*time.Second),
		poll: pick(r, "@every 1m", "@every 40s", "@every 2m"), sweep: pick(r, "@every 5m", "@every 11m"),
		beginning: r.IntN(3) == 0, span: time.Duration(5+r.IntN(8)) * time.Minute,
	}
	if r.IntN(5) == 0 {
		p.busy, p.span, p.pageSize, p.settle, p.lookback = true, 10*time.Minute, pick(r, 3, 7), time.Minute, 5*time.Minute
	}
	if p.errors+p.lostAnswers == 0 {
		p.maxAttempts = 4
	}
	p.world = drawWorld(r, p)
	p.steps = drawSteps(r, p)
	return p
}

func drawWorld(r *rand.Rand, p plan) simulate.Options {
	rate, faults := 0.02+0.08*r.Float64(), drawFaults(r)
	if p.busy { // walks end above what was listed late
		rate = 0.15 + 0.1*r.Float64()
		faults.Order, faults.LateListing, faults.LateListingBy = simulate.Newest, 0.1, pick(r, 2*time.Minute, 4*time.Minute)
	}
	return simulate.Options{
		Seed: p.seed, Events: r.IntN(40), Span: time.Duration(5+r.IntN(60)) * time.Minute,
		Rate: rate, Stop: int(rate * p.span.Seconds()), Twins: sometimes(r, 2, 0.15),
		PushURL: "https://receiver.test/hook", Secret: sceneSecret, Legacy: r.IntN(4) == 0,
		Lost: 0.4 * r.Float64(), Late: 0.2 * r.Float64(), Doubled: 0.2 * r.Float64(),
		LateBy: pick(r, 30*time.Second, time.Minute, 4*time.Minute), APIKey: sceneKey,
		ClockSkew: pick(r, 0, 0, 40*time.Second, -40*time.Second), Faults: faults,
	}
}

func drawFaults(r *rand.Rand) simulate.Faults {
	f := simulate.Faults{
		TooMany: sometimes(r, 2, 0.1), ServerError: sometimes(r, 2, 0.2), HTML: sometimes(r, 3, 0.1), Truncated: sometimes(r, 2, 0.1),
		ExpiredCursors: sometimes(r, 3, 0.4), EmptyPages: sometimes(r, 3, 0.5), Slow: sometimes(r, 2, 0.3), SlowBy: 2 * time.Second,
		Order: pick(r, simulate.Newest, simulate.Newest, simulate.Newest, simulate.Oldest, simulate.Shuffled),
	}
	if r.IntN(2) == 0 {
		f.LateListing = 0.3 * r.Float64()
		f.LateListingBy = pick(r, 20*time.Second, 2*time.Minute, 4*time.Minute, 12*time.Minute)
	}
	return f
}

// drawSteps draws what happens in the bad times, in order.
func drawSteps(r *rand.Rand, p plan) []step {
	var steps []step
	span := p.span
	if p.busy { // long enough for the next walk to prove its order before it comes to the mark
		steps = append(steps, step{2 * time.Minute, "stop", stopForMinutes})
	}
	at := func() time.Duration { return time.Duration(r.Int64N(int64(span))) }
	add := func(most int, whats ...string) {
		for range r.IntN(most + 1) {
			steps = append(steps, step{at(), pick(r, whats...), r.IntN(1 << 16)})
		}
	}
	phase := func(share int, what string) {
		if r.IntN(share) == 0 {
			from := at()
			steps = append(steps, step{from, what, 1}, step{from + time.Duration(r.Int64N(int64(4*time.Minute))), what, 0})
		}
	}
	add(4, "kill", "kill before", "kill after", "kill in flight", "kill in walk", "stop", "reload")
	add(4, "replay", "ignore", "forget")
	if r.IntN(8) == 0 { // killed before there is a baseline
		steps = append(steps, step{0, "api outage", 1}, step{20 * time.Second, "kill", r.IntN(100)}, step{time.Minute, "api outage", 0})
	}
	phase(2, "outage")
	phase(4, "unauthorized")
	phase(4, "pause")
	phase(4, "api outage")
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return steps
}

// stopForMinutes is the n of a step after which backstop does not run for 370 s.
const stopForMinutes = 185

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

// sometimes is a share up to most, in one of n seeds.
func sometimes(r *rand.Rand, n int, most float64) float64 {
	if r.IntN(n) != 0 {
		return 0
	}
	return most * r.Float64()
}
