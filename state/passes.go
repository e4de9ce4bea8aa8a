package state

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// keptPasses is how many passes are remembered.
const keptPasses = 1000

// Pass is what one pass did.
type Pass struct {
	Kind     string    `json:"kind"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Requests int       `json:"requests,omitempty"`
	Pages    int       `json:"pages,omitempty"`
	Listed   int       `json:"listed,omitempty"`
	New      int       `json:"new,omitempty"`
	Missed   int       `json:"missed,omitempty"`
	Seen     int       `json:"seen,omitempty"`
	Bad      int       `json:"bad,omitempty"`
	Complete bool      `json:"complete,omitempty"`
	Err      string    `json:"error,omitempty"` // "": it went well
}

func (p Pass) same(q Pass) bool {
	return p.Kind == q.Kind && p.Start.Equal(q.Start) && p.End.Equal(q.End)
}

// NotePass notes what a pass did. The note waits in memory for the next commit, or for Close.
func (s *Store) NotePass(p Pass) error {
	if err := s.usable(); err != nil {
		return fmt.Errorf("note a pass: %w", err)
	}
	s.notes.note(p)
	return nil
}

// Passes returns the last n passes, newest first. Only the last 1,000 are kept.
func (s *Store) Passes(n int) ([]Pass, error) {
	passes := s.notes.pending().passes
	slices.Reverse(passes)
	passes = passes[:min(len(passes), max(n, 0))]
	err := s.view(func(t *tx) error {
		c := t.bucket(bucketPasses).Cursor()
		for k, v := c.Last(); k != nil && len(passes) < min(n, keptPasses); k, v = c.Prev() {
			payload, ok := unseal(k, v)
			if !ok {
				continue // Check names it
			}
			var p Pass
			if err := json.Unmarshal(payload, &p); err != nil {
				return fmt.Errorf("read a pass: %w", err)
			}
			// A pass that is being committed right now is in memory and in the file.
			if !slices.ContainsFunc(passes, p.same) {
				passes = append(passes, p)
			}
		}
		return nil
	})
	return passes, err
}

// writePasses stores passes and drops those that are too old to be kept.
func (t *tx) writePasses(passes []Pass) error {
	b := t.bucket(bucketPasses)
	for _, p := range passes {
		seq, err := b.NextSequence()
		if err != nil {
			return err
		}
		payload, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if err := t.put(b, appendNumber(nil, seq), payload); err != nil {
			return err
		}
	}
	if len(passes) == 0 {
		return nil
	}
	return t.dropPasses()
}

func (t *tx) dropPasses() error {
	b := t.bucket(bucketPasses)
	newest := b.Sequence()
	for {
		key, _ := b.Cursor().First()
		if key == nil || numberAt(key)+keptPasses > newest {
			return nil
		}
		if err := t.delete(b, key); err != nil {
			return err
		}
	}
}
