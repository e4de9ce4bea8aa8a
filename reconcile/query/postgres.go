package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

type postgres struct{}

// open asks without named prepared statements and without settings at the start
// of a session: behind a pooler the next question may meet another session.
func (postgres) open(dsn string) (driver.Connector, string, error) {
	config, err := pgx.ParseConfig(dsn)
	// An @ or / that is not escaped in a password moves what follows it to the
	// host or the database, and those stand in messages.
	if err != nil || strings.Contains(config.Host+config.Database, "@") {
		return nil, "", &failure{
			said:   "the dsn cannot be read",
			remedy: "write postgres://user:password@host:5432/database, with @ : / ? # % of a password as %40 %3A %2F %3F %23 %25",
		}
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
	ping := stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return true })
	return stdlib.GetConnector(*config, ping), config.Password, nil
}

func (postgres) idle() int { return connections }

// bind needs no more than the limit: the transaction began as read only.
func (postgres) bind(ctx context.Context, tx *sql.Tx, timeout time.Duration) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", max(timeout.Milliseconds(), 1)))
	return err
}

// param goes as the text of an array, whose type the server takes from the
// query: text[] for a column of text, uuid[] for $1::uuid[].
func (postgres) param(asked []string) any { return asked }

func (postgres) explain(err error) (said, remedy string, ok bool) {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return "", "", false
	}
	return fmt.Sprintf("%s (%s)", refused.Message, refused.Code), postgresRemedy(refused.Code), true
}

// postgresRemedy knows the SQLSTATE codes of the manual's appendix A.
func postgresRemedy(code string) string {
	switch code {
	case "42501":
		return "grant select on what the query reads to the dsn's user"
	case "42P01", "3F000":
		return "correct the table in sql, with its schema, or the database in the dsn"
	case "42703":
		return "correct the column in sql"
	case "42601":
		return "correct sql"
	case "42883", "42804":
		return "name the type of the column: event_id = ANY($1::uuid[]) for one of uuid"
	case "42P18", "42P08":
		return "name the type of the parameter: $1::text[]"
	case "22P02":
		return "ids are text: compare event_id::text = ANY($1)"
	case "25006":
		return "the query may only read"
	case "57014":
		return "an index on the column makes it fast; or raise timeout"
	case "28P01", "28000":
		return "correct user and password in the dsn, or pg_hba.conf"
	case "3D000":
		return "correct the database in the dsn"
	case "53300":
		return "raise max_connections; two are needed at most"
	case "57P01", "57P02", "57P03":
		return "it is asked again when the server is back"
	}
	return ""
}
