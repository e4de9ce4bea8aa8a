package query_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"backstop/internal/heygen"
	"backstop/internal/testserver"
	"backstop/reconcile/query"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv(writerOf); dsn != "" {
		if err := write(dsn); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// world is a database of a receiver, and what is the same in all of them
// written in its words.
type world struct {
	driver  string
	admin   *sql.DB
	dsn     string             // of the user that asks
	server  *testserver.Server // nil: it is a file
	ids     string             // the recipe's query, by id
	content string             // and by content
	insert  string             // of one id
	slow    string             // takes a minute unless somebody ends it
	limit   string             // what is said when the database ends it
	running string             // counts the slow statements that still run; "": they run in this process
	writes  []string           // what may not be done
}

// section is what stands under a heading of the page of recipes.
func section(t *testing.T, heading string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/recipes.md has no part %s", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// recipe gives the blocks of SQL in it.
func recipe(t *testing.T, heading string) []string {
	t.Helper()
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```sql\n(.*?)\n```").FindAllStringSubmatch(section(t, heading), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// follow does what the recipe says, with the database's administrator, and
// keeps its two queries.
func (w *world) follow(t *testing.T, heading string) {
	t.Helper()
	for _, block := range recipe(t, heading) {
		switch {
		case !strings.HasPrefix(block, "SELECT"):
			for statement := range strings.SplitSeq(block, ";\n") {
				w.exec(t, strings.TrimSuffix(statement, ";"))
			}
		case w.ids == "":
			w.ids = block
		default:
			w.content = block
		}
	}
	if n := strings.Count(plain(section(t, heading)), plain(w.ids)); n != 2 {
		t.Errorf("the query under %s stands %d times, not once by itself and once in the configuration", heading, n)
	}
}

func plain(text string) string { return strings.Join(strings.Fields(text), " ") }

func (w *world) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := w.admin.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func (w *world) has(t *testing.T, ids ...string) {
	t.Helper()
	tx, err := w.admin.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := tx.ExecContext(t.Context(), w.insert, id); err != nil {
			t.Fatalf("%q: %v", id, err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func (w *world) count(t *testing.T, statement string) (n int) {
	t.Helper()
	if err := w.admin.QueryRowContext(t.Context(), statement).Scan(&n); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return n
}

// query asks with the recipe's query unless change says otherwise.
func (w *world) query(t *testing.T, change func(*query.Options)) *query.Query {
	t.Helper()
	o := query.Options{Driver: w.driver, SQL: w.ids, DSN: func() (string, error) { return w.dsn, nil }, Timeout: time.Minute}
	if change != nil {
		change(&o)
	}
	q, err := query.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func asking(statement string) func(*query.Options) {
	return func(o *query.Options) { o.SQL = statement }
}

func open(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxIdleConns(0) // each statement connects, so that a server may be restarted between two
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func events(ids ...string) []heygen.Event {
	var all []heygen.Event
	for _, id := range ids {
		all = append(all, heygen.Event{ID: id, Type: "avatar_video.success", Data: []byte(`{}`)})
	}
	return all
}

// want asks for ids, and fails unless exactly those of had come back.
func want(t *testing.T, q *query.Query, ids []string, had ...string) {
	t.Helper()
	wantEvents(t, q, events(ids...), had...)
}

func wantEvents(t *testing.T, q *query.Query, asked []heygen.Event, had ...string) {
	t.Helper()
	got, err := q.Have(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(had)
	if ids := slices.Sorted(maps.Keys(got)); !slices.Equal(ids, had) {
		t.Errorf("of %d it has %.300q, want %.300q", len(asked), ids, had)
	}
}

// refused asks for one id and gives the error, which must be one line without a
// secret.
func refused(t *testing.T, ctx context.Context, q *query.Query) string {
	t.Helper()
	got, err := q.Have(ctx, events("evt_1"))
	if err == nil {
		t.Fatalf("it answered %v", got)
	}
	if got != nil {
		t.Errorf("an error came with %v", got)
	}
	said := err.Error()
	t.Log(said)
	for _, secret := range []string{testserver.Password, "open%20sesame", "sesame", "change me", "change%20me", "hunter2"} {
		if strings.Contains(said, secret) {
			t.Errorf("a password is in %q", said)
		}
	}
	if strings.ContainsAny(said, "\n\r\t") {
		t.Errorf("more than one line: %q", said)
	}
	return said
}

func says(t *testing.T, said string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(said, part) {
			t.Errorf("%q does not say %q", said, part)
		}
	}
}

// eventually waits for a condition, with no measure of time but the test's own.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	for !met() {
		select {
		case <-t.Context().Done():
			t.Fatalf("never: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("evt_%04d", i)
	}
	return ids
}
