package engine

import (
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"backstop/internal/config"
	"backstop/internal/metrics"
	"backstop/internal/secret"
)

// inbox makes a database with nothing in it, and a source that asks it.
func inbox(t *testing.T) (path string, source config.Source) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "inbox.db")
	db, err := sql.Open("sqlite", path)
	if err == nil {
		_, err = db.ExecContext(t.Context(), "CREATE TABLE inbox (event_id TEXT PRIMARY KEY)")
	}
	if err = firstOf(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return path, config.Source{Kind: config.SourceQuery, Query: config.QuerySource{
		Driver: config.DriverSQLite, DSN: secret.Text(path), Timeout: time.Hour,
		SQL: "SELECT event_id FROM inbox WHERE event_id IN (SELECT value FROM json_each(?))",
	}}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A pass that is in the middle of a question goes on with the sources that it
// began with, and they are let go of when it has ended.
func TestReloadWhileASourceIsAsked(t *testing.T) {
	others := goleak.IgnoreCurrent()
	p := calmPlan(1200, 100) // so many that it asks several times
	p.beginning = true
	s := newScene(t, p)
	path, source := inbox(t)
	slow := filepath.Join(t.TempDir(), "dsn")
	s.must(syscall.Mkfifo(slow, 0o600))
	asks := source
	asks.Query.DSN = secret.File(slow)
	s.cfg.Seen = []config.Source{asks}
	l := &life{killed: make(chan struct{}), counts: metrics.New("test")}
	e, err := Open(Options{Config: s.cfg, Need: Create, Logger: slog.New(slog.DiscardHandler), API: s.list(l), Receiver: s.replay(l), Metrics: l.counts})
	s.must(err)

	passed := make(chan error, 1)
	go func() { // ends with the pass
		pass, err := e.Poll(t.Context())
		if err == nil && pass.Missed < 1000 {
			err = fmt.Errorf("%d missed, want all", pass.Missed)
		}
		passed <- err
	}()
	dsn, err := os.OpenFile(slow, os.O_WRONLY, 0) // until the first question is about to connect
	s.must(err)
	reloaded := *s.cfg
	reloaded.Seen = []config.Source{source}
	s.must(e.Reload(&reloaded))
	for range 5 {
		runtime.GC()
	}
	_, err = dsn.WriteString(path)
	s.must(firstOf(err, dsn.Close()))
	if err := <-passed; err != nil {
		t.Errorf("the pass ends with %v", err)
	}
	_, err = e.Poll(t.Context())
	s.must(err)
	for deadline := time.Now().Add(time.Minute); holders(e) != 1; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the old sources are never let go of")
		}
	}
	s.must(e.Close())
	s.stop()
	s.must(s.receiver.Close())
	goleak.VerifyNone(t, others)
}

// holders counts the configurations whose sources hold something.
func holders(e *Engine) int {
	e.holdings.mu.Lock()
	defer e.holdings.mu.Unlock()
	return len(e.holdings.open)
}
