package state

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// load reads what is kept in memory, after it has made sure that this is the state to use.
func (s *Store) load(side *sideFile) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(s.options.Path, fmt.Sprintf("a page of it is unusable (%v)", p))
		}
	}()
	if err := s.view(func(t *tx) error { return t.admit(side) }); err != nil {
		return err
	}
	if err := s.update(false, (*tx).upgrade); err != nil {
		return err
	}
	return s.view((*tx).loadMemory)
}

// admit makes sure that this is the state to use: a state, of a known format, the newest, and of this API.
func (t *tx) admit(side *sideFile) error {
	path := t.s.options.Path
	version, err := t.readFormat()
	switch {
	case err != nil:
		return damaged(path, err.Error())
	case version == 0:
		return damaged(path, "it is the file of another program")
	case version > formatVersion:
		return fmt.Errorf("%w: %s has version %d, this backstop knows %d; use the backstop that wrote it", ErrVersion, path, version, formatVersion)
	}
	m, generation, err := t.readMeta()
	if err != nil {
		return damaged(path, err.Error())
	}
	if err := judgeSide(path, side, m.uuid, generation); err != nil {
		return err
	}
	if err := judgeRestored(path, side, m.lost); err != nil {
		return err
	}
	if base := t.s.options.APIBase; base != "" && m.base != "" && !sameBase(base, m.base) {
		return fmt.Errorf("%w: %s holds events of %s, and the configuration says %s; set heygen.base_url back, or state.path to another file",
			ErrForeign, path, m.base, base)
	}
	t.s.meta, t.s.found = m, m.commit
	t.s.generation.Store(generation)
	return nil
}

// upgrade brings an older format up to this one and binds the state to its API, in one transaction: after a crash in here
// the file is the old one, and it is done again.
func (t *tx) upgrade() error {
	if err := t.migrate(migrations()); err != nil {
		return err
	}
	if err := t.makeBuckets(); err != nil {
		return damaged(t.s.options.Path, err.Error())
	}
	if err := t.mendCounts(); err != nil {
		return err
	}
	if base := t.s.options.APIBase; base != "" && t.s.meta.base == "" {
		t.after(func() { t.s.change(func(m *settings) { m.base = base }) })
		return t.putMeta(metaBase, []byte(base))
	}
	return nil
}

// mendCounts counts anew where the record of the counters is damaged: it says nothing that the other records don't.
func (t *tx) mendCounts() error {
	if _, _, err := t.get(t.bucket(bucketMeta), []byte(metaCounts)); !errors.Is(err, errBadRecord) {
		return err
	}
	c, err := t.audit(func(Problem) {})
	if err != nil {
		return fmt.Errorf("count the records anew: %w", err)
	}
	return t.putMeta(metaCounts, c.encode())
}

// makeBuckets creates the buckets that a file of an older program lacks.
func (t *tx) makeBuckets() error {
	for _, name := range bucketNames() {
		if t.bucket(name) != nil {
			continue
		}
		if _, err := t.bolt.CreateBucket([]byte(name)); err != nil {
			return fmt.Errorf("create bucket %s: %w", name, err)
		}
		t.dirty()
	}
	return nil
}

// loadMemory fills what is kept in memory.
func (t *tx) loadMemory() error {
	t.s.setCounts(*t.counts())
	t.loadTypes()
	t.loadNotes()
	return t.loadRows()
}
