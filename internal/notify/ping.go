package notify

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"backstop/internal/heygen"
)

// PingOptions makes a Ping.
type PingOptions struct {
	URL     func() (string, error) // nil: nobody is pinged
	Secrets func() []string        // what nothing may show; nil: nothing
	Version string
	Logger  *slog.Logger

	Transport http.RoundTripper // for tests; nil: the network
}

// Ping tells a dead man's switch, as healthchecks.io is one, that a pass was
// clean. When backstop falls silent, the switch tells somebody.
type Ping struct {
	to      *target // nil: none
	secrets func() []string
	log     *slog.Logger
	owed    chan struct{}

	mu     sync.Mutex
	health PingHealth // guarded by mu
}

// PingHealth is how the pinging fares.
type PingHealth struct {
	LastAt       time.Time `json:"last_at,omitzero"` // when one was taken, in this process
	Failing      string    `json:"failing,omitempty"`
	FailingSince time.Time `json:"failing_since,omitzero"`
}

// NewPing makes a Ping.
func NewPing(o PingOptions) *Ping {
	p := &Ping{secrets: o.Secrets, log: o.Logger, owed: make(chan struct{}, 1)}
	if p.secrets == nil {
		p.secrets = func() []string { return nil }
	}
	if o.URL != nil {
		p.to = newTarget(o.URL, nil, o.Version, 0, o.Transport)
	}
	return p
}

// Owe says that a pass was clean. It never blocks: while one ping is under way
// one more is kept.
func (p *Ping) Owe() {
	if p == nil || p.to == nil {
		return
	}
	select {
	case p.owed <- struct{}{}:
	default:
	}
}

// Run pings whenever it is owed until ctx ends, and returns its error.
func (p *Ping) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.owed:
			p.call(ctx)
		}
	}
}

// Pay pings once if that is owed: for a process that ends with its pass.
func (p *Ping) Pay(ctx context.Context) {
	if p == nil {
		return
	}
	select {
	case <-p.owed:
		p.call(ctx)
	default:
	}
}

func (p *Ping) call(ctx context.Context) {
	err := p.to.send(ctx, http.MethodGet, nil)
	if err != nil && ctx.Err() != nil {
		return
	}
	failing := ""
	if err != nil {
		failing = heygen.Clean(err.Error(), p.secrets()...)
	}
	p.note(failing)
}

// note keeps how it went, and logs when that changes.
func (p *Ping) note(failing string) {
	now := time.Now().UTC()
	p.mu.Lock()
	before := p.health
	p.health.Failing = failing
	switch {
	case failing == "":
		p.health.LastAt, p.health.FailingSince = now, time.Time{}
	case before.Failing == "":
		p.health.FailingSince = now
	}
	p.mu.Unlock()
	switch {
	case failing != "" && failing != before.Failing:
		p.log.Warn("admin.ping_url does not take the ping; it is tried again after the next clean pass", "why", failing)
	case failing == "" && before.Failing != "":
		p.log.Info("admin.ping_url takes pings again", "after", now.Sub(before.FailingSince).Round(time.Second))
	}
}

// Health tells how the pinging fares; nil where nobody is pinged.
func (p *Ping) Health() *PingHealth {
	if p == nil || p.to == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.health
	return &h
}
