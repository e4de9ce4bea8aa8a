package query_test

import (
	"testing"

	"backstop/internal/heygen"
	"backstop/reconcile/query"
)

// notices: a query that selects something else is asked in vain, and a person must know.
func notices(t *testing.T, w *world) {
	w.has(t, "evt_Asked", "evt_else", "evt_Other")
	other := w.query(t, asking("SELECT 'row ' || i.event_id FROM inbox i WHERE i.event_id IN ("+w.ids+")"))
	if w.driver == query.MySQL {
		other = w.query(t, asking("SELECT concat('row ', i.event_id) FROM inbox i WHERE i.event_id IN ("+w.ids+")"))
	}
	says := func(q *query.Query, want string) {
		t.Helper()
		if got := q.Notice(); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	want(t, other, []string{"evt_none"})
	says(other, "")
	want(t, other, []string{"evt_Asked"})
	says(other, "it answered with 1 id that it was not asked for, and with none that it was: check what it selects")
	want(t, other, []string{"evt_else", "evt_Other"})
	says(other, "it answered with 3 ids that it was not asked for, and with none that it was: check what it selects")

	neighbour := w.query(t, asking("SELECT i.event_id FROM inbox i WHERE i.event_id LIKE 'evt_else' OR i.event_id IN ("+w.ids+")"))
	want(t, neighbour, nil)
	says(neighbour, "")
	want(t, neighbour, []string{"evt_Asked"}, "evt_Asked")
	want(t, neighbour, []string{"evt_none"})
	says(neighbour, "")
}

// noticesColumns: event type and entity are easily swapped.
func noticesColumns(t *testing.T, w *world) {
	w.exec(t, "INSERT INTO videos (video_id, last_event) VALUES ('vid_swapped', 'avatar_video.success')")
	asked := []heygen.Event{{ID: "evt_1", Type: "avatar_video.success", Data: []byte(`{"video_id":"vid_swapped"}`)}}
	swapped := w.query(t, func(o *query.Options) {
		o.Content = true
		o.SQL = "SELECT x.video_id, x.last_event FROM videos x JOIN (" + w.content + ") y ON y.video_id = x.video_id"
	})
	wantEvents(t, swapped, asked)
	const said = "it answered with 1 row that it was not asked for, and with none that it was: check what it selects: event_type as HeyGen writes it first, entity second"
	if got := swapped.Notice(); got != said {
		t.Errorf("it says %q, want %q", got, said)
	}
	right := w.query(t, func(o *query.Options) { o.SQL, o.Content = w.content, true })
	wantEvents(t, right, asked, "evt_1")
	if got := right.Notice(); got != "" {
		t.Errorf("it says %q", got)
	}
}
