package api

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/reconcile"
	"backstop/reconcile/sourcetest"
	"backstop/state"
)

// reporter is a receiver that reports what it took, and tries again while
// nobody listens.
type reporter struct {
	t     *testing.T
	body  func(heygen.Event) string
	store *state.Store // nil: backstop does not run
	later []heygen.Event
}

func (r *reporter) source(s *state.Store) reconcile.Source {
	r.store = s
	r.take(r.later...)
	r.later = nil
	return reconcile.Source{Name: "report", Proof: state.Report}
}

func (r *reporter) stop() { r.store = nil }

func (r *reporter) take(events ...heygen.Event) {
	if r.store == nil {
		r.later = append(r.later, events...)
		return
	}
	var lines []byte
	for _, e := range events {
		lines = append(append(lines, r.body(e)...), '\n')
	}
	if len(lines) == 0 {
		return
	}
	seen, unmatchable, err := parseSeen(lines, state.Report, time.Now())
	if err != nil || unmatchable > 0 {
		r.t.Fatalf("%d items prove nothing, %v", unmatchable, err)
	}
	if _, err := r.store.Record(time.Now(), seen); err != nil {
		r.t.Fatal(err)
	}
}

// What POST /v1/seen takes is put to the suite of all sources.
func TestReportIsASource(t *testing.T) {
	for name, body := range map[string]func(heygen.Event) string{
		"ids": func(e heygen.Event) string { return fmt.Sprintf(`{"event_id":%q,"more":[]}`, e.ID) },
		"contents": func(e heygen.Event) string {
			return fmt.Sprintf(`{"event_type":%q,"event_data":%s}`, e.Type, json.RawMessage(e.Data))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &reporter{t: t, body: body}
			sourcetest.Run(t, sourcetest.Partner{Source: r.source, Take: r.take, Stop: r.stop})
		})
	}
}
