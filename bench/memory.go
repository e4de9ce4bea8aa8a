package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

const newReports = 200_000

// memoryOfMany measures what the daemon holds in memory with many ids on disk,
// after many reports and the walk that lists them.
func (b *bench) memoryOfMany(ctx context.Context, l large) (err error) {
	list, err := serveListing(l.history, l.events-1000, l.events, 0, false)
	if err != nil {
		return err
	}
	defer list.close()
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	s, err := b.copyLarge(l, "memory", list.url, fmt.Sprintf("admin: {listen: %q}\nschedule: {poll: '@every 24h', sweep: '@every 24h'}\n", admin))
	if err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	d, err := s.start(ctx, admin)
	if err != nil {
		return err
	}
	done, watched := make(chan struct{}), make(chan []memory, 1)
	go func() { watched <- watch(d.pid(), time.Now(), done) }()
	err = d.reportAndWalk(ctx, list, l)
	held, memErr := memoryOf(d.pid())
	close(done)
	peak := peakOf(<-watched)
	what := fmt.Sprintf("with %d ids, after %d reports and their walk: ", l.events, newReports)
	note := "at most %.0f MiB on the way"
	rss := atMost("4", what+"RSS", 96, "MiB", []float64{held.RSS})
	anonymous := atMost("4", what+"anonymous", 40, "MiB", []float64{held.Anonymous})
	rss.Note, anonymous.Note = fmt.Sprintf(note, peak.RSS), fmt.Sprintf(note, peak.Anonymous)
	b.add(rss, anonymous)
	return errors.Join(err, memErr, d.stop())
}

// reportAndWalk reports events one by one, then has them listed.
func (d *daemon) reportAndWalk(ctx context.Context, list *listing, l large) error {
	var group sync.WaitGroup
	failed := make(chan error, someReporters)
	for r := range someReporters {
		group.Go(func() { failed <- d.reportEvents(ctx, l.events+r, l.events+newReports, someReporters) })
	}
	group.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return err
		}
	}
	list.list(l.events-1000, l.events+newReports, false)
	_, err := timed(d.site.command(ctx, "reconcile"), 5)
	return err
}

// reportEvents reports every step-th event, one in a report.
func (d *daemon) reportEvents(ctx context.Context, first, last, step int) error {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for n := first; n < last; n += step {
		if err := post(ctx, client, d.admin+"/v1/seen", fmt.Appendf(nil, `{"event_id":"%s"}`, eventID(n))); err != nil {
			return err
		}
	}
	return nil
}

func peakOf(samples []memory) (peak memory) {
	if len(samples) == 0 {
		return peak
	}
	rss := func(a, b memory) int { return int(a.RSS - b.RSS) }
	anonymous := func(a, b memory) int { return int(a.Anonymous - b.Anonymous) }
	return memory{RSS: slices.MaxFunc(samples, rss).RSS, Anonymous: slices.MaxFunc(samples, anonymous).Anonymous}
}
