package query_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/internal/testserver"
	"backstop/reconcile"
	"backstop/reconcile/query"
	"backstop/reconcile/sourcetest"
	"backstop/state"
)

// table is a table of the receiver, which keeps there what it took.
type table struct {
	*world
	t       *testing.T
	name    string
	content bool
	lock    []string // statements of one connection, with TABLE for the name
	unlock  string   // ends it
	release func()   // lets go of the lock; nil: it is free
	breaks  func()
	mends   func()
}

func (b *table) source(*state.Store) reconcile.Source {
	q := b.query(b.t, func(o *query.Options) {
		o.Timeout = 200 * time.Millisecond
		if o.Content = b.content; b.content {
			o.SQL = b.world.content
		}
	})
	return reconcile.Source{Name: "query", Proof: state.Query, Oracle: q}
}

func (b *table) take(events ...heygen.Event) {
	for _, e := range events {
		if b.content {
			b.exec(b.t, "INSERT INTO videos (video_id, last_event) VALUES ("+b.quoted(e.Entity())+", "+b.quoted(e.Type)+")")
			continue
		}
		b.exec(b.t, b.insert, e.ID)
	}
}

// quoted is enough for ids that a test made.
func (b *table) quoted(text string) string { return "'" + text + "'" }

// stall holds a lock on the table, as a migration of the receiver does.
func (b *table) stall() {
	b.t.Helper()
	conn, err := b.admin.Conn(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	do := func(statement string) {
		if _, err := conn.ExecContext(b.t.Context(), strings.ReplaceAll(statement, "TABLE_NAME", b.name)); err != nil {
			b.t.Fatalf("%s: %v", statement, err)
		}
	}
	for _, statement := range b.lock {
		do(statement)
	}
	b.release = func() { do(b.unlock); _ = conn.Close() }
}

func (b *table) mend() {
	if b.release != nil {
		b.release()
		b.release = nil
		return
	}
	b.mends()
}

// suite puts both tables of the recipe to it: the one of ids with a server that is stopped, the one of contents with a
// table that is renamed.
func suite(t *testing.T, w *world, lock []string, unlock string) {
	for name, content := range map[string]bool{"inbox": false, "videos": true} {
		t.Run(name, func(t *testing.T) {
			b := &table{world: w, t: t, name: name, content: content, lock: lock, unlock: unlock}
			b.breaks = func() { b.exec(t, "ALTER TABLE "+name+" RENAME TO "+name+"_away") }
			b.mends = func() { b.exec(t, "ALTER TABLE "+name+"_away RENAME TO "+name) }
			if w.server != nil && !content {
				b.breaks, b.mends = w.server.Stop, w.server.Start
			}
			sourcetest.Run(t, sourcetest.Partner{Source: b.source, Take: b.take, Break: b.breaks, Stall: b.stall, Mend: b.mend})
		})
	}
}

func TestPostgresIsASource(t *testing.T) {
	s := testserver.Postgres(t)
	w := &world{
		driver: query.Postgres, server: s, admin: open(t, "pgx", s.DSN), dsn: postgresDSN(s, "change me"),
		insert: "INSERT INTO inbox (event_id) VALUES ($1)",
	}
	w.follow(t, "PostgreSQL")
	suite(t, w, []string{"BEGIN", "LOCK TABLE TABLE_NAME IN ACCESS EXCLUSIVE MODE"}, "ROLLBACK")
}

func TestMariaDBIsASource(t *testing.T) {
	s := testserver.MariaDB(t)
	w := &world{
		driver: query.MySQL, server: s, admin: open(t, "mysql", s.DSN), dsn: mariaDSN(s, "change me"),
		insert: "INSERT INTO inbox (event_id) VALUES (?)",
	}
	w.follow(t, "MariaDB and MySQL")
	suite(t, w, []string{"LOCK TABLES TABLE_NAME WRITE"}, "UNLOCK TABLES")
}

func TestSQLiteIsASource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inbox.db")
	w := &world{
		driver: query.SQLite, dsn: path, admin: open(t, "sqlite", "file:"+path),
		insert: "INSERT INTO inbox (event_id) VALUES (?)",
	}
	w.follow(t, "SQLite")
	suite(t, w, []string{"BEGIN EXCLUSIVE"}, "ROLLBACK")
}
