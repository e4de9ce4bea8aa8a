package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"backstop/state"
)

// disk is what a tap records to; it can be full, broken, or hang.
type disk struct {
	mu      sync.Mutex
	fails   error
	hangs   chan struct{} // until it is closed; nil: it does not
	kept    []state.Sighting
	commits int
}

func (d *disk) record(seen []state.Sighting) error {
	d.mu.Lock()
	hangs := d.hangs
	d.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.commits++
	if d.fails != nil {
		return d.fails
	}
	d.kept = append(d.kept, seen...)
	return nil
}

func (d *disk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = err
}

func (d *disk) count() (kept, commits int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.kept), d.commits
}

func queueOn(d *disk) (*tapQueue, *bytes.Buffer) {
	said := &bytes.Buffer{}
	return newTapQueue(d.record, slog.New(slog.NewTextHandler(said, nil))), said
}

func numberedSighting(n int) state.Sighting {
	return state.Sighting{ID: fmt.Sprintf("evt_%d", n), At: time.Now(), Proof: state.Tap}
}

func full() error { return fmt.Errorf("commit: %w", state.ErrFull) }

// What queues while one commit is under way goes with the next.
func TestTapQueueCommitsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{hangs: make(chan struct{})}
		q, _ := queueOn(d)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- q.run(ctx) }()
		for i := range 100 {
			q.add(numberedSighting(i))
			synctest.Wait()
		}
		if n := len(q.all()); n != 100 {
			t.Errorf("%d are told while the disk hangs, want all", n)
		}
		close(d.hangs)
		synctest.Wait()
		if kept, commits := d.count(); kept != 100 || commits != 2 || len(q.all()) != 0 {
			t.Errorf("%d kept by %d commits, %d waiting", kept, commits, len(q.all()))
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for i, seen := range d.kept {
			if seen.ID != numberedSighting(i).ID {
				t.Fatalf("number %d is %s", i, seen.ID)
			}
		}
	})
}

// Sync covers what was queued before it, also what another is recording.
func TestTapQueueSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{hangs: make(chan struct{})}
		q, _ := queueOn(d)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- q.run(ctx) }()
		q.add(numberedSighting(0))
		synctest.Wait()
		q.add(numberedSighting(1))
		hurried, hurry := context.WithCancel(t.Context())
		hurry()
		if err := q.sync(hurried); !errors.Is(err, context.Canceled) {
			t.Errorf("with no time: %v", err)
		}
		synced := make(chan error, 1)
		go func() { synced <- q.sync(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-synced:
			t.Errorf("it returned while the disk hung: %v", err)
		default:
		}
		close(d.hangs)
		if err := <-synced; err != nil {
			t.Error(err)
		}
		if kept, _ := d.count(); kept != 2 {
			t.Errorf("%d kept", kept)
		}
		cancel()
		<-ended
	})
}

// A full state keeps the queue; it is tried each minute and by each Sync.
func TestTapQueueOnAFullState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{fails: full()}
		q, said := queueOn(d)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- q.run(ctx) }()
		for i := range 10 {
			q.add(numberedSighting(i))
			synctest.Wait()
		}
		if _, commits := d.count(); commits != 1 {
			t.Errorf("%d tries within the first minute", commits)
		}
		first := q.sync(t.Context())
		if !errors.Is(first, state.ErrFull) || !strings.Contains(first.Error(), "could not record pushes") {
			t.Errorf("Sync: %v", first)
		}
		q.add(numberedSighting(10))
		synctest.Wait()
		if again := q.sync(t.Context()); again == nil || again.Error() != first.Error() {
			t.Errorf("with one more it is %q, which was %q", again, first)
		}
		time.Sleep(5*fullPause + time.Second)
		if _, commits := d.count(); commits != 8 || len(q.all()) != 11 {
			t.Errorf("%d tries after five minutes, %d waiting", commits, len(q.all()))
		}
		d.fail(nil)
		time.Sleep(fullPause)
		synctest.Wait()
		if kept, _ := d.count(); kept != 11 || len(q.all()) != 0 {
			t.Errorf("%d kept, %d waiting", kept, len(q.all()))
		}
		if err := q.sync(t.Context()); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := strings.Count(said.String(), "\n"); n != 2 {
			t.Errorf("%d lines logged:\n%s", n, said)
		}
	})
}

// What does not fit is lost, which is said: once by Sync, and at the edges in
// the log.
func TestTapQueueOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{fails: full()}
		q, said := queueOn(d)
		q.most = 5
		for i := range 8 {
			q.add(numberedSighting(i))
		}
		if n := len(q.all()); n != 5 {
			t.Errorf("%d waiting", n)
		}
		if err := q.sync(t.Context()); !errors.Is(err, state.ErrFull) {
			t.Errorf("while the state is full: %v", err)
		}
		d.fail(nil)
		if err := q.sync(t.Context()); err == nil || !strings.Contains(err.Error(), "lost records because") {
			t.Errorf("the first Sync after it: %v", err)
		}
		if err := q.sync(t.Context()); err != nil {
			t.Errorf("the second: %v", err)
		}
		if kept, _ := d.count(); kept != 5 || d.kept[4].ID != "evt_4" {
			t.Errorf("%d kept, want the oldest five", kept)
		}
		if text := said.String(); strings.Count(text, "queue is full") != 1 || strings.Count(text, "lost=3") != 1 {
			t.Errorf("logged\n%s", text)
		}
	})
}

// A latched state ends Run; a full one at the end does not, but is said.
func TestTapQueueEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		latched := fmt.Errorf("commit: %w", state.ErrLatched)
		d := &disk{fails: latched}
		q, _ := queueOn(d)
		q.add(numberedSighting(0))
		if err := q.run(t.Context()); !errors.Is(err, state.ErrLatched) {
			t.Errorf("latched: %v", err)
		}
		if err := q.sync(t.Context()); !errors.Is(err, state.ErrLatched) {
			t.Errorf("Sync when latched: %v", err)
		}
		ending, end := context.WithCancel(t.Context())
		end()
		if err := q.run(ending); !errors.Is(err, state.ErrLatched) {
			t.Errorf("latched at the end: %v", err)
		}
		d.fail(full())
		q, said := queueOn(d)
		q.add(numberedSighting(0))
		if err := q.run(ending); err != nil || !strings.Contains(said.String(), "pushes=1") {
			t.Errorf("full at the end: %v, logged %s", err, said)
		}
		d.fail(nil)
		if err := q.run(ending); err != nil || len(q.all()) != 0 {
			t.Errorf("at the end: %v, %d left", err, len(q.all()))
		}
	})
}

// What the tap knows becomes a record in a real state, by id and by content.
func TestTapRecordsToTheState(t *testing.T) {
	s := openStore(t)
	tap := NewTap(TapOptions{
		Target: func() string { return "" }, Logger: slog.New(slog.DiscardHandler),
		Record: func(seen []state.Sighting) error { _, err := s.Record(time.Now(), seen); return err },
	})
	var source Recorder = tap
	one := event(1)
	list(t, s, 1, one)
	tap.saw(http.Header{"Heygen-Event-Id": {one.ID}}, nil)
	if err := source.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := row(t, s, one.ID); got.Status != state.Seen || got.Proof != state.Tap {
		t.Errorf("%s is %v by %v", one.ID, got.Status, got.Proof)
	}
}
