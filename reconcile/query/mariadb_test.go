package query_test

import (
	"database/sql"
	"testing"

	"backstop/internal/testserver"
	"backstop/reconcile/query"
)

func TestMariaDB(t *testing.T) {
	s := testserver.MariaDB(t)
	w := &world{
		driver: query.MySQL, server: s, admin: open(t, "mysql", s.DSN), dsn: mariaDSN(s, "change me"),
		insert:  "INSERT INTO inbox (event_id) VALUES (?)",
		slow:    "SELECT SLEEP(60) FROM DUAL WHERE NOT JSON_CONTAINS(?, '\"x\"')",
		limit:   "max_statement_time",
		running: "SELECT count(*) FROM information_schema.processlist WHERE user = 'backstop' AND command <> 'Sleep'",
		writes: []string{
			"INSERT INTO inbox (event_id) SELECT left(id, 9) FROM JSON_TABLE(?, '$[*]' COLUMNS (id TEXT PATH '$')) AS asked",
			"UPDATE inbox SET received_at = now() WHERE NOT JSON_CONTAINS(?, JSON_QUOTE(event_id))",
			"DELETE FROM inbox WHERE NOT JSON_CONTAINS(?, JSON_QUOTE(event_id))",
			"DELETE FROM inbox WHERE NOT JSON_CONTAINS(?, JSON_QUOTE(event_id)) RETURNING event_id",
			"SELECT clear(?) FROM DUAL WHERE NOT JSON_CONTAINS('[]', '1')",
		},
	}
	w.follow(t, "MariaDB and MySQL")
	w.exec(t, "CREATE FUNCTION clear(x TEXT) RETURNS INT BEGIN DELETE FROM inbox; RETURN 1; END")
	w.exec(t, "GRANT ALL ON test.* TO backstop@'%'") // so that it is the transaction that refuses
	every(t, w)
	t.Run("types", func(t *testing.T) { mariaTypes(t, w) })
	t.Run("index", func(t *testing.T) { mariaIndex(t, w) })
	t.Run("slow select", func(t *testing.T) { mariaSlow(t, w) })
	t.Run("together", func(t *testing.T) { together(t, w) })
	t.Run("refusals", func(t *testing.T) { mariaRefusals(t, w) })
	t.Run("restart", func(t *testing.T) { restart(t, w) })
	t.Run("rotate", func(t *testing.T) {
		rotate(t, w, func(password string) { w.exec(t, "ALTER USER backstop@'%' IDENTIFIED BY '"+password+"'") },
			func(password string) string { return mariaDSN(s, password) })
	})
}

func mariaDSN(s *testserver.Server, password string) string {
	return "backstop:" + password + "@tcp(" + s.Addr + ")/test"
}

// mariaTypes: a table may have another collation than the recipe's, and the DSN
// may ask for parameters inside the statement.
func mariaTypes(t *testing.T, w *world) {
	const ask = "SELECT c.event_id FROM collated c JOIN JSON_TABLE(?, '$[*]' COLUMNS (id VARCHAR(512) PATH '$')) AS asked ON asked.id = c.event_id"
	w.exec(t, "CREATE TABLE collated (event_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci)")
	w.exec(t, "INSERT INTO collated VALUES ('evt_A'), ('evt_b'), (NULL)")
	for _, dsn := range []string{w.dsn, w.dsn + "?interpolateParams=true", w.dsn + "?multiStatements=true&allowAllFiles=true"} {
		q := w.query(t, func(o *query.Options) { o.SQL, o.DSN = ask, func() (string, error) { return dsn, nil } })
		want(t, q, []string{"evt_a", "evt_A", `\"`}, "evt_A")
		two := w.query(t, func(o *query.Options) {
			o.SQL, o.DSN = ask+"; DELETE FROM collated", func() (string, error) { return dsn, nil }
		})
		says(t, refused(t, t.Context(), two), "syntax")
	}
	w.exec(t, "CREATE TABLE filled (event_id CHAR(32))")
	w.exec(t, "INSERT INTO filled VALUES ('evt_c')")
	want(t, w.query(t, asking("SELECT event_id FROM filled WHERE JSON_CONTAINS(?, JSON_QUOTE(event_id))")), []string{"evt_c", "evt_d"}, "evt_c")
	want(t, w.query(t, asking("SELECT RPAD(event_id, 32, ' ') FROM filled WHERE JSON_CONTAINS(?, JSON_QUOTE(event_id))")), []string{"evt_c", "evt_d"}, "evt_c")
	w.exec(t, "ALTER TABLE collated MODIFY event_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
	mixed := "SELECT c.event_id FROM collated c JOIN JSON_TABLE(?, '$[*]' COLUMNS (id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PATH '$')) AS asked ON asked.id = c.event_id"
	says(t, refused(t, t.Context(), w.query(t, asking(mixed))), "Illegal mix of collations", "; give the column of JSON_TABLE")
}

// mariaIndex: the recipes look ids up, and never read a whole table.
func mariaIndex(t *testing.T, w *world) {
	w.exec(t, "INSERT INTO inbox (event_id) SELECT concat('evt_fill_', seq) FROM seq_1_to_5000")
	w.exec(t, "INSERT INTO videos (video_id, last_event) SELECT concat('vid_fill_', seq), 'avatar_video.success' FROM seq_1_to_5000")
	for statement, table := range map[string]string{w.ids: "i", w.content: "v"} {
		var id, kind, name, access, possible, key, length, ref, rows, extra sql.NullString
		plan, err := w.admin.QueryContext(t.Context(), "EXPLAIN "+statement, `["a","b"]`)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = plan.Close() }()
		for plan.Next() {
			if err := plan.Scan(&id, &kind, &name, &access, &possible, &key, &length, &ref, &rows, &extra); err != nil {
				t.Fatal(err)
			}
			if name.String == table && key.String != "PRIMARY" || access.String == "index" {
				t.Errorf("%s is read by %s with key %q: %s", table, access.String, key.String, statement)
			}
		}
		if err := plan.Err(); err != nil {
			t.Error(err)
		}
	}
}

// mariaSlow: a statement that works, not one that sleeps.
func mariaSlow(t *testing.T, w *world) {
	sleeping := w.slow
	defer func() { w.slow = sleeping }()
	w.slow = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 4000) SELECT count(*) FROM n a, n b, n c WHERE a.i + b.i + c.i > JSON_CONTAINS(?, 1)"
	slow(t, w)
}

func mariaRefusals(t *testing.T, w *world) {
	w.exec(t, "CREATE DATABASE hidden")
	w.exec(t, "CREATE TABLE hidden.inbox (event_id TEXT)")
	hidden := w.query(t, asking("SELECT event_id FROM hidden.inbox WHERE JSON_CONTAINS(?, JSON_QUOTE(event_id))"))
	says(t, refused(t, t.Context(), hidden), "SELECT command denied", "grant select")
	for name, tt := range map[string]struct{ dsn, says string }{
		"password":      {mariaDSN(w.server, "hunter2"), "Access denied for user 'backstop'"},
		"database":      {"admin:" + testserver.Password + "@tcp(" + w.server.Addr + ")/elsewhere", "Unknown database 'elsewhere'"},
		"no server":     {"backstop:hunter2@tcp(127.0.0.1:1)/app", "127.0.0.1:1: connect: connection refused"},
		"no host":       {"backstop:hunter2@tcp(nowhere.invalid)/app", "lookup nowhere.invalid"},
		"no slash":      {"backstop:hunter2@tcp(127.0.0.1)", "cannot be read"},
		"a url":         {"mysql://backstop:hunter2@127.0.0.1/app", "cannot be read"},
		"other network": {"backstop:hunter2@127.0.0.1:3306/app", "cannot be read"},
		"bad setting":   {"backstop:hunter2@tcp(127.0.0.1)/app?tls=hunter2", "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			q := w.query(t, func(o *query.Options) { o.DSN = func() (string, error) { return tt.dsn, nil } })
			says(t, refused(t, t.Context(), q), tt.says)
		})
	}
}
