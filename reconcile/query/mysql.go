package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

type mySQL struct{}

// open takes from the DSN what could do more than ask: several statements in
// one, and files of this machine.
func (mySQL) open(dsn string) (driver.Connector, string, error) {
	unreadable := &failure{said: "the dsn cannot be read", remedy: "write user:password@tcp(host:3306)/database"}
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, "", unreadable
	}
	config.MultiStatements = false
	config.AllowAllFiles = false
	config.Logger = &mysql.NopLogger{}
	c, err := mysql.NewConnector(config)
	if err != nil {
		return nil, "", unreadable
	}
	return c, config.Passwd, nil
}

func (mySQL) idle() int { return connections }

// bind sets the limit of the session in every question: behind a proxy it may be
// another session each time.
func (mySQL) bind(ctx context.Context, tx *sql.Tx, timeout time.Duration) error {
	var version string
	if err := tx.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, limit(version, timeout))
	return err
}

// limit is the statement that bounds those after it: MySQL counts milliseconds,
// MariaDB seconds with a fraction.
func limit(version string, timeout time.Duration) string {
	ms := max(timeout.Milliseconds(), 1)
	if strings.Contains(strings.ToLower(version), "mariadb") {
		return fmt.Sprintf("SET SESSION max_statement_time = %d.%03d", ms/1000, ms%1000)
	}
	return fmt.Sprintf("SET SESSION max_execution_time = %d", ms)
}

func (mySQL) param(asked []string) any { return array(asked) }

func (mySQL) explain(err error) (said, remedy string, ok bool) {
	var refused *mysql.MySQLError
	if !errors.As(err, &refused) {
		return "", "", false
	}
	return fmt.Sprintf("%s (%d)", refused.Message, refused.Number), mysqlRemedy(refused.Number), true
}

// mysqlRemedy knows the error numbers that both servers share, and those of
// their time limits.
func mysqlRemedy(number uint16) string {
	switch number {
	case 1142, 1143, 1370:
		return "grant select on what the query reads to the dsn's user"
	case 1146, 1046:
		return "correct the table in sql, or the database in the dsn"
	case 1054:
		return "correct the column in sql"
	case 1064:
		return "correct sql; JSON_TABLE needs MySQL 8 or MariaDB 10.6"
	case 1267, 1253:
		return "give the column of JSON_TABLE the character set and collation of the table's"
	case 1792, 1290, 1836:
		return "the query may only read"
	case 1969, 3024:
		return "an index on the column makes it fast; or raise timeout"
	case 1045, 1044, 1698:
		return "correct user, password and database in the dsn, or what the user may do"
	case 1049:
		return "correct the database in the dsn"
	case 1040, 1203:
		return "raise max_connections; two are needed at most"
	case 1193:
		return "MySQL 8 or MariaDB 10.6 is needed"
	case 1053, 1927:
		return "it is asked again when the server is back"
	}
	return ""
}
