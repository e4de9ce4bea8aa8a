package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"

	"backstop/internal/heygen"
)

type sqLite struct{}

func (sqLite) open(dsn string) (driver.Connector, string, error) {
	c, err := sqlite.NewConnector(readOnly(dsn))
	if err != nil {
		return nil, "", &failure{said: "the dsn cannot be read", remedy: "write the path of the database file"}
	}
	return &databaseFile{Connector: c, path: pathOf(dsn)}, "", nil
}

// databaseFile names the file where it can't be opened: a path is no secret.
type databaseFile struct {
	driver.Connector
	path string
}

// Connect implements [driver.Connector].
func (f *databaseFile) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := f.Connector.Connect(ctx)
	var refused *sqlite.Error
	if errors.As(err, &refused) && refused.Code()&0xff == cantOpen && ctx.Err() == nil {
		return nil, &failure{said: fmt.Sprintf("unable to open database file %s (%d)", f.path, refused.Code()), remedy: sqliteRemedy(refused.Code())}
	}
	return conn, err
}

// pathOf is the file of a dsn, for people: of a URI what stands before its query, of
// a relative path where it leads to. What may be the dsn of another database, with a
// password, is not told.
func pathOf(dsn string) string {
	path, isURI := strings.CutPrefix(dsn, "file:")
	if isURI {
		path, _, _ = strings.Cut(path, "?")
		path, _, _ = strings.Cut(path, "#")
	}
	if strings.ContainsAny(path, "@=") {
		return "of the dsn"
	}
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	return heygen.Clean(path)
}

// readOnly is the URI of a database that exists and is not written to. Of a URI
// SQLite's own parameters are kept; the driver's, which begin with _, could run
// statements.
func readOnly(dsn string) string {
	name, query, isURI := dsn, "", strings.HasPrefix(dsn, "file:")
	if isURI {
		name, query, _ = strings.Cut(dsn, "?")
	} else {
		name = "file:" + (&url.URL{Path: filepath.Clean(dsn)}).EscapedPath()
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		values = url.Values{}
	}
	for key := range values {
		if strings.HasPrefix(key, "_") {
			values.Del(key)
		}
	}
	values.Set("mode", "ro")
	return name + "?" + strings.ReplaceAll(values.Encode(), "+", "%20")
}

// idle is 0, so that each question opens the file that is there now: a connection
// holds on to the one that it opened, also when that was removed or replaced.
func (sqLite) idle() int { return 0 }

// bind also waits for a writer that keeps readers out, but never longer than for
// a slow statement. That one is ended by the context: it runs in this process.
func (sqLite) bind(ctx context.Context, tx *sql.Tx, timeout time.Duration) error {
	for _, pragma := range []string{
		fmt.Sprintf("PRAGMA busy_timeout = %d", max(timeout.Milliseconds(), 1)),
		"PRAGMA query_only = 1",
	} {
		if _, err := tx.ExecContext(ctx, pragma); err != nil {
			return err
		}
	}
	return nil
}

func (sqLite) param(asked []string) any { return array(asked) }

func (sqLite) explain(err error) (said, remedy string, ok bool) {
	var refused *sqlite.Error
	if !errors.As(err, &refused) {
		return "", "", false
	}
	return refused.Error(), sqliteRemedy(refused.Code()), true
}

const cantOpen = 14

// Of the codes for what cannot be written, those that mean no fault of the
// query's.
const (
	readOnlyRollback  = 776  // a transaction was cut off, and undoing it would be a write
	readOnlyRecovery  = 264  // the same in WAL mode
	readOnlyCantLock  = 520  // WAL mode, and the -shm file may not be written
	readOnlyDirectory = 1544 // WAL mode, and there is no -shm file, nor may one be made
)

// sqliteRemedy knows the result codes of sqlite.org/rescode.html.
func sqliteRemedy(code int) string {
	switch code {
	case readOnlyRollback, readOnlyRecovery:
		return "what writes to it died; start that again: it puts the database in order"
	case readOnlyCantLock, readOnlyDirectory:
		return "nobody has this database in WAL mode open, and then reading it needs a -shm file; let this user write to its folder"
	}
	switch code & 0xff {
	case 1:
		return "correct sql"
	case 5, 6:
		return "a writer keeps readers out; let it use WAL mode, or raise timeout"
	case 8, 23:
		return "the query may only read"
	case cantOpen:
		return "does the file exist, and may this user read it?"
	case 10:
		return "does the dsn name a file, and is its disk in order?"
	case 26:
		return "the dsn must name a database of SQLite"
	}
	return ""
}
