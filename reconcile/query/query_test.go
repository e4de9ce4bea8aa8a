package query_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/reconcile/query"
)

// every runs what must hold in each database.
func every(t *testing.T, w *world) {
	t.Run("ids", func(t *testing.T) { ids(t, w) })
	t.Run("exact", func(t *testing.T) { exact(t, w) })
	t.Run("content", func(t *testing.T) { content(t, w) })
	t.Run("columns", func(t *testing.T) { columns(t, w) })
	t.Run("read only", func(t *testing.T) { readOnly(t, w) })
	t.Run("slow", func(t *testing.T) { slow(t, w) })
	t.Run("cancel", func(t *testing.T) { cancelled(t, w) })
	t.Run("wrong", func(t *testing.T) { wrong(t, w) })
	t.Run("notices", func(t *testing.T) { notices(t, w) })
	t.Run("notices columns", func(t *testing.T) { noticesColumns(t, w) })
	t.Run("tried", func(t *testing.T) { tried(t, w) })
}

func ids(t *testing.T, w *world) {
	q := w.query(t, nil)
	want(t, q, nil)
	want(t, q, []string{"evt_none"})
	all := numbered(500)
	w.has(t, all[:250]...)
	for range 3 {
		want(t, q, all, all[:250]...)
	}
	want(t, q, []string{"evt_0001", "evt_0001", "EVT_0002"}, "evt_0001")
}

// exact holds for every id that an event can have: 1 to 512 printable ASCII
// bytes.
func exact(t *testing.T, w *world) {
	var strange []string
	for c := ' '; c <= '~'; c++ {
		strange = append(strange, "a"+string(c)+"z", string(c)+string(c)+"!")
	}
	strange = append(strange, `{}`, `{a,b}`, `"`, `""`, `'`, `''`, `\`, `\\`, `\"`, `\'`, `NULL`, `null`, `{"a":[1]}`, `%s%d%00`, `$1`, `?`, `'; --`, `\x41`, `\u0041`,
		`a,b`, `[1]`, `1e3`, `007`, `true`, strings.Repeat("x", 512), strings.Repeat(`"`, 512), strings.Repeat(`\`, 512), strings.Repeat(`'`, 512))
	q := w.query(t, nil)
	want(t, q, strange)
	w.has(t, strange...)
	want(t, q, strange, strange...)
	for _, id := range strange[len(strange)-20:] {
		want(t, q, []string{id, id + "x"}, id)
	}
}

func content(t *testing.T, w *world) {
	for _, row := range [][2]string{{"vid_1", "avatar_video.success"}, {"vid_2", "avatar_video.fail"}, {`vid_"\'é`, "avatar_video.success"}} {
		w.exec(t, "INSERT INTO videos (video_id, last_event) VALUES ('"+sqlText(w, row[0])+"', '"+row[1]+"')")
	}
	var asked []heygen.Event
	ask := func(id, kind, data string) {
		asked = append(asked, heygen.Event{ID: id, Type: kind, Data: []byte(data)})
	}
	ask("evt_had", "avatar_video.success", `{"video_id":"vid_1"}`)
	ask("evt_twin", "avatar_video.success", `{"video_id":"vid_1","url":"https://x.example/1"}`)
	ask("evt_other_type", "avatar_video.success", `{"video_id":"vid_2"}`)
	ask("evt_other_video", "avatar_video.success", `{"video_id":"vid_3"}`)
	ask("evt_strange", "avatar_video.success", `{"video_id":"vid_\"\\'é"}`)
	ask("evt_nul", "avatar_video.success", `{"video_id":"vid_\u0000"}`)
	ask("evt_bad", "avatar_video.success", "{\"video_id\":\"vid_\xff\"}")
	ask("evt_none", "avatar_video.success", `{}`)
	q := w.query(t, func(o *query.Options) { o.SQL, o.Content = w.content, true })
	wantEvents(t, q, asked, "evt_had", "evt_twin", "evt_strange")
	wantEvents(t, q, asked[len(asked)-1:])
}

// sqlText quotes a text as the database reads one.
func sqlText(w *world, s string) string {
	if w.driver == query.MySQL {
		s = strings.ReplaceAll(s, `\`, `\\`)
	}
	return strings.ReplaceAll(s, "'", "''")
}

func columns(t *testing.T, w *world) {
	three := w.query(t, asking("SELECT event_id, event_id, event_id "+strings.SplitN(w.ids, "event_id ", 2)[1]))
	says(t, refused(t, t.Context(), three), w.driver+": ", "3 columns, not 1", "SELECT event_id FROM")
	two := w.query(t, asking(w.content))
	says(t, refused(t, t.Context(), two), "2 columns, not 1", "content")
	one := w.query(t, func(o *query.Options) { o.Content = true })
	_, err := one.Have(t.Context(), []heygen.Event{{ID: "evt_1", Type: "a", Data: []byte(`{"video_id":"v"}`)}})
	if err == nil {
		t.Fatal("one column answered for content")
	}
	says(t, err.Error(), "1 columns, not 2", "SELECT event_type, entity_id FROM")
	w.has(t, "evt_null")
	nulls := w.query(t, asking("SELECT NULLIF(i.event_id, 'evt_null') FROM inbox i WHERE i.event_id IN ("+w.ids+")"))
	want(t, nulls, []string{"evt_null", "evt_0001"}, "evt_0001")
}

func readOnly(t *testing.T, w *world) {
	before := w.count(t, "SELECT count(*) FROM inbox")
	for _, statement := range w.writes {
		says(t, refused(t, t.Context(), w.query(t, asking(statement))), w.driver+": ", "only")
	}
	if after := w.count(t, "SELECT count(*) FROM inbox"); after != before {
		t.Errorf("the table had %d rows and has %d", before, after)
	}
}

func slow(t *testing.T, w *world) {
	q := w.query(t, func(o *query.Options) { o.SQL, o.Timeout = w.slow, 200*time.Millisecond })
	says(t, refused(t, t.Context(), q), w.driver+": ", w.limit, "timeout")
	w.quiet(t)
}

// quiet holds when no statement of a test is left running.
func (w *world) quiet(t *testing.T) {
	t.Helper()
	if w.running == "" {
		return
	}
	eventually(t, "no statement is left running", func() bool { return w.count(t, w.running) == 0 })
}

func cancelled(t *testing.T, w *world) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.query(t, nil).Have(ctx, events("evt_1")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want one of the context", err)
	}
	// The limit must outlast the start of the statement, and end it where the driver leaves it running.
	q := w.query(t, func(o *query.Options) { o.SQL, o.Timeout = w.slow, 20*time.Second })
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := q.Have(ctx, events("evt_1"))
		done <- err
	}()
	if w.running != "" {
		eventually(t, "the statement runs", func() bool { return w.count(t, w.running) > 0 })
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want one of the context", err)
	}
	w.quiet(t)
	want(t, w.query(t, nil), []string{"evt_0001"}, "evt_0001")
}

func wrong(t *testing.T, w *world) {
	table := strings.ReplaceAll(w.ids, "inbox", "outbox")
	says(t, refused(t, t.Context(), w.query(t, asking(table))), "outbox", "; correct")
	column := strings.ReplaceAll(w.ids, "event_id", "event_no")
	says(t, refused(t, t.Context(), w.query(t, asking(column))), "event_no", "; correct")
	says(t, refused(t, t.Context(), w.query(t, asking("SELEKT "+w.ids))), "; correct sql")
	empty := w.query(t, func(o *query.Options) { o.DSN = func() (string, error) { return "", nil } })
	says(t, refused(t, t.Context(), empty), "the dsn is empty")
	unread := w.query(t, func(o *query.Options) {
		o.DSN = func() (string, error) { return "", errors.New("dsn_file /run/dsn: no such file; create it") }
	})
	says(t, refused(t, t.Context(), unread), w.driver+": dsn_file /run/dsn: no such file; create it")
}

// tried: a query shows that it works, or why it does not, before there is anything to ask about.
func tried(t *testing.T, w *world) {
	byContent := func(o *query.Options) { o.SQL, o.Content = w.content, true }
	want(t, w.query(t, nil), nil)
	want(t, w.query(t, byContent), nil)
	for name, q := range map[string]*query.Query{
		"table":   w.query(t, asking(strings.ReplaceAll(w.ids, "inbox", "outbox"))),
		"columns": w.query(t, asking(w.content)),
		"dsn":     w.query(t, withDSN("")),
	} {
		if got, err := q.Have(t.Context(), nil); err == nil {
			t.Errorf("%s: it answered %v", name, got)
		}
	}
}

// restart stops the server under a query, and starts it again.
func restart(t *testing.T, w *world) {
	q := w.query(t, nil)
	want(t, q, []string{"evt_0001"}, "evt_0001")
	w.server.Stop()
	says(t, refused(t, t.Context(), q), "; ")
	says(t, refused(t, t.Context(), q), "connection refused; is the database running")
	w.server.Start()
	want(t, q, []string{"evt_0001"}, "evt_0001")
	w.server.Kill()
	w.server.Start()
	eventually(t, "it answers after a crash", func() bool {
		got, err := q.Have(t.Context(), events("evt_0001"))
		return err == nil && got["evt_0001"]
	})
}

// rotate changes the password that a DSN file holds.
func rotate(t *testing.T, w *world, change func(password string), dsn func(password string) string) {
	password := "hunter2-old"
	q := w.query(t, func(o *query.Options) { o.DSN = func() (string, error) { return dsn(password), nil } })
	change("hunter2-old")
	want(t, q, []string{"evt_0001"}, "evt_0001")
	change("hunter2-new")
	w.server.Stop() // and with it the connections that the old password opened
	w.server.Start()
	said := refused(t, t.Context(), q)
	says(t, said, "correct user")
	password = "hunter2-new"
	want(t, q, []string{"evt_0001"}, "evt_0001")
}

// together asks from more goroutines than there are connections.
func together(t *testing.T, w *world) {
	q := w.query(t, nil)
	all := numbered(250)
	errs := make(chan error)
	for i := range 8 {
		go func() {
			got, err := q.Have(t.Context(), events(all...))
			if err == nil && len(got) != len(all) {
				err = fmt.Errorf("asker %d: %d of %d", i, len(got), len(all))
			}
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
