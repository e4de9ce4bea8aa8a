package query

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Check says what is wrong with a driver's name and a query, as far as can be
// told without a database, and what would be right.
func Check(driver, sql string) error {
	switch driver {
	case Postgres, MySQL, SQLite:
	default:
		return fmt.Errorf("driver %q is not known; write %s, %s or %s", driver, Postgres, MySQL, SQLite)
	}
	if strings.TrimSpace(sql) == "" {
		return fmt.Errorf("sql is empty; write %s", example(driver))
	}
	if driver == Postgres {
		return checkNumbered(bare(driver, sql))
	}
	return checkMark(driver, bare(driver, sql))
}

// example is the shortest query that works.
func example(driver string) string {
	switch driver {
	case Postgres:
		return "SELECT event_id FROM inbox WHERE event_id = ANY($1)"
	case MySQL:
		return "SELECT i.event_id FROM inbox i JOIN JSON_TABLE(?, '$[*]' COLUMNS (id VARCHAR(512) PATH '$')) AS asked ON asked.id = i.event_id"
	}
	return "SELECT event_id FROM inbox WHERE event_id IN (SELECT value FROM json_each(?))"
}

var (
	numbered = regexp.MustCompile(`\$[0-9]+`)

	// asArray finds $1 where an array belongs: in ANY ($1), or with the type of one.
	asArray = regexp.MustCompile(`(?i)(?:\b(?:any|all|some)\s*\([\s(]*\$1\b` +
		`|(?:\$1[\s)]*::|\bcast\s*\([\s(]*\$1[\s)]*\sas\s)` +
		`\s*[\w.]*(?:\s+varying)?\s*(?:\([\d\s]*\))?\s*(?:\[|\barray\b))`)

	// asList finds what reads a JSON array.
	asList = regexp.MustCompile(`(?i)\b(?:jsonb?_each|jsonb?_tree|json_table|json_contains|json_overlaps|json_search)\s*\(|\bmember\s+of\b`)
)

func checkNumbered(sql string) error {
	found := numbered.FindAllString(sql, -1)
	if len(found) == 0 {
		return errors.New("sql has no $1, the ids that are asked for; write " + example(Postgres))
	}
	for _, parameter := range found {
		if parameter != "$1" {
			return fmt.Errorf("sql has %s, but only $1 is given; write %s", parameter, example(Postgres))
		}
	}
	if !asArray.MatchString(sql) { // the server would compare with the text of the array, and find nothing
		return errors.New("sql takes $1 for one id, but $1 is an array; compare with = ANY($1), or write its type, $1::text[]")
	}
	return nil
}

func checkMark(driver, sql string) error {
	if n := strings.Count(sql, "?"); n != 1 {
		return fmt.Errorf("sql has %d question marks, not one for the ids that are asked for; write %s", n, example(driver))
	}
	if !asList.MatchString(sql) { // as above
		return fmt.Errorf("sql takes ? for one id, but ? is a JSON array; write %s", example(driver))
	}
	return nil
}

// What stands in quotes or comments. A backslash is a character like any other
// but in MySQL, which also has comments that begin with #.
var (
	quiet      = regexp.MustCompile(`(?s)'[^']*'|"[^"]*"|` + "`[^`]*`" + `|--[^\n]*|/\*.*?\*/`)
	quietMySQL = regexp.MustCompile(`(?s)'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|` + "`[^`]*`" + `|--[^\n]*|#[^\n]*|/\*.*?\*/`)
)

// bare is the query without its quotes and comments.
func bare(driver, sql string) string {
	if driver == MySQL {
		return quietMySQL.ReplaceAllString(sql, " ")
	}
	return quiet.ReplaceAllString(sql, " ")
}
