package state

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// OpenRows gives those of some ids that are unfinished, with their data.
func (s *Store) OpenRows(ids []string) (rows []Row, err error) {
	for some := range slices.Chunk(ids, runBite) {
		err := s.view(func(t *tx) error {
			for _, id := range some {
				r, err := t.readOpen(id, true)
				if err != nil {
					return fmt.Errorf("event %q: %w", id, err)
				}
				if r != nil {
					rows = append(rows, r.row())
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// Oldest is the smallest created_at of some finished events; zero where that of any of them is not known.
func (s *Store) Oldest(ids map[string]bool) (oldest time.Time, err error) {
	places, err := s.locate(slices.Collect(maps.Keys(ids)))
	if err != nil || len(places) < len(ids) {
		return time.Time{}, err
	}
	for _, p := range places {
		if p.created.IsZero() {
			return time.Time{}, nil
		}
		oldest = earlier(oldest, p.created)
	}
	return oldest, nil
}
