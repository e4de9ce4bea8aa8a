package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	roundTrip    = 50 * time.Millisecond
	latencyPages = 60
	typePages    = 30
)

// latency measures goal 10: what a walk makes of a listing that is far away.
func (b *bench) latency(ctx context.Context) error {
	if err := b.oneCursor(ctx); err != nil {
		return err
	}
	return b.fourTypes(ctx)
}

// oneCursor walks with one cursor, which cannot be faster than a page for each
// round trip, and compares it with fetching and dropping over the same distance.
func (b *bench) oneCursor(ctx context.Context) error {
	events := latencyPages * perPage
	l, err := serveListing(historyOf(events), 0, events, roundTrip, false)
	if err != nil {
		return err
	}
	defer l.close()
	if err := b.importSeen(ctx, "far imported", l.url, events); err != nil {
		return err
	}
	var perTrip, against []float64
	for range b.o.pairs {
		dropped, err := peerWalk(exec.CommandContext(ctx, b.self, "drop", l.url))
		if err != nil {
			return err
		}
		took, requests, err := b.farWalk(ctx, l)
		if err != nil {
			return err
		}
		perTrip = append(perTrip, requests*roundTrip.Seconds()/took)
		against = append(against, (dropped.Seconds/latencyPages)/(took/requests))
	}
	what := fmt.Sprintf("%d pages at a round trip of %s, one cursor: ", latencyPages, roundTrip)
	b.add(atLeast("10", what+"pages for each round trip", 0.95, "", perTrip))
	b.add(figure{Goal: "10", What: what + "against fetching and dropping them", Unit: "×", Samples: against})
	return nil
}

// farWalk walks and gives how long the pass took, by its own
// account, and how many requests it made.
func (b *bench) farWalk(ctx context.Context, l *listing) (seconds, requests float64, err error) {
	s, err := b.copyOf("far imported", "far", l.url)
	if err != nil {
		return 0, 0, err
	}
	r, err := timed(s.command(ctx, "reconcile", "--json"), 5)
	if err != nil {
		return 0, 0, err
	}
	var result struct {
		Pass struct {
			Start, End time.Time
			Requests   float64
		}
	}
	err = json.Unmarshal(r.out, &result)
	return result.Pass.End.Sub(result.Pass.Start).Seconds(), result.Pass.Requests, err
}

// fourTypes walks the history of four types, one after the other and at once.
func (b *bench) fourTypes(ctx context.Context) error {
	events := typePages * perPage * len(eventTypes())
	l, err := serveListing(historyOf(events), 0, events, roundTrip, true)
	if err != nil {
		return err
	}
	defer l.close()
	if err := b.importSeen(ctx, "far imported", l.url, events); err != nil {
		return err
	}
	var one, four []float64
	for range b.o.pairs {
		slow, err := b.backfill(ctx, l, 1)
		if err != nil {
			return err
		}
		fast, err := b.backfill(ctx, l, len(eventTypes()))
		if err != nil {
			return err
		}
		one, four = append(one, slow), append(four, fast)
	}
	what := fmt.Sprintf("backfill of four types, %d pages each, at a round trip of %s: at once against one after the other", typePages, roundTrip)
	b.add(atLeast("10", what, 3.5, "×", ratios(one, four)))
	return nil
}

// backfill records the whole history as seen and gives the seconds that it took.
func (b *bench) backfill(ctx context.Context, l *listing, parallel int) (float64, error) {
	s, err := b.copyOf("far imported", "types", l.url)
	if err != nil {
		return 0, err
	}
	args := []string{"backfill", "--all", "--mark-only", "--yes", "--json", "--parallel", fmt.Sprint(parallel)}
	for _, name := range eventTypes() {
		args = append(args, "--event-type", name)
	}
	before := l.requests.Load()
	r, err := timed(s.command(ctx, args...))
	if n := l.requests.Load() - before; err == nil && n < typePages*int64(len(eventTypes())) {
		err = fmt.Errorf("the backfill in %s asked for %d pages only", filepath.Base(s.dir), n)
	}
	return r.seconds, err
}
