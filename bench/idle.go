package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	idleEvents = 2000
	idlePolls  = 10
)

// idle measures goal 8: what polls cost while nothing happens.
func (b *bench) idle(ctx context.Context) (err error) {
	l, err := serveListing(historyOf(idleEvents), 0, idleEvents, 0, false)
	if err != nil {
		return err
	}
	defer l.close()
	d, err := b.run(ctx, "idle", l.url, "schedule: {poll: '@every 1s', sweep: '@every 24h'}")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	if err := l.awaitRequests(ctx, l.requests.Load()+idleEvents/perPage+3); err != nil { // the first walk, and polls behind it
		return err
	}
	before, err := d.cost(ctx, l)
	if err != nil {
		return err
	}
	if err := l.awaitRequests(ctx, int64(before.requests)+idlePolls); err != nil {
		return err
	}
	after, err := d.cost(ctx, l)
	if err != nil {
		return err
	}
	var status struct {
		LastPass struct{ Requests float64 } `json:"last_pass"`
	}
	r, err := timed(d.site.command(ctx, "status", "--json"), 5)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(r.out, &status); err != nil {
		return err
	}
	b.add(atMost("8", "an idle poll: requests", 1, "", []float64{status.LastPass.Requests}),
		atMost("8", fmt.Sprintf("%d idle polls: commits", idlePolls), 0, "", []float64{after.generation - before.generation}),
		atMost("8", fmt.Sprintf("%d idle polls: bytes written to the disk", idlePolls), 0, "", []float64{after.written - before.written}))
	return nil
}

// awaitRequests waits until the listing has been asked so often.
func (l *listing) awaitRequests(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for l.requests.Load() < n {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the daemon asked %d times, want %d: %w", l.requests.Load(), n, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// cost is what a daemon has used up so far.
type cost struct{ requests, generation, written float64 }

func (d *daemon) cost(ctx context.Context, l *listing) (c cost, err error) {
	io, err := procFields(fmt.Sprintf("/proc/%d/io", d.pid()))
	if err != nil {
		return c, err
	}
	var info struct{ Generation float64 }
	r, err := timed(d.site.command(ctx, "state", "info", "--json"))
	if err != nil {
		return c, err
	}
	err = json.Unmarshal(r.out, &info)
	return cost{float64(l.requests.Load()), info.Generation, io["write_bytes"]}, err
}
