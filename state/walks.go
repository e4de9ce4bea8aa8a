package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"backstop/internal/heygen"
)

// Segment is one stretch of a walk that was interrupted: what has been read of it, and the page to read next.
type Segment struct {
	Start   time.Time `json:"start,omitzero"`   // when its first page was asked for
	Newest  time.Time `json:"newest,omitzero"`  // newest created_at read
	Lowest  time.Time `json:"lowest,omitzero"`  // lowest created_at read
	Horizon time.Time `json:"horizon,omitzero"` // how far down it has to read; zero: to the end
	Token   string    `json:"token,omitempty"`  // cursor of the next page
	Limit   int       `json:"limit,omitempty"`  // the page size the cursor was given for
	Ordered bool      `json:"ordered,omitempty"`
	Pages   int       `json:"pages,omitempty"`
	Events  int       `json:"events,omitempty"`
}

// Checkpoint is the position in a walk under way, newest segment first. Without segments there is no walk under way.
type Checkpoint struct {
	Segments []Segment `json:"segments"`
}

// Position is how far the walks of a query got.
type Position struct {
	Mark       time.Time  // everything listed up to here was walked; zero: never
	Completed  time.Time  // start of the last complete walk of this kind; zero: none
	Oldest     time.Time  // oldest event that a walk to the end reached; zero: none did
	Checkpoint Checkpoint // of the walk of this kind that is under way
}

// WalkEnd is what a walk has proven when it ends.
type WalkEnd struct {
	Query    heygen.Query
	Kind     Kind
	Now      time.Time
	Complete bool      // it reached its horizon or the end; otherwise nothing is proven and the checkpoint stays
	Mark     time.Time // candidate: the mark only moves forward
	From, To time.Time // the range proven read; zero From: to the very beginning
	Start    time.Time // when the walk began
	Reached  time.Time // oldest dated event, when it read to the end; zero otherwise
}

// walkKey names the walks of one query and kind.
type walkKey struct {
	query heygen.Query
	kind  Kind
}

// walked is how far the walks of one key got, without what is under way.
type walked struct {
	mark, completed, oldest time.Time
}

func (w walked) encode() []byte {
	return appendTime(appendTime(appendTime(nil, w.mark), w.completed), w.oldest)
}

func decodeWalked(b []byte) walked {
	return walked{mark: timeAt(b), completed: timeAt(tail(b, 8)), oldest: timeAt(tail(b, 16))}
}

// advance takes in a complete walk.
func (w walked) advance(e WalkEnd) walked {
	w.mark = later(w.mark, second(e.Mark))
	w.completed = later(w.completed, second(e.Start))
	w.oldest = earlier(w.oldest, second(e.Reached))
	return w
}

// second rounds down to what is stored.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// later and earlier take a zero time for none.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// queryKey is a query as a key. Event types hold no zero byte: bbolt would not mind, but the listing takes none.
func queryKey(q heygen.Query) []byte {
	return append(append([]byte(q.Type), 0), q.Entity...)
}

func parseQuery(key []byte) heygen.Query {
	kind, entity, _ := bytes.Cut(key, []byte{0})
	return heygen.Query{Type: string(kind), Entity: string(entity)}
}

func (k walkKey) bytes() []byte {
	return append([]byte{byte(k.kind)}, queryKey(k.query)...)
}

func parseWalkKey(key []byte) walkKey {
	return walkKey{query: parseQuery(tail(key, 1)), kind: Kind(key[0])}
}

// Position returns how far the walks of a query got. The mark is that of the query, whichever kind moved it; when a walk was
// completed, and what is under way, belongs to the kind.
func (s *Store) Position(q heygen.Query, k Kind) (Position, error) {
	p := s.notes.position(walkKey{q, k})
	err := s.view(func(t *tx) (err error) {
		p.Checkpoint, _, err = t.checkpoint(q, k)
		return err
	})
	if err != nil {
		return Position{}, fmt.Errorf("position of the walk of %s: %w", q, err)
	}
	return p, nil
}

// Marks returns the position of every query that was ever walked to its end, with the checkpoint of its poll.
func (s *Store) Marks() (map[heygen.Query]Position, error) {
	marks := make(map[heygen.Query]Position)
	for q := range s.notes.queries() {
		p, err := s.Position(q, Poll)
		if err != nil {
			return nil, err
		}
		marks[q] = p
	}
	return marks, nil
}

// FinishWalk takes in the end of a walk. A complete one moves the mark, adds its range to the coverage and clears its
// checkpoint. That is durable when it returns if the file held a checkpoint or no mark yet. Otherwise, as with every idle
// poll, it waits in memory for the next commit or for Close: a crash before them leaves an older mark, and the same stretch
// is walked again.
func (s *Store) FinishWalk(e WalkEnd) error {
	if !e.Complete {
		return nil
	}
	first := s.notes.finish(e)
	err := s.update(false, func(t *tx) error {
		if first {
			t.dirty()
		}
		return t.delete(t.bucket(bucketCheckpoints), walkKey{e.Query, e.Kind}.bytes())
	})
	if err != nil {
		return fmt.Errorf("finish the walk of %s: %w", e.Query, err)
	}
	return nil
}

// checkpoint reads the checkpoint of a walk. A damaged one counts as none: the walk starts anew from the mark, which is the
// same as having been interrupted before it was written.
func (t *tx) checkpoint(q heygen.Query, k Kind) (c Checkpoint, ok bool, err error) {
	payload, ok, err := t.get(t.bucket(bucketCheckpoints), walkKey{q, k}.bytes())
	if err != nil || !ok {
		return Checkpoint{}, false, nil
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return Checkpoint{}, false, fmt.Errorf("read a checkpoint: %w", err)
	}
	return c, true, nil
}

// setCheckpoint stores the checkpoint behind the pages of the same transaction; one without segments is removed.
func (t *tx) setCheckpoint(q heygen.Query, k Kind, c Checkpoint) error {
	key := walkKey{q, k}.bytes()
	if len(c.Segments) == 0 {
		return t.delete(t.bucket(bucketCheckpoints), key)
	}
	return t.putJSON(bucketCheckpoints, key, c)
}

// position is what the memory knows of a walk: all but the checkpoint.
func (n *notes) position(key walkKey) Position {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := Position{Completed: n.walked[key].completed}
	for _, kind := range []Kind{Poll, Sweep} {
		w := n.walked[walkKey{key.query, kind}]
		p.Mark = later(p.Mark, w.mark)
		p.Oldest = earlier(p.Oldest, w.oldest)
	}
	return p
}

// lastWalks is when the last complete walks began: every query that is walked these days was walked from then on. Zero:
// nothing was walked.
func (n *notes) lastWalks() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := make(map[heygen.Query]time.Time)
	var newest time.Time
	for key, w := range n.walked {
		last[key.query] = later(last[key.query], w.completed)
		newest = later(newest, w.completed)
	}
	oldest := newest
	for _, at := range last {
		if at.After(newest.Add(-24 * time.Hour)) {
			oldest = earlier(oldest, at)
		}
	}
	return oldest
}

// queries returns every query that has a mark.
func (n *notes) queries() map[heygen.Query]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	queries := make(map[heygen.Query]bool)
	for key := range maps.Keys(n.walked) {
		queries[key.query] = true
	}
	return queries
}
