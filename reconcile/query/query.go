// Package query asks the receiver's own database which events it has. It owns
// the connections, the read-only transaction that every question runs in, and
// the words for what a database refuses. It never writes, never creates a file,
// and never lets a password out.
package query

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"

	"backstop/internal/heygen"
)

// The databases that can be asked.
const (
	Postgres = "postgres"
	MySQL    = "mysql" // and MariaDB
	SQLite   = "sqlite"
)

const (
	defaultTimeout = 5 * time.Second

	// grace is how much longer than the database itself we wait, so that a slow
	// statement is ended where it runs and nothing is left behind there.
	grace = time.Second

	// connections is how many are open at once: one for the daemon's pass, one
	// for a person who looks meanwhile.
	connections = 2

	// idle and lifetime are short, so that a server that took over from another,
	// and a DSN that changed, are found soon. A new connection costs little
	// beside a pass.
	idle     = 30 * time.Second
	lifetime = time.Minute
)

// Options say which database is asked, and how.
type Options struct {
	Driver string // Postgres, MySQL or SQLite

	// DSN gives where the database is and who asks: a URL or key=value words for
	// PostgreSQL, user:password@tcp(host:3306)/database for MySQL and MariaDB, a
	// path or a file: URI for SQLite. It is called for every new connection.
	DSN func() (string, error)

	// SQL is the question, one statement with one parameter: the ids as a text
	// array for PostgreSQL ($1), as a JSON array for the others (?). Its rows
	// have one column, the event ids that the database has.
	SQL string

	// Content is for tables without event ids: the parameter is the entities
	// then, and rows have two columns, event type and entity.
	Content bool

	Timeout time.Duration // of the statement; 0: 5 s. After one more second it is given up, connecting included
}

// Query is a database that is asked. It may be used by several goroutines.
type Query struct {
	db      *sql.DB
	dialect dialect
	driver  string
	sql     string
	content bool
	timeout time.Duration

	matched  atomic.Bool  // something that was asked for came back, in this process
	stranger atomic.Int64 // how many rows came back that were not
}

// New checks the options and connects to nothing: the first question does.
func New(o Options) (*Query, error) {
	if err := Check(o.Driver, o.SQL); err != nil {
		return nil, err
	}
	q := &Query{driver: o.Driver, sql: o.SQL, content: o.Content, timeout: o.Timeout}
	if q.timeout <= 0 {
		q.timeout = defaultTimeout
	}
	q.dialect = dialectOf(o.Driver)
	q.db = sql.OpenDB(&connector{dialect: q.dialect, dsn: o.DSN, timeout: q.timeout + grace})
	q.db.SetMaxOpenConns(connections)
	q.db.SetMaxIdleConns(q.dialect.idle())
	q.db.SetConnMaxIdleTime(idle)
	q.db.SetConnMaxLifetime(lifetime)
	return q, nil
}

// Close closes the connections; a question that is being asked fails.
func (q *Query) Close() error { return q.db.Close() }

// Have gives the ids of those events that the database has. With no events it
// asks all the same, with an empty list: so a query can be tried. An error means that
// nothing is known of any of them; it is one line for people and holds no
// password. When ctx is canceled it returns at once, with an error that wraps
// ctx's.
func (q *Query) Have(ctx context.Context, events []heygen.Event) (map[string]bool, error) {
	a := newAnswer(events, q.content)
	bounded, cancel := context.WithTimeout(ctx, q.timeout+grace)
	defer cancel()
	if err := q.ask(bounded, a); err != nil {
		return nil, q.explain(ctx, err)
	}
	q.stranger.Add(a.strange)
	if len(a.had) > 0 {
		q.matched.Store(true)
	}
	return a.had, nil
}

// Notice is what a person should know although nothing failed; "" when there is
// nothing to say. It counts over the life of the process, and may be called at
// any time.
func (q *Query) Notice() string {
	n := q.stranger.Load()
	if n == 0 || q.matched.Load() {
		return ""
	}
	what, remedy := "id", ""
	if q.content {
		what, remedy = "row", ": event_type as HeyGen writes it first, entity second"
	}
	if n > 1 {
		what += "s"
	}
	return fmt.Sprintf("it answered with %d %s that it was not asked for, and with none that it was: check what it selects%s", n, what, remedy)
}

// ask runs the statement and reads its rows. The transaction is always rolled
// back: there is nothing to keep, and whatever the statement did is undone.
func (q *Query) ask(ctx context.Context, a *answer) error {
	tx, err := q.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := q.dialect.bind(ctx, tx, q.timeout); err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, q.sql, q.dialect.param(a.asked))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	return a.read(rows)
}
