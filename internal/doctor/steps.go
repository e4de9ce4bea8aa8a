package doctor

import (
	"context"
	"time"

	"backstop/internal/heygen"
)

const (
	quick   = 5 * time.Second  // limit of what asks nobody but this machine
	network = 20 * time.Second // limit of what asks HeyGen or the receiver
	probing = 30 * time.Second // limit of all sources together
	grace   = 2 * time.Second  // for a step to notice that its context ended
)

// known is what a step hands on to later ones.
type known struct {
	api      bool // HeyGen answered
	key      bool // and took the key
	clock    clock
	rows     []heygen.Event // of the listing's first pages
	listed   bool           // the listing could be read
	receiver bool           // somebody listens at receiver.url
	stranger bool           // HeyGen has no type as the test's events are of
	accepted bool           // the receiver took the test's first event
}

// step is one look. It hands on what it learned; what it is given is as before
// where it did not end in time.
type step struct {
	name  string
	limit time.Duration
	look  func(context.Context, known) ([]Check, known)
}

// alone makes the look of a step that needs and hands on nothing.
func alone(look func(context.Context) []Check) func(context.Context, known) ([]Check, known) {
	return func(ctx context.Context, k known) ([]Check, known) { return look(ctx), k }
}

// steps are in the order in which they rest on one another.
func (p Patient) steps() []step {
	all := []step{
		{"daemon", quick, alone(p.Daemon.look)},
		{"state", quick, alone(p.lookState)},
		{"api", network, p.lookAPI},
		{"clock", quick, func(_ context.Context, k known) ([]Check, known) { return k.judgeClock(), k }},
		{"listing", network, p.lookListing},
		{"event types", network, p.lookTypes},
		{"endpoints", network, p.lookEndpoints},
		{"sources", probing, alone(p.lookSources)},
		{"receiver", network, p.lookReceiver},
		{"replaying", quick, alone(func(context.Context) []Check { return p.Replaying.judge(p.Now) })},
		{"notices", quick, alone(p.lookNotices)},
	}
	if p.Test != nil {
		all = append(all, p.testSteps()...)
	}
	return append(all, p.noticeSteps()...)
}

// within takes a step's look and gives up on one that does not end. The goroutine
// of such a look ends with what it waits for, or with the process; nothing reads
// what it still finds.
func (s step) within(ctx context.Context, k known) ([]Check, known) {
	type result struct {
		checks []Check
		known  known
	}
	limited, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		checks, learned := s.look(limited, k)
		done <- result{checks, learned}
	}()
	timer := time.NewTimer(s.limit + grace)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.checks, r.known
	case <-timer.C:
		return []Check{fail(s.name, "run `backstop -v doctor`; if it stays, look at what it waits for",
			"gave up: it did not end within %s", s.limit)}, k
	case <-ctx.Done():
		return nil, k
	}
}
