package state

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// maxBatch bounds how many callers share one transaction, so that no caller waits behind an endless one.
const maxBatch = 1024

// call is one caller of update.
type call struct {
	grow   bool
	fn     func(*tx) error
	err    error
	signal chan bool // true: lead the next commit; false: answered, err is set
}

// committer lets concurrent callers share commits. It has no goroutine of its own: whoever finds no leader leads, and hands
// over when its own commit is done.
type committer struct {
	mu    sync.Mutex
	queue []*call
	led   bool
}

// join queues c and reports whether its caller must lead.
func (q *committer) join(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, c)
	if q.led {
		return false
	}
	q.led = true
	return true
}

// drain takes what has queued, in order.
func (q *committer) drain() []*call {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.queue), maxBatch)
	batch := slices.Clone(q.queue[:n])
	q.queue = slices.Delete(q.queue, 0, n)
	return batch
}

// handOver makes the first waiter the leader, or leaves the place empty.
func (q *committer) handOver() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		q.led = false
		return
	}
	q.queue[0].signal <- true
}

// update runs fn in a write transaction, shared with whoever else asks meanwhile, and returns when it is durable, or was not
// made, or the store latched. fn may run more than once, and an error of its own undoes all it did and nothing else. Where
// fn marks nothing dirty, nothing is committed. grow says that fn adds rows: it is refused with ErrFull while the store is full.
func (s *Store) update(grow bool, fn func(*tx) error) error {
	c := &call{grow: grow, fn: fn, signal: make(chan bool, 1)}
	if s.commits.join(c) || <-c.signal {
		s.lead(c)
	}
	return c.err
}

// lead commits one batch, own among it, answers the others, and hands the leadership over.
func (s *Store) lead(own *call) {
	batch := s.commits.drain()
	s.commitBatch(batch)
	// The next leader is woken first: its transaction may begin while these answers go out.
	s.commits.handOver()
	for _, c := range batch {
		if c != own {
			c.signal <- false
		}
	}
}

// commitBatch gives every call its answer. A call whose function fails is answered and left out, and the others run again.
func (s *Store) commitBatch(batch []*call) {
	batch = s.admit(slices.Clone(batch))
	for len(batch) > 0 {
		failed, err := s.attempt(batch)
		switch {
		case failed != nil:
			failed.err = err
			batch = slices.DeleteFunc(batch, func(c *call) bool { return c == failed })
		case errors.Is(err, ErrFull) && slices.ContainsFunc(batch, func(c *call) bool { return c.grow }):
			// bbolt refused to grow the file and rolled back; what frees space may still fit.
			batch = refuse(batch, err)
		default:
			answer(batch, err)
			return
		}
	}
}

// admit refuses what may not even be tried and returns the rest.
func (s *Store) admit(batch []*call) []*call {
	if err := s.usable(); err != nil {
		answer(batch, err)
		return nil
	}
	if !slices.ContainsFunc(batch, func(c *call) bool { return c.grow }) {
		return batch
	}
	if err := s.roomToGrow(); err != nil {
		return refuse(batch, err)
	}
	return batch
}

// refuse answers the calls that grow and returns the others.
func refuse(batch []*call, err error) []*call {
	return slices.DeleteFunc(batch, func(c *call) bool {
		if c.grow {
			c.err = err
		}
		return c.grow
	})
}

func answer(batch []*call, err error) {
	for _, c := range batch {
		c.err = err
	}
}

// attempt runs the batch in one transaction. It returns the call whose own function failed, or the fate of the transaction.
func (s *Store) attempt(batch []*call) (failed *call, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a file that was cut off under us faults where it is read
	if s.wrecked.Load() {                                    // by whoever measured the file for this batch
		return nil, s.Err()
	}
	var bolt *bbolt.Tx
	defer func() {
		if p := recover(); p != nil {
			// unreachable: only a damaged page or a bug panics in here. Nobody knows what is in memory now, but the file is
			// as it was: the transaction is never committed.
			failed, err = nil, s.panicked("writing to it", p, release(bolt))
		}
	}()
	bolt, err = s.db.Begin(true)
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return nil, ErrClosed
	}
	if err != nil {
		return nil, s.latch(fmt.Errorf("begin a transaction: %w", err))
	}
	t := newTx(s, bolt)
	for _, c := range batch {
		if err := c.fn(t); err != nil {
			return c, errors.Join(err, bolt.Rollback())
		}
	}
	return nil, s.commit(t)
}

// commit makes t durable when it changed anything, and publishes to memory what it did.
//
// A crash before bbolt's second sync leaves the state as it was, after it as it is now; the caller has no answer in either
// case and does its work again, which finds what is already there.
func (s *Store) commit(t *tx) error {
	if !t.changed {
		if err := t.bolt.Rollback(); err != nil {
			return fmt.Errorf("end a transaction: %w", err)
		}
		t.publish()
		return nil
	}
	if err := s.prepare(t); err != nil {
		return s.latch(errors.Join(err, t.bolt.Rollback()))
	}
	if err := t.bolt.Commit(); err != nil {
		if errors.Is(err, berrors.ErrMaxSizeReached) {
			return s.setFull(fullSize(s.options.Path, s.options.MaxSize))
		}
		return s.latch(fmt.Errorf("commit: %w", err))
	}
	if err := s.fault("after"); err != nil {
		return s.latch(fmt.Errorf("commit: %w", err))
	}
	t.publish()
	s.commitNumber.Add(1)
	s.side.refresh(s, time.Now())
	return nil
}

// prepare adds to t what rides every commit, and makes sure that the file is still ours.
func (s *Store) prepare(t *tx) error {
	if err := s.stillOurs(t.bolt.Size()); err != nil {
		s.side.tell(s)
		return err
	}
	s.side.begin(s)
	if err := t.flush(); err != nil {
		return err
	}
	return s.fault("before")
}

// flush writes the notes that waited in memory, the counters and the next generation.
func (t *tx) flush() error {
	if err := t.writeNotes(); err != nil {
		return err
	}
	if err := t.writeNews(); err != nil {
		return err
	}
	if t.tally != nil && *t.tally != t.before {
		if err := t.put(t.bucket(bucketMeta), []byte(metaCounts), t.tally.encode()); err != nil {
			return err
		}
		published := *t.tally
		t.after(func() { t.s.setCounts(published) })
	}
	return t.nextGeneration()
}

func (t *tx) publish() {
	for _, fn := range t.done {
		fn()
	}
}

func (s *Store) fault(point string) error {
	return s.options.fault(point)
}

// view runs fn in a read transaction. It must be short and do nothing slow: while one is open the file grows with every
// commit, and one that is open inside an update deadlocks.
//
// A damaged page makes bbolt panic. Nothing that was read can be trusted then: the store is latched, and the next start
// looks at the file closely before it goes on.
func (s *Store) view(fn func(*tx) error) (err error) {
	if s.wrecked.Load() {
		return s.Err()
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	began := false
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked("reading it", p, began)
		}
	}()
	err = s.db.View(func(bolt *bbolt.Tx) error {
		began = true
		return fn(newTx(s, bolt))
	})
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}
