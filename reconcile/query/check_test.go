package query

import (
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	tests := []struct{ driver, sql, says string }{
		{Postgres, "SELECT event_id FROM inbox WHERE event_id = ANY($1)", ""},
		{Postgres, "SELECT event_id FROM inbox WHERE event_id = ANY($1::uuid[]) AND old = '$2' -- $3\n AND x ? 'y' AND e LIKE '\\'", ""},
		{Postgres, "SELECT a FROM b WHERE a = ANY($1) OR c = ANY($1)", ""},
		{Postgres, "SELECT a FROM b WHERE a = any ( $1 :: uuid [] )", ""},
		{Postgres, "SELECT a FROM b WHERE a = ANY (($1))", ""},
		{Postgres, "SELECT a FROM b WHERE a = SOME/* of */($1)", ""},
		{Postgres, "SELECT a FROM b WHERE NOT a <> ALL\n($1)", ""},
		{Postgres, "SELECT a FROM unnest($1::text[]) AS a", ""},
		{Postgres, "SELECT a FROM b JOIN unnest(CAST ($1 AS character varying(64)[])) AS c USING (a)", ""},
		{Postgres, "SELECT a FROM b WHERE ARRAY[a] <@ ($1)::varchar(64)[]", ""},
		{Postgres, "SELECT a FROM b WHERE ARRAY[a] <@ $1::public.ids[]", ""},
		{Postgres, "SELECT a FROM b WHERE ARRAY[a] <@ $1::text ARRAY", ""},
		{Postgres, "SELECT event_id FROM inbox WHERE event_id = $1", "takes $1 for one id, but $1 is an array; compare with = ANY($1)"},
		{Postgres, "SELECT event_id FROM inbox WHERE event_id IN ($1)", "$1 is an array"},
		{Postgres, "SELECT event_id FROM inbox WHERE event_id = $1::text", "$1 is an array"},
		{Postgres, "SELECT event_id FROM inbox WHERE event_id = CAST($1 AS text)", "$1 is an array"},
		{Postgres, "SELECT tags[1] FROM inbox WHERE event_id = $1::text AND tags[2] = ANY(tags)", "$1 is an array"},
		{Postgres, "SELECT event_id FROM inbox WHERE event_id = many($1)", "$1 is an array"},
		{Postgres, "SELECT event_id FROM inbox WHERE event_id = $1 -- ANY($1)", "$1 is an array"},
		{Postgres, "SELECT event_id FROM inbox", "has no $1"},
		{Postgres, "SELECT event_id FROM inbox WHERE e = '$1' /* $1 */ AND \"$1\"", "has no $1"},
		{Postgres, "SELECT event_id FROM inbox WHERE e = ANY(?)", "has no $1"},
		{Postgres, "SELECT event_id FROM inbox WHERE e = ANY($1) LIMIT $2", "has $2"},
		{Postgres, "SELECT event_id FROM inbox WHERE e = ANY($10)", "has $10"},
		{MySQL, example(MySQL), ""},
		{MySQL, "SELECT e FROM i WHERE a = 'it\\'s ?' AND b = \"?\" AND `?` # ?\n AND c MEMBER  OF (?) -- ?", ""},
		{MySQL, "SELECT e FROM i", "0 question marks"},
		{MySQL, "SELECT e FROM i WHERE a = ? AND b = ?", "2 question marks"},
		{MySQL, "SELECT e FROM i WHERE a = '?'", "0 question marks"},
		{SQLite, example(SQLite), ""},
		{MySQL, "SELECT e FROM i WHERE json_contains (?, JSON_QUOTE(e))", ""},
		{MySQL, "SELECT e FROM i WHERE e = ?", "takes ? for one id, but ? is a JSON array; write SELECT i.event_id"},
		{MySQL, "SELECT e FROM i WHERE e IN (?)", "? is a JSON array"},
		{MySQL, "SELECT e FROM i WHERE e = ? AND 'JSON_TABLE(' <> '' # JSON_TABLE(", "? is a JSON array"},
		{SQLite, "SELECT e FROM i, JSON_EACH ( ? ) WHERE a LIKE value ESCAPE '\\'", ""},
		{SQLite, "SELECT e FROM i WHERE a = 'it''s' AND b IN (SELECT value FROM json_each(?1))", ""},
		{SQLite, "SELECT e FROM i WHERE e IN (?)", "takes ? for one id, but ? is a JSON array; write SELECT event_id"},
		{SQLite, "SELECT e FROM i WHERE json_extract(e, '$.id') = ?", "? is a JSON array"},
		{SQLite, "SELECT e FROM i WHERE a = $1", "0 question marks"},
		{SQLite, " \n", "sql is empty"},
		{"oracle", "SELECT ?", `driver "oracle" is not known; write postgres, mysql or sqlite`},
		{"", "SELECT ?", "is not known"},
	}
	for _, tt := range tests {
		err := Check(tt.driver, tt.sql)
		switch {
		case tt.says == "" && err != nil:
			t.Errorf("%s: %s: %v", tt.driver, tt.sql, err)
		case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%s: %s: %v, want %q", tt.driver, tt.sql, err, tt.says)
		}
		q, err := New(Options{Driver: tt.driver, SQL: tt.sql})
		if (err == nil) != (tt.says == "") {
			t.Errorf("New of %s %s: %v", tt.driver, tt.sql, err)
		}
		if q != nil {
			_ = q.Close()
		}
	}
}

// The servers name their limit, and its unit, differently.
func TestLimit(t *testing.T) {
	tests := []struct {
		version string
		timeout time.Duration
		want    string
	}{
		{"10.11.19-MariaDB-0+deb12u1", 5 * time.Second, "SET SESSION max_statement_time = 5.000"},
		{"5.5.5-10.6.1-mariadb-log", 1234567 * time.Microsecond, "SET SESSION max_statement_time = 1.234"},
		{"10.11.19-MariaDB", time.Microsecond, "SET SESSION max_statement_time = 0.001"},
		{"8.0.36", 5 * time.Second, "SET SESSION max_execution_time = 5000"},
		{"8.0.11-TiDB-v7.5.0", time.Microsecond, "SET SESSION max_execution_time = 1"},
	}
	for _, tt := range tests {
		if got := limit(tt.version, tt.timeout); got != tt.want {
			t.Errorf("limit(%q, %s) = %q, want %q", tt.version, tt.timeout, got, tt.want)
		}
	}
}

func TestReadOnlyURI(t *testing.T) {
	for dsn, want := range map[string]string{
		"inbox.db":                        "file:inbox.db?mode=ro",
		"/var/lib/a b?#%.db":              "file:/var/lib/a%20b%3F%23%25.db?mode=ro",
		"//server/inbox.db":               "file:/server/inbox.db?mode=ro",
		"file:inbox.db":                   "file:inbox.db?mode=ro",
		"file:/a.db?mode=rwc&immutable=1": "file:/a.db?immutable=1&mode=ro",
		"file:/a.db?_pragma=x(1)&vfs=a+b": "file:/a.db?mode=ro&vfs=a%20b",
		"file:/a.db?%zz":                  "file:/a.db?mode=ro",
	} {
		if got := readOnly(dsn); got != want {
			t.Errorf("readOnly(%q) = %q, want %q", dsn, got, want)
		}
	}
}

// What SQLite calls read only is not always the query's doing.
func TestSQLiteRemedy(t *testing.T) {
	for code, want := range map[int]string{8: "may only read", 264: "died", 776: "died", 520: "folder", 1544: "folder", 14: "does the file exist", 270: "does the file exist", 5: "WAL", 26: "must name", 1: "correct sql"} {
		if got := sqliteRemedy(code); !strings.Contains(got, want) {
			t.Errorf("%d: %q, want %q", code, got, want)
		}
	}
	if got := sqliteRemedy(13); got != "" {
		t.Errorf("a full disk: %q", got)
	}
}
