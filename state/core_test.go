package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// base is the API of the states that tests make.
const base = "https://api.example.com"

// noon is the now of tests that need one.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// optionsIn are the options of a state in a directory of its own.
func optionsIn(t *testing.T) Options {
	t.Helper()
	return Options{Path: filepath.Join(t.TempDir(), "backstop.db"), APIBase: base, LockTimeout: 50 * time.Millisecond}
}

// mustOpen opens a state that is closed when the test ends.
func mustOpen(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// mustClose closes a state, for tests that open it again.
func mustClose(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// mustBeClean fails the test when a full check finds anything.
func mustBeClean(t *testing.T, s *Store) {
	t.Helper()
	found, err := s.Check(t.Context(), true)
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	for _, p := range found {
		t.Errorf("check found: %s %s: %s", p.Bucket, p.Key, p.What)
	}
}

// mustDo fails the test when any step of a story failed.
func mustDo(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// write is the smallest change: one sealed note.
func write(s *Store, key string, grow bool) error {
	return s.update(grow, func(t *tx) error { return t.put(t.bucket(bucketReported), []byte(key), make([]byte, 9)) })
}

// stored reports whether a note of write is there.
func stored(t *testing.T, s *Store, key string) (ok bool) {
	t.Helper()
	mustDo(t, s.view(func(t *tx) error {
		ok = t.bucket(bucketReported).Get([]byte(key)) != nil
		return nil
	}))
	return ok
}

// unwrite takes a note of write back, so that the counts agree again.
func unwrite(s *Store, key string) error {
	return s.update(false, func(t *tx) error { return t.delete(t.bucket(bucketReported), []byte(key)) })
}

// replaceFile writes a file as the state file is written: mode 0600.
func replaceFile(t *testing.T, path string, text []byte) {
	t.Helper()
	mustDo(t, os.WriteFile(path, text, 0o600))
}

// walk ends a complete walk of everything between two ages before noon.
func walk(from, to time.Duration) WalkEnd {
	return WalkEnd{
		Query: heygen.Query{}, Kind: Poll, Now: noon(), Complete: true, Mark: noon().Add(-to), From: noon().Add(-from), To: noon().Add(-to), Start: noon().Add(-to),
	}
}
