package query_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"backstop/reconcile/query"
)

func TestSQLite(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		t.Run(mode, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "in box?#%41.db")
			w := &world{
				driver: query.SQLite, dsn: path, admin: open(t, "sqlite", "file:"+uriPath(path)),
				insert: "INSERT INTO inbox (event_id) VALUES (?)",
				slow:   "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 10000000000) SELECT count(*) FROM n WHERE 'x' NOT IN (SELECT value FROM json_each(?))",
				limit:  "no answer within",
				writes: []string{
					"INSERT INTO inbox (event_id) SELECT value FROM json_each(?)",
					"INSERT INTO inbox (event_id) SELECT value FROM json_each(?) WHERE true RETURNING event_id",
					"UPDATE inbox SET received_at = 1 WHERE event_id NOT IN (SELECT value FROM json_each(?))",
					"DELETE FROM inbox WHERE event_id NOT IN (SELECT value FROM json_each(?))",
					"PRAGMA query_only = 0; DELETE FROM inbox WHERE event_id NOT IN (SELECT value FROM json_each(?))",
				},
			}
			w.exec(t, "PRAGMA journal_mode = "+mode)
			w.follow(t, "SQLite")
			every(t, w)
			t.Run("together", func(t *testing.T) { together(t, w) })
			t.Run("beside a writer", func(t *testing.T) { besideWriter(t, w, mode) })
			t.Run("beside a process", func(t *testing.T) { besideProcess(t, w) })
			t.Run("after a crash", func(t *testing.T) { crashedWriter(t, w, mode) })
			t.Run("uri", func(t *testing.T) { sqliteURI(t, w) })
		})
	}
	t.Run("no file", noFile)
	t.Run("moved file", movedFile)
}

func uriPath(path string) string {
	return filepath.Dir(path) + "/in%20box%3f%23%2541.db"
}

// besideWriter asks while another connection has written and not committed.
func besideWriter(t *testing.T, w *world, mode string) {
	tx, err := w.admin.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), w.insert, "evt_open"); err != nil {
		t.Fatal(err)
	}
	q := w.query(t, nil)
	want(t, q, []string{"evt_open", "evt_0001"}, "evt_0001")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	want(t, q, []string{"evt_open"}, "evt_open")
	if mode == "wal" {
		return
	}
	conn, err := w.admin.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	short := w.query(t, func(o *query.Options) { o.Timeout = 100 * time.Millisecond })
	says(t, refused(t, t.Context(), short), "locked", "; a writer keeps readers out")
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	want(t, short, []string{"evt_0001"}, "evt_0001")
}

// sqliteURI: what a URI asks for beyond reading is not done.
func sqliteURI(t *testing.T, w *world) {
	for _, query := range []string{"", "?mode=rwc", "?cache=private&_pragma=query_only(0)", "?_pragma=user_version(7)", "?mode=memory"} {
		q := w.query(t, withDSN("file:"+uriPath(w.dsn)+query))
		want(t, q, []string{"evt_0001"}, "evt_0001")
	}
	if n := w.count(t, "PRAGMA user_version"); n != 0 {
		t.Errorf("user_version is %d", n)
	}
}

func withDSN(dsn string) func(*query.Options) {
	return func(o *query.Options) { o.DSN = func() (string, error) { return dsn, nil } }
}

func noFile(t *testing.T) {
	dir := t.TempDir()
	missing, other := filepath.Join(dir, "missing.db"), filepath.Join(dir, "other.db")
	if err := os.WriteFile(other, []byte("this is no database, but long enough to be looked at as one"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &world{driver: query.SQLite, ids: "SELECT event_id FROM inbox WHERE event_id IN (SELECT value FROM json_each(?))"}
	for _, dsn := range []string{missing, "file:" + missing, "file:" + missing + "?mode=rwc", "file:" + missing + "?vfs=unix&_key=hunter2#hunter2"} {
		says(t, refused(t, t.Context(), w.query(t, withDSN(dsn))), "unable to open database file "+missing+" (14); does the file exist")
	}
	for _, dsn := range []string{"postgres://backstop:hunter2@db.internal/app", "backstop:hunter2@tcp(db.internal)/app", "host=db.internal password=hunter2"} {
		says(t, refused(t, t.Context(), w.query(t, withDSN(dsn))), "unable to open database file of the dsn (14); ")
	}
	t.Chdir(dir)
	for _, dsn := range []string{"missing.db", "./missing.db", "file:missing.db"} {
		says(t, refused(t, t.Context(), w.query(t, withDSN(dsn))), "unable to open database file "+missing+" (14); ")
	}
	says(t, refused(t, t.Context(), w.query(t, withDSN("./mis\nsing.db"))), "unable to open database file "+dir+"/mis sing.db")
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Errorf("the missing file: %v", err)
	}
	says(t, refused(t, t.Context(), w.query(t, withDSN(other))), "not a database", "the dsn must name a database")
}

// movedFile: another file may take a database's place, as when a backup is put back, or none.
func movedFile(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		dir := t.TempDir()
		path, other := filepath.Join(dir, "inbox.db"), filepath.Join(dir, "other.db")
		for file, id := range map[string]string{path: "evt_old", other: "evt_new"} {
			w := &world{driver: query.SQLite, admin: open(t, "sqlite", "file:"+file), insert: "INSERT INTO inbox (event_id) VALUES (?)"}
			w.exec(t, "PRAGMA journal_mode = "+mode)
			w.follow(t, "SQLite")
			w.has(t, id)
		}
		w := &world{driver: query.SQLite, dsn: path, ids: recipe(t, "SQLite")[1]}
		q := w.query(t, nil)
		want(t, q, []string{"evt_old", "evt_new"}, "evt_old")
		if err := os.Rename(other, path); err != nil {
			t.Fatal(err)
		}
		want(t, q, []string{"evt_old", "evt_new"}, "evt_new")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		says(t, refused(t, t.Context(), q), "unable to open database file", "does the file exist")
	}
}
