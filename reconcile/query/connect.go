package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// dialect is what differs between the databases.
type dialect interface {
	// open reads a DSN. The password is given apart, so that it can be kept out
	// of messages; an error holds nothing of the DSN.
	open(dsn string) (c driver.Connector, password string, err error)
	// idle is how many connections stay open between questions.
	idle() int
	// bind limits what the transaction may do and for how long.
	bind(ctx context.Context, tx *sql.Tx, timeout time.Duration) error
	// param is the one parameter of a question.
	param(asked []string) any
	// explain tells what the database said, and what to do where that is known.
	// ok is false for an error that is not the database's.
	explain(err error) (said, remedy string, ok bool)
}

func dialectOf(name string) dialect {
	switch name {
	case Postgres:
		return postgres{}
	case MySQL:
		return mySQL{}
	}
	return sqLite{}
}

// connector opens connections with the DSN as it is at that moment: it may come
// from a file, and its password be another one by now.
type connector struct {
	dialect dialect
	dsn     func() (string, error)
	timeout time.Duration // database/sql connects for those who wait without any limit of its own
}

// Connect implements [driver.Connector].
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	dsn, err := c.dsn()
	if err != nil {
		return nil, &failure{said: err.Error()}
	}
	if dsn == "" {
		return nil, &failure{said: "the dsn is empty", remedy: "write where the database is"}
	}
	opener, password, err := c.dialect.open(dsn)
	if err != nil {
		return nil, err
	}
	conn, err := opener.Connect(ctx)
	if err != nil {
		return nil, failed(ctx, c.dialect, err, password, dsn)
	}
	return conn, nil
}

// Driver implements [driver.Connector]; only [sql.DB.Driver] asks for it.
func (c *connector) Driver() driver.Driver { return unnamed{} }

type unnamed struct{}

func (unnamed) Open(string) (driver.Conn, error) {
	return nil, errors.New("connections are opened by the connector")
}

// array writes strings as a JSON array, as JSON_TABLE and json_each read it.
func array(asked []string) string {
	b := []byte{'['}
	for i, s := range asked {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, s) // its error is of text that is not askable
	}
	return string(append(b, ']'))
}
