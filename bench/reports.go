package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	manyReporters = 256
	someReporters = 16
	reportFor     = 3 * time.Second // of one sample
	largeReport   = 100             // ids
)

// reports measures goals 6 and 7: how fast a receiver can say what it has. Each
// answer means that it is on disk.
func (b *bench) reports(ctx context.Context) (err error) {
	l, err := serveListing(historyOf(perPage), 0, perPage, 0, false)
	if err != nil {
		return err
	}
	defer l.close()
	d, err := b.run(ctx, "reports", l.url, "schedule: {poll: '@every 24h', sweep: '@every 24h'}")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	nothing, stop, err := b.startNothing(ctx)
	if err != nil {
		return err
	}
	defer stop()
	var r reportSamples
	for range b.o.pairs {
		if err := r.round(ctx, b.dir, d.admin+"/v1/seen", nothing); err != nil {
			return err
		}
	}
	b.tellReports(r)
	return nil
}

// startNothing starts the handler that does nothing.
func (b *bench) startNothing(ctx context.Context) (url string, stop func(), err error) {
	cmd := exec.CommandContext(ctx, b.self, "nothing")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // it is asked to end, and has nothing to say
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("start the handler that does nothing: %w", err)
	}
	return "http://" + strings.TrimSpace(address), stop, nil
}

// reportSamples are what the rounds brought, one sample each.
type reportSamples struct {
	many, nothing     []float64 // reports a second
	one, twoSyncs     []float64 // median seconds
	large, twoSyncRps []float64 // ids a second; two syncs a second
}

func (r *reportSamples) round(ctx context.Context, dir, seen, nothing string) error {
	idle, err := report(ctx, nothing, manyReporters, 1)
	if err != nil {
		return err
	}
	many, err := report(ctx, seen, manyReporters, 1)
	if err != nil {
		return err
	}
	syncs, err := syncTimes(dir, 1000)
	if err != nil {
		return err
	}
	one, err := report(ctx, seen, 1, 1)
	if err != nil {
		return err
	}
	large, err := report(ctx, seen, someReporters, largeReport)
	if err != nil {
		return err
	}
	r.nothing, r.many = append(r.nothing, idle.rate), append(r.many, many.rate)
	r.one, r.twoSyncs = append(r.one, median(one.times)), append(r.twoSyncs, 2*median(syncs))
	r.large, r.twoSyncRps = append(r.large, large.rate*largeReport), append(r.twoSyncRps, 1/(2*median(syncs)))
	return nil
}

func (b *bench) tellReports(r reportSamples) {
	b.add(atLeast("6", fmt.Sprintf("reports of one id, %d reporters, against a handler that does nothing", manyReporters), 0.45, "×", ratios(r.many, r.nothing)),
		atMost("6", "reports of one id, one reporter: the median against two fdatasyncs", 2.5, "×", ratios(r.one, r.twoSyncs)),
		atLeast("7", fmt.Sprintf("reports of %d ids, %d reporters: ids/s against two fdatasyncs", largeReport, someReporters), 100, "×", ratios(r.large, r.twoSyncRps)))
	b.rate(fmt.Sprintf("reports of one id, %d reporters", manyReporters), "reports/s", r.many)
	b.rate(fmt.Sprintf("a handler that does nothing, %d reporters", manyReporters), "reports/s", r.nothing)
	b.rate(fmt.Sprintf("reports of %d ids, %d reporters", largeReport, someReporters), "ids/s", r.large)
}

// reported is what one load of reports came to.
type reported struct {
	rate  float64   // reports a second
	times []float64 // seconds of the reports of the first reporter
}

// report has some reporters report new ids for a while, each the next as soon
// as the one before is answered.
func report(ctx context.Context, url string, reporters, ids int) (reported, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: reporters}}
	defer client.CloseIdleConnections()
	var total atomic.Int64
	var group sync.WaitGroup
	failed := make(chan error, reporters)
	var times []float64
	begun := time.Now()
	until := begun.Add(reportFor)
	for n := range reporters {
		group.Go(func() {
			name := fmt.Sprintf("%d-%d", begun.UnixNano(), n)
			for i := 0; time.Now().Before(until); i++ {
				sent := time.Now()
				if err := post(ctx, client, url, body(name, i, ids)); err != nil {
					failed <- err
					return
				}
				total.Add(1)
				if n == 0 {
					times = append(times, time.Since(sent).Seconds())
				}
			}
		})
	}
	group.Wait()
	close(failed)
	return reported{float64(total.Load()) / time.Since(begun).Seconds(), times}, <-failed
}

// body is a report of some ids that nobody has reported yet.
func body(name string, i, ids int) []byte {
	var b bytes.Buffer
	for id := range ids {
		fmt.Fprintf(&b, "{\"event_id\":\"evt_%s-%d-%d\"}\n", name, i, id)
	}
	return b.Bytes()
}

func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("report: %s: %s", resp.Status, text)
	}
	return err
}
