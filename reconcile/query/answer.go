package query

import (
	"database/sql"
	"fmt"
	"strings"
	"unicode/utf8"

	"backstop/internal/heygen"
)

// answer is what was asked and what came back.
type answer struct {
	content bool
	asked   []string            // the parameter: distinct ids, or entities; never nil, which would be a NULL
	wanted  map[string][]string // key of a row → the events that it proves
	had     map[string]bool
	strange int64 // rows that were not asked for
}

func newAnswer(events []heygen.Event, content bool) *answer {
	a := &answer{content: content, asked: []string{}, wanted: map[string][]string{}, had: map[string]bool{}}
	known := map[string]bool{}
	for _, e := range events {
		param, key := e.ID, e.ID
		if content {
			param = e.Entity()
			key = keyOf(e.Type, param)
		}
		if !askable(param) {
			continue
		}
		if !known[param] {
			known[param] = true
			a.asked = append(a.asked, param)
		}
		a.wanted[key] = append(a.wanted[key], e.ID)
	}
	return a
}

// askable reports whether a database can be asked for s: an event may have no
// entity, and no text of PostgreSQL holds a NUL or what is no UTF-8. One such
// event must not fail the question about the others.
func askable(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.Contains(s, "\x00")
}

func keyOf(columns ...string) string { return strings.Join(columns, "\x00") }

// read takes the rows. What was not asked for, as a comparison without regard
// to case finds it, proves nothing.
func (a *answer) read(rows *sql.Rows) error {
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	if err := a.columns(len(names)); err != nil {
		return err
	}
	values := make([]sql.NullString, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		a.take(values)
	}
	return rows.Err()
}

func (a *answer) columns(n int) error {
	switch {
	case a.content && n != 2:
		return &failure{said: fmt.Sprintf("the query gives %d columns, not 2", n), remedy: "write SELECT event_type, entity_id FROM …"}
	case !a.content && n != 1:
		return &failure{said: fmt.Sprintf("the query gives %d columns, not 1", n), remedy: "write SELECT event_id FROM …, or set content for rows of event_type and entity_id"}
	}
	return nil
}

func (a *answer) take(values []sql.NullString) {
	exact, trimmed := make([]string, len(values)), make([]string, len(values))
	for i, v := range values {
		if !v.Valid {
			return
		}
		exact[i], trimmed[i] = v.String, strings.TrimRight(v.String, " ") // a CHAR(n) is filled up with spaces
	}
	events, ok := a.wanted[keyOf(exact...)]
	if !ok {
		events = a.wanted[keyOf(trimmed...)]
	}
	if len(events) == 0 && len(a.asked) > 0 {
		a.strange++
	}
	for _, id := range events {
		a.had[id] = true
	}
}
