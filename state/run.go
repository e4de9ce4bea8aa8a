package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"backstop/internal/heygen"
)

// ErrNoRun says that there is no run of that number.
var ErrNoRun = errors.New("there is no such run")

// ErrRunCancelled says that a run was cancelled while its events were being found.
var ErrRunCancelled = errors.New("the run was cancelled")

// RunKind is what a replay run does.
type RunKind string

// The kinds of runs.
const (
	RunReplay RunKind = "replay" // unfinished events, by the ordinary queue
	RunForced RunKind = "forced" // also what is finished: sent again from the listing
	RunShadow RunKind = "shadow" // to another receiver, which leaves the events as they are
)

// Selection is what a person chose to have sent.
type Selection struct {
	Dead   bool      `json:"dead,omitempty"`
	Missed bool      `json:"missed,omitempty"` // missed and replaying
	Since  time.Time `json:"since,omitzero"`   // inclusive; zero: no bound
	Until  time.Time `json:"until,omitzero"`   // exclusive; zero: no bound
	Types  []string  `json:"event_types,omitempty"`
	Entity string    `json:"entity_id,omitempty"`
	Limit  int       `json:"limit,omitempty"` // the oldest ones; 0: all
	IDs    int       `json:"ids,omitempty"`   // how many were named; they are stored beside the run
}

// Filter is a selection as a filter of unfinished events: missed, replaying and dead ones, where no status was named.
func (s Selection) Filter() Filter {
	f := Filter{Since: s.Since, Until: s.Until, Type: s.Types, Entity: s.Entity, Limit: s.Limit}
	if s.Missed || !s.Dead {
		f.Status = append(f.Status, Missed, Replaying)
	}
	if s.Dead || !s.Missed {
		f.Status = append(f.Status, Dead)
	}
	return f
}

// Run is one replay that a person asked for, be it of one event or of ten thousand. An event of it is waiting, or seen, dead
// or ignored, or was left: taken back by a cancel or a restore, or taken over by a later run.
type Run struct {
	ID        uint64    `json:"-"`
	Kind      RunKind   `json:"kind"`
	Who       string    `json:"who"`
	What      string    `json:"what"`          // the selection in words
	URL       string    `json:"url,omitempty"` // of a shadow run's receiver, without the query
	Chosen    Selection `json:"chosen"`
	Act       uint64    `json:"act,omitempty"` // the number of the manual act that began it
	Begun     time.Time `json:"begun"`
	Walked    time.Time `json:"walked,omitzero"`    // forced, shadow: all that was chosen was found in the listing, or is gone; zero: not yet
	Confirmed time.Time `json:"confirmed,omitzero"` // a person agreed to the plan; zero: not yet
	Ready     time.Time `json:"ready,omitzero"`     // everything chosen is queued; zero: not yet
	Cancelled time.Time `json:"cancelled,omitzero"`
	Ended     time.Time `json:"ended,omitzero"`  // nothing waits any more
	After     []byte    `json:"after,omitempty"` // how far the selection is queued, as a place
	Taken     int       `json:"taken,omitempty"` // how many events were queued of the selection
	Planned   int64     `json:"planned"`
	Waiting   int64     `json:"waiting"`
	Seen      int64     `json:"seen"`
	Dead      int64     `json:"dead"`
	Ignored   int64     `json:"ignored"`
	Left      int64     `json:"left"`
	Dropped   int64     `json:"dropped,omitempty"` // of those left: taken out of a forced or shadow run by a cancel

	CancelAct uint64 `json:"cancel_act,omitempty"` // the number of the manual act that cancelled it
}

// dropped counts events that waited as taken out by a cancel.
func (r *Run) dropped(n int64) {
	r.Waiting, r.Left, r.Dropped = r.Waiting-n, r.Left+n, r.Dropped+n
}

// BeginRun makes a run and notes in its transaction that a person did so. Ids, for a selection by ids, are stored with it.
// With an act of n events the run's own number goes into the act.
//
// A crash before the commit leaves none; the person asks again. A full state takes a plain run, which adds little and makes
// room.
func (s *Store) BeginRun(now time.Time, r Run, ids []string) (Run, error) {
	ids = unique(ids)
	err := s.update(r.Kind != RunReplay, func(t *tx) error {
		id, err := t.bucket(bucketRuns).NextSequence()
		if err != nil {
			return err
		}
		r.ID, r.Begun, r.Act, r.Chosen.IDs = id, now.UTC(), t.nextAct(), len(ids)
		if err := t.act(now, r.Who, fmt.Sprintf("%s (run %d): %s", r.Kind.verb(), id, r.What), int(r.Planned)); err != nil {
			return err
		}
		return errors.Join(t.putRunIDs(id, ids), t.putRun(r))
	})
	if err != nil {
		return Run{}, fmt.Errorf("begin a run: %w", err)
	}
	return r, nil
}

// verb is what a person did, for the acts.
func (k RunKind) verb() string {
	switch k {
	case RunForced:
		return "forced replay"
	case RunShadow:
		return "shadow replay"
	}
	return "replay"
}

// Behind a run's number, a key of the bucket runs says what else belongs to the run.
const (
	runIDs  = "i" // ‖ number 8: some of the ids that were named
	runWalk = "w" // ‖ query: how far the listing was read
)

// runIDsPart is how many ids are stored together: a page or two.
const runIDsPart = 100

func runKey(id uint64, what string) []byte { return append(appendNumber(nil, id), what...) }

// Runs lists the runs, oldest first; ended ones are kept for retention.
func (s *Store) Runs() (list []Run, err error) {
	err = s.view(func(t *tx) error { return t.runs(func(r Run) { list = append(list, r) }) })
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return list, nil
}

// Run returns one run, or ErrNoRun.
func (s *Store) Run(id uint64) (r Run, err error) {
	err = s.view(func(t *tx) error { r, err = t.run(id); return err })
	return r, err
}

// RunIDs are the ids that a run was asked for, in that order; none for one that was chosen otherwise.
func (s *Store) RunIDs(id uint64) (ids []string, err error) {
	err = s.view(func(t *tx) error { ids, err = t.runIDs(id); return err })
	return ids, err
}

// putRunIDs stores ids in small parts: a large value would be written anew with each change of the run beside it.
func (t *tx) putRunIDs(id uint64, ids []string) error {
	part := uint64(0)
	for some := range slices.Chunk(ids, runIDsPart) {
		if err := t.putJSON(bucketRuns, appendNumber(runKey(id, runIDs), part), some); err != nil {
			return err
		}
		part++
	}
	return nil
}

func (t *tx) runIDs(id uint64) (ids []string, err error) {
	b, prefix := t.bucket(bucketRuns), runKey(id, runIDs)
	c := b.Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		payload, _, err := t.get(b, k)
		if err != nil {
			return nil, err
		}
		var some []string
		if err := json.Unmarshal(payload, &some); err != nil {
			return nil, fmt.Errorf("read the ids of a run: %w", err)
		}
		ids = append(ids, some...)
	}
	return ids, nil
}

// runs calls fn with every run.
func (t *tx) runs(fn func(Run)) error {
	return eachNumbered(t, bucketRuns, func(id uint64, r Run) {
		r.ID = id
		fn(r)
	})
}

func (t *tx) run(id uint64) (Run, error) {
	r, err := numbered[Run](t, bucketRuns, id, ErrNoRun)
	r.ID = id
	return r, err
}

func (t *tx) putRun(r Run) error { return t.putJSON(bucketRuns, appendNumber(nil, r.ID), r) }

// changeRun has fn change a run in a transaction of its own. One that grows the state is refused where that is full.
func (s *Store) changeRun(grow bool, id uint64, what string, fn func(t *tx, r *Run) error) (r Run, err error) {
	err = s.update(grow, func(t *tx) error {
		if r, err = t.run(id); err != nil {
			return err
		}
		if err := fn(t, &r); err != nil {
			return err
		}
		return t.putRun(r)
	})
	if err != nil {
		return Run{}, fmt.Errorf("%s run %d: %w", what, id, err)
	}
	return r, nil
}

// endRun stores a run, and ends it where nothing of it waits any more.
func (t *tx) endRun(now time.Time, r Run) error {
	over := !r.Ready.IsZero() || !r.Cancelled.IsZero()
	if over && r.Waiting == 0 && r.Ended.IsZero() {
		r.Ended = later(now.UTC(), later(r.Cancelled, r.Ready))
		if err := t.dropResends(r.ID); err != nil {
			return err
		}
	}
	return t.putRun(r)
}

// expireRuns deletes the runs that ended before a time, with all that belongs to them, and those to which nobody has agreed
// by then: they hold the customers' data.
func (t *tx) expireRuns(before time.Time) error {
	var old []uint64
	err := t.runs(func(r Run) {
		if !r.Ended.IsZero() && r.Ended.Before(before) || r.Confirmed.IsZero() && r.Begun.Before(before) {
			old = append(old, r.ID)
		}
	})
	for _, id := range old {
		err = errors.Join(err, t.dropRun(id))
	}
	return err
}

func (t *tx) dropRun(id uint64) error {
	if err := errors.Join(t.dropResends(id), t.dropSub(bucketResent, id)); err != nil {
		return err
	}
	return t.dropBehind(appendNumber(nil, id))
}

// RunWalk returns how far a run has read a query; the zero HistoryWalk before its first page.
func (s *Store) RunWalk(id uint64, q heygen.Query) (w HistoryWalk, err error) {
	err = s.view(func(t *tx) error {
		w, err = t.walkAt(bucketRuns, runWalkKey(id, q))
		return err
	})
	if err != nil {
		return HistoryWalk{}, fmt.Errorf("position of run %d: %w", id, err)
	}
	return w, nil
}

func runWalkKey(id uint64, q heygen.Query) []byte {
	return append(runKey(id, runWalk), queryKey(q)...)
}
