package main_test

import (
	"database/sql"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"backstop/internal/simulate"
	"backstop/internal/testserver"
)

// databaseSite asks the receiver's database, as a user who may only read.
const databaseSite = `
heygen: {base_url: LISTING, api_key: key, rate: 0}
receiver: {url: "RECEIVER/hook"}
schedule: {poll: "@every 1s", sweep: "@every 1h"}
reconcile: {settle: 2s, start: 2020-01-01}
seen:
  - query: {driver: DRIVER, dsn: "${INBOX}", sql: "SQL", timeout: 1s}
replay: {rate: 0}
state: {path: DIR/backstop.db}
control: DIR/control.sock
admin: {listen: ""}
`

// inbox is a receiver that stores each event in its table before it answers.
type inbox struct {
	t      *testing.T
	server *testserver.Server
	db     *sql.DB
	insert string

	mu      sync.Mutex
	replays map[string]int // requests of backstop, by id
}

func newInbox(t *testing.T, server *testserver.Server, driver, insert string, setup ...string) *inbox {
	t.Helper()
	db, err := sql.Open(driver, server.DSN)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxIdleConns(0) // each statement connects: the server is stopped between two
	t.Cleanup(func() { _ = db.Close() })
	for _, statement := range setup {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return &inbox{t: t, server: server, db: db, insert: insert, replays: map[string]int{}}
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Heygen-Event-Id")
	if r.Header.Get("X-Backstop-Replay") != "" {
		i.mu.Lock()
		i.replays[id]++
		i.mu.Unlock()
	}
	if _, err := i.db.ExecContext(r.Context(), i.insert, id); err != nil {
		http.Error(w, "not stored", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (i *inbox) replayed(id string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.replays[id]
}

func (i *inbox) has(id string) bool {
	i.t.Helper()
	var n int
	if err := i.db.QueryRowContext(i.t.Context(), "SELECT count(*) FROM inbox WHERE event_id = '"+id+"'").Scan(&n); err != nil {
		i.t.Fatal(err)
	}
	return n == 1
}

func TestDaemonAsksPostgres(t *testing.T) {
	server := testserver.Postgres(t)
	i := newInbox(t, server, "pgx", "INSERT INTO inbox (event_id) VALUES ($1)",
		"CREATE TABLE inbox (event_id text PRIMARY KEY)", "CREATE ROLE backstop LOGIN PASSWORD 'change me'", "GRANT SELECT ON inbox TO backstop")
	dsn := url.URL{Scheme: "postgres", User: url.UserPassword("backstop", "change me"), Host: server.Addr, Path: "/postgres"}
	i.story("postgres", dsn.String(), "SELECT event_id FROM inbox WHERE event_id = ANY($1)")
}

func TestDaemonAsksMariaDB(t *testing.T) {
	server := testserver.MariaDB(t)
	i := newInbox(t, server, "mysql", "INSERT INTO inbox (event_id) VALUES (?)",
		"CREATE TABLE inbox (event_id VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY)",
		"CREATE USER backstop@'%' IDENTIFIED BY 'change me'", "GRANT SELECT ON inbox TO backstop@'%'")
	i.story("mysql", "backstop:change me@tcp("+server.Addr+")/test", "SELECT i.event_id FROM inbox i JOIN "+
		"JSON_TABLE(?, '$[*]' COLUMNS (id VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin PATH '$')) AS asked ON asked.id = i.event_id")
}

// story is the life of a daemon beside a receiver whose database is stopped in the middle.
func (i *inbox) story(driver, dsn, question string) {
	t := i.t
	hook := serve(t, i)
	listing, create := startWorld(t, simulate.Options{PushURL: hook + "/hook"})
	config := strings.NewReplacer("LISTING", listing, "RECEIVER", hook, "DRIVER", driver, "SQL", question).Replace(databaseSite)
	s := newSite(t, build(t), config, "INBOX="+dsn)
	daemon := s.start(nil, "run")
	until(t, time.Minute, "the daemon answers", func() bool { _, code := s.run("", "pause"); return code == 0 })
	s.must("", "resume")

	arrived, lost := create("vid_arrived", simulate.Prompt), create("vid_lost", simulate.NeverSent)
	s.untilProof(arrived, "query")
	s.untilProof(lost, "replay")
	i.wantReplays(map[string]int{arrived: 0, lost: 1})

	i.server.Stop()
	refused, never := create("vid_refused", simulate.Prompt), create("vid_never", simulate.NeverSent)
	for _, id := range []string{refused, never} {
		until(t, time.Minute, "it is listed and not judged", func() bool { return s.explain(id).Status == "listed" })
	}
	if _, code := s.run("", "reconcile"); code != 1 {
		t.Errorf("reconcile beside a stopped database: exit %d, want 1", code)
	}
	if out, code := s.run("", "diff"); code != 1 || !strings.Contains(out, "? "+never) {
		t.Errorf("diff beside a stopped database: exit %d, want 1\n%s", code, out)
	}
	if out := s.must("", "status"); !strings.Contains(out, "): can't answer since") {
		t.Errorf("status names no source that fails:\n%s", out)
	}
	i.wantReplays(map[string]int{refused: 0, never: 0})

	i.server.Start()
	s.untilProof(refused, "replay")
	s.untilProof(never, "replay")
	i.wantReplays(map[string]int{refused: 1, never: 1})

	// What is stored after the verdict and before the POST is not sent.
	s.must("", "pause")
	late := create("vid_late", simulate.NeverSent)
	until(t, time.Minute, "it is missed", func() bool { return s.explain(late).Status == "missed" })
	if _, err := i.db.ExecContext(t.Context(), i.insert, late); err != nil {
		t.Fatal(err)
	}
	s.must("", "resume")
	s.untilProof(late, "query")
	i.wantReplays(map[string]int{late: 0})
	if code := daemon.stop(); code != 0 {
		t.Errorf("exit %d\n%s", code, s.said.tail())
	}
	if found := leaks(s.said.String(), map[string][]string{"the password": {"change me", "change%20me"}}); found != nil {
		t.Error(found)
	}
}

// wantReplays looks at what was sent, and that the table has it by now.
func (i *inbox) wantReplays(want map[string]int) {
	i.t.Helper()
	for id, n := range want {
		if got := i.replayed(id); got != n {
			i.t.Errorf("%s was sent %d times, want %d", id, got, n)
		}
		if n > 0 && !i.has(id) {
			i.t.Errorf("%s was sent, and is not in the table", id)
		}
	}
}
