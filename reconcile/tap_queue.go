package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"backstop/state"
)

const (
	// mostQueued bounds what waits to be recorded: minutes of a flood, some
	// ten megabytes.
	mostQueued = 100_000

	// fullPause is how long a full state is left alone; it heals by itself.
	fullPause = time.Minute
)

// tapQueue keeps what the tap saw until it is durable. Adding never waits for
// the disk.
//
// What waits is in memory alone: a crash loses it, and those events count as
// missed and are replayed. So it is recorded as soon as the disk keeps up.
type tapQueue struct {
	record func([]state.Sighting) error
	log    *slog.Logger
	most   int
	busy   chan struct{} // holds something while one records
	wake   chan struct{} // holds something while there is something to do

	mu      sync.Mutex
	waiting []state.Sighting // guarded by mu; the oldest first. It only loses its head, to who is busy
	lost    int              // guarded by mu; dropped since Sync last told

	full, overflow edge
}

func newTapQueue(record func([]state.Sighting) error, log *slog.Logger) *tapQueue {
	return &tapQueue{record: record, log: log, most: mostQueued, busy: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
}

// add queues what was seen. Where there is no room it is dropped, and Sync says so.
func (q *tapQueue) add(seen state.Sighting) {
	if !q.append(seen) && q.overflow.failed("full") {
		q.log.Error("the tap's queue is full: pushes go through unrecorded, and will count as missed", "waiting", q.most)
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *tapQueue) append(seen state.Sighting) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= q.most {
		q.lost++
		return false
	}
	q.waiting = append(q.waiting, seen)
	return true
}

// run records what comes until ctx ends, then what is left.
func (q *tapQueue) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return q.rest(ctx)
		case <-q.wake:
		}
		err := q.flush(ctx)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, state.ErrFull):
			q.pause(ctx)
		case err != nil:
			return err
		}
	}
}

// pause leaves a full state alone for a while, then has it tried again.
func (q *tapQueue) pause(ctx context.Context) {
	timer := time.NewTimer(fullPause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// rest records what is left at the end. For a full state nobody waits then.
func (q *tapQueue) rest(ctx context.Context) error {
	err := q.flush(context.WithoutCancel(ctx))
	if errors.Is(err, state.ErrFull) {
		q.log.Error("the state is full: pushes that came through the tap are not recorded, and will count as missed", "pushes", len(q.all()))
		return nil
	}
	return err
}

// flush makes durable all that was queued before its call.
func (q *tapQueue) flush(ctx context.Context) error {
	select {
	case q.busy <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-q.busy }()
	batch := q.all()
	if len(batch) == 0 {
		return nil
	}
	// A crash before the commit leaves these events without a record: they are
	// replayed.
	if err := q.record(batch); err != nil {
		if errors.Is(err, state.ErrFull) && q.full.failed("full") {
			q.log.Error("the state is full: what comes through the tap waits in memory", "error", err)
		}
		return err
	}
	q.drop(len(batch))
	return nil
}

// drop takes the oldest from the queue: they are durable.
func (q *tapQueue) drop(n int) {
	q.mu.Lock()
	q.waiting = slices.Clone(q.waiting[n:]) // most often of nothing; it lets go of what was recorded
	q.mu.Unlock()
	if failures := q.full.worked(); failures > 0 {
		q.log.Info("the tap records again", "failures", failures)
	}
	if dropped := q.overflow.worked(); dropped > 0 {
		q.log.Warn("the tap's queue has room again", "lost", dropped)
	}
}

// sync is Recorder.Sync. Its errors hold no number: one failure must read the same however often it comes.
func (q *tapQueue) sync(ctx context.Context) error {
	if err := q.flush(ctx); err != nil {
		q.log.Debug("pushes wait to be recorded", "pushes", len(q.all()), "error", err)
		return fmt.Errorf("the tap could not record pushes: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	lost := q.lost
	q.lost = 0
	if lost > 0 {
		return errors.New("the tap lost records because its queue was full: those events will count as missed")
	}
	return nil
}

// all is what waits now. Nothing of it changes any more.
func (q *tapQueue) all() []state.Sighting {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting[:len(q.waiting):len(q.waiting)]
}
