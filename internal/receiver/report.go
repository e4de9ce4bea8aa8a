package receiver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// The most items in one report, and the most that wait for theirs. What comes on top of that
// is counted as unreported: a receiver must not grow because its safety net is gone.
const (
	reportItems = 100
	reportQueue = 100_000
)

// reporter tells backstop what the receiver has, in the background and in order.
type reporter struct {
	o      Options
	client *http.Client
	log    *slog.Logger
	done   chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	more    *sync.Cond // items or closing changed
	items   [][]byte   // JSON, waiting
	closing bool
	sent    int
	unsent  int // given up
}

// itemOf is what is reported of a delivery: the id, or the content where it has none.
func itemOf(d Delivery, e envelope) []byte {
	report := struct {
		ID       string          `json:"event_id,omitempty"`
		Received string          `json:"received_at,omitempty"`
		Type     string          `json:"event_type,omitempty"`
		Data     json.RawMessage `json:"event_data,omitempty"`
	}{ID: d.ID}
	if d.ID == "" {
		report.Type, report.Data = e.Type, e.Data
	} else {
		report.Received = d.At.UTC().Format(time.RFC3339)
	}
	item, err := json.Marshal(report)
	if err != nil {
		return nil // unreachable: event_data has been read as JSON
	}
	return item
}

func newReporter(o Options) *reporter {
	p := &reporter{o: o, client: o.Client, log: o.Logger, done: make(chan struct{})}
	p.more = sync.NewCond(&p.mu)
	if p.client == nil {
		p.client = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone(), Timeout: 10 * time.Second}
	}
	go p.run()
	return p
}

func (p *reporter) add(item []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing || len(p.items) >= reportQueue {
		p.unsent++
		return
	}
	p.items = append(p.items, item)
	p.more.Signal()
}

// close lets the goroutine finish what waits, and waits for it.
func (p *reporter) close() error {
	p.mu.Lock()
	p.closing = true
	p.more.Broadcast()
	p.mu.Unlock()
	<-p.done
	p.client.CloseIdleConnections()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unsent > 0 {
		return fmt.Errorf("%d of %d accepted events were not reported; see whether the report URL answers", p.unsent, p.unsent+p.sent)
	}
	return nil
}

// run reports until close has been called and nothing waits any more.
func (p *reporter) run() {
	defer close(p.done)
	for {
		batch := p.take()
		if batch == nil {
			return
		}
		p.settle(batch)
	}
}

func (p *reporter) take() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.items) == 0 && !p.closing {
		p.more.Wait()
	}
	n := min(len(p.items), reportItems)
	if n == 0 {
		return nil
	}
	batch := p.items[:n:n]
	p.items = p.items[n:]
	return batch
}

// errRefused says that backstop does not want a report as it is: trying again is no use.
var errRefused = errors.New("report refused")

// settle reports a batch, or, where it is refused as a whole because of one item, each by itself.
func (p *reporter) settle(batch [][]byte) {
	err := p.send(batch)
	if errors.Is(err, errRefused) && len(batch) > 1 {
		for i := range batch {
			p.settle(batch[i : i+1])
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.unsent += len(batch)
		p.log.Warn("not reported", "events", len(batch), "error", err)
		if p.closing && !errors.Is(err, errRefused) { // nobody is there: the rest would only make Close wait
			p.unsent += len(p.items)
			p.items = nil
		}
		return
	}
	p.sent += len(batch)
}

// send posts a batch until it is taken, refused, or the tries are used up.
func (p *reporter) send(batch [][]byte) error {
	tries, wait := p.o.Tries, p.o.Backoff
	if tries == 0 {
		tries = 8
	}
	if wait == 0 {
		wait = 50 * time.Millisecond
	}
	body := bytes.Join(batch, []byte{'\n'})
	var err error
	for try := range tries {
		if try > 0 {
			time.Sleep(wait)
			wait *= 2
		}
		if err = p.post(body); err == nil || errors.Is(err, errRefused) {
			return err
		}
	}
	return fmt.Errorf("after %d tries: %w", tries, err)
}

func (p *reporter) post(body []byte) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, p.o.Report, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if p.o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+p.o.Token)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	switch s := resp.StatusCode; {
	case s >= 200 && s < 300:
		return err
	case s == http.StatusBadRequest, s == http.StatusRequestEntityTooLarge, s == http.StatusUnprocessableEntity:
		return fmt.Errorf("%w with status %d", errRefused, s)
	default:
		return fmt.Errorf("status %d", s)
	}
}
