package query_test

import (
	"net/url"
	"strings"
	"testing"

	"backstop/internal/testserver"
	"backstop/reconcile/query"
)

func TestPostgres(t *testing.T) {
	s := testserver.Postgres(t)
	w := &world{
		driver: query.Postgres, server: s, admin: open(t, "pgx", s.DSN), dsn: postgresDSN(s, "change me"),
		insert:  "INSERT INTO inbox (event_id) VALUES ($1)",
		slow:    "SELECT pg_sleep(60)::text WHERE 'x' <> ALL($1)",
		limit:   "statement timeout",
		running: "SELECT count(*) FROM pg_stat_activity WHERE usename = 'backstop' AND state <> 'idle'",
		writes: []string{
			"INSERT INTO inbox (event_id) SELECT unnest($1::text[]) || 'x' RETURNING event_id",
			"UPDATE inbox SET received_at = now() WHERE event_id <> ALL($1)",
			"DELETE FROM inbox WHERE event_id <> ALL($1)",
			"WITH gone AS (DELETE FROM inbox RETURNING event_id) SELECT event_id FROM gone WHERE event_id <> ALL($1)",
			"SELECT clear() WHERE 'x' <> ALL($1)",
			"SELECT nextval('numbers')::text WHERE 'x' <> ALL($1)",
		},
	}
	w.follow(t, "PostgreSQL")
	w.exec(t, "CREATE FUNCTION clear() RETURNS text LANGUAGE sql AS 'DELETE FROM inbox RETURNING event_id'")
	w.exec(t, "CREATE SEQUENCE numbers")
	w.exec(t, "GRANT ALL ON inbox, videos, numbers TO backstop") // so that it is the transaction that refuses
	every(t, w)
	t.Run("types", func(t *testing.T) { postgresTypes(t, w) })
	t.Run("together", func(t *testing.T) { together(t, w) })
	t.Run("refusals", func(t *testing.T) { postgresRefusals(t, w) })
	t.Run("pooler", func(t *testing.T) { pooler(t, w) })
	t.Run("restart", func(t *testing.T) { restart(t, w) })
	t.Run("rotate", func(t *testing.T) {
		rotate(t, w, func(password string) { w.exec(t, "ALTER ROLE backstop PASSWORD '"+password+"'") },
			func(password string) string { return postgresDSN(s, password) })
	})
}

func postgresDSN(s *testserver.Server, password string) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword("backstop", password), Host: s.Addr, Path: "/postgres"}).String()
}

// pooler: behind one that gives every transaction another session, all of it
// holds as before.
func pooler(t *testing.T, w *world) {
	s := testserver.PgBouncer(t, w.server, "backstop", "change me")
	behind := *w
	behind.dsn = postgresDSN(s, "change me")
	q := behind.query(t, nil)
	for range 10 {
		want(t, q, []string{"evt_0001", "evt_none"}, "evt_0001")
	}
	together(t, &behind)
	slow(t, &behind)
	cancelled(t, &behind)
	says(t, refused(t, t.Context(), behind.query(t, asking(w.writes[0]))), "read-only transaction")
}

// postgresTypes: ids may be kept in columns of other types.
func postgresTypes(t *testing.T, w *world) {
	w.exec(t, "CREATE TABLE typed (short varchar(64), filled char(64), uid uuid, number bigint)")
	w.exec(t, "GRANT SELECT ON typed TO backstop")
	const uid = "0190c2a4-8a51-7c3e-9d5e-1f2a3b4c5d6e"
	w.exec(t, "INSERT INTO typed VALUES ('evt_v', 'evt_c', '"+uid+"', 42), (NULL, NULL, NULL, NULL)")
	from := func(what string) *query.Query { return w.query(t, asking("SELECT "+what)) }
	want(t, from("short FROM typed WHERE short = ANY($1)"), []string{"evt_v", "evt_c"}, "evt_v")
	want(t, from("filled FROM typed WHERE filled = ANY($1)"), []string{"evt_v", "evt_c"}, "evt_c")
	want(t, from("uid FROM typed WHERE uid = ANY($1::uuid[])"), []string{uid}, uid)
	want(t, from("uid FROM typed WHERE uid = ANY($1)"), []string{uid}, uid)
	want(t, from("number FROM typed WHERE number::text = ANY($1)"), []string{"42", "43"}, "42")
	want(t, from("pg_typeof($1::text[])::text || short FROM typed"), []string{"text[]evt_v", "x"}, "text[]evt_v")
	want(t, from("asked FROM unnest($1::text[]) AS asked"), []string{"a", "{b}"}, "a", "{b}")
	says(t, refused(t, t.Context(), from("uid FROM typed WHERE uid = ANY($1::uuid[])")), "uuid", "; ids are text")
	says(t, refused(t, t.Context(), from("uid FROM typed WHERE uid = ANY($1::text[])")), "operator does not exist", "$1::uuid[]")
	says(t, refused(t, t.Context(), from("pg_typeof($1)::text WHERE 'x' = ANY($1)")), "could not determine data type", "$1::text[]")
}

func postgresRefusals(t *testing.T, w *world) {
	w.exec(t, "CREATE TABLE hidden (event_id text)")
	hidden := w.query(t, asking("SELECT event_id FROM hidden WHERE event_id = ANY($1)"))
	says(t, refused(t, t.Context(), hidden), "permission denied for table hidden", "grant select")
	for name, tt := range map[string]struct{ dsn, says string }{
		"password":        {postgresDSN(w.server, "hunter2"), "password authentication failed"},
		"database":        {strings.Replace(w.dsn, "/postgres", "/elsewhere", 1), `"elsewhere" does not exist`},
		"no server":       {"postgres://backstop:hunter2@127.0.0.1:1/app", "127.0.0.1:1: connect: connection refused"},
		"no host":         {"postgres://backstop:hunter2@nowhere.invalid/app", "lookup nowhere.invalid"},
		"words":           {"host=127.0.0.1 port=1 user=backstop password=hunter2", "connection refused"},
		"no url":          {"postgres://backstop:hunter2@[:x/app", "cannot be read"},
		"other slash":     {"postgres://backstop:hunter2/x@127.0.0.1/app", "cannot be read"},
		"number slash":    {"postgres://backstop:123/hunter2@127.0.0.1/app", "cannot be read"},
		"at in password":  {"postgres://backstop:x@hunter2@127.0.0.1/app", "cannot be read"},
		"broken escape":   {"postgres://backstop:hunter2%zz@127.0.0.1/app", "cannot be read"},
		"query":           {"postgres://127.0.0.1:1/app?user=backstop&password=hunter2", "connection refused"},
		"unknown setting": {"postgres://backstop:change%20me@" + w.server.Addr + "/postgres?hunter=2", "unrecognized configuration parameter"},
	} {
		t.Run(name, func(t *testing.T) {
			q := w.query(t, func(o *query.Options) { o.DSN = func() (string, error) { return tt.dsn, nil } })
			says(t, refused(t, t.Context(), q), tt.says)
		})
	}
}
