package doctor

import (
	"errors"
	"testing"
	"time"

	"backstop/internal/heygen"
)

func TestListing(t *testing.T) {
	row := func(kind string, age time.Duration) heygen.Event {
		return heygen.Event{Type: kind, CreatedAt: noon.Add(-age)}
	}
	rows := []heygen.Event{row("b", time.Hour), row("a", time.Minute), row("b", 2*time.Hour)}
	for _, tt := range []struct {
		name  string
		of    Listing
		order string
		read  read
		want  []want
	}{
		{"well", Listing{}, "newest first", read{rows: rows, pages: 1, first: 3, last: true},
			[]want{{OK, "listing", "3 events read, up to 100 a page, the newest 1m0s old; types: a, b", ""}, {OK, "order", "newest first", ""}}},
		{"oldest first", Listing{}, "oldest first", read{rows: rows, last: true},
			[]want{{OK, "listing", "", ""}, {Warn, "order", "oldest first: every walk", "schedule.poll"}}},
		{"no order", Listing{}, "none", read{rows: rows, last: true}, []want{{OK, "listing", "", ""}, {Warn, "order", "no order: every walk", "schedule.poll"}}},
		{"order unknown", Listing{}, "", read{rows: rows, last: true}, []want{{OK, "listing", "", ""}, {OK, "order", "too few", ""}}},
		{"small pages", Listing{}, "newest first", read{rows: rows, pages: 3, first: 1}, []want{{OK, "listing", "fewer a page than heygen.page_size", ""}, {OK, "order", "", ""}}},
		{"empty", Listing{}, "", read{last: true}, []want{{Warn, "listing", "is empty", "workspace"}}},
		{"empty for the filter", Listing{Queries: []heygen.Query{{Type: "a"}}}, "", read{last: true}, []want{{Warn, "listing", "is empty (of type=a)", "heygen.event_types"}}},
		{"no cursor", Listing{}, "", read{rows: rows, lost: true}, []want{{Fail, "listing", "no cursor", "support"}}},
		{"error", Listing{}, "", read{err: &heygen.Error{Kind: heygen.ErrRequest, Status: 400, Hint: "check heygen.page_size"}},
			[]want{{Fail, "listing", "status 400", "check heygen.page_size"}}},
		{"unreadable rows", Listing{Quarantined: 2}, "newest first", read{rows: rows, bad: 1, last: true},
			[]want{{OK, "listing", "", ""}, {OK, "order", "", ""}, {Warn, "unreadable rows", "1 among those read now, 2 quarantined", "support"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.of.Rows, tt.of.Order = 100, func([]heygen.Event) string { return tt.order }
			if tt.of.Queries == nil {
				tt.of.Queries = []heygen.Query{{}}
			}
			compare(t, tt.of.judgeListing(tt.read, noon), tt.want...)
		})
	}
}

func TestTypes(t *testing.T) {
	known := []heygen.EventType{{EventType: "a"}, {EventType: "b"}}
	compare(t, []Check{
		judgeTypes([]string{"a"}, known, nil),
		judgeTypes([]string{"c", "a", "d"}, known, nil),
		judgeTypes([]string{"a"}, nil, errors.New("x")),
	},
		want{OK, "event types", "all of heygen.event_types", ""},
		want{Fail, "event types", "no type c, d", "correct heygen.event_types"},
		want{Warn, "event types", "could not be read", "try again"},
	)
}

func TestEndpoints(t *testing.T) {
	on := func(url string, types ...string) heygen.Endpoint {
		return heygen.Endpoint{URL: url, Types: types, Enabled: true}
	}
	off := func(url string) heygen.Endpoint { return heygen.Endpoint{URL: url} }
	const hook = "https://hooks.example.com/hook"
	subscribed := want{OK, "subscriptions", "every type", ""}
	for _, tt := range []struct {
		name  string
		all   []heygen.Endpoint
		url   string
		tap   bool
		types []string
		want  []want
	}{
		{"well", []heygen.Endpoint{on(hook), on("https://other.example.com/")}, hook + "?token=x", false, []string{"a"},
			[]want{{OK, "endpoints", "HeyGen pushes to hooks.example.com", ""}, subscribed}},
		{"none", nil, hook, false, nil, []want{{Warn, "endpoints", "no endpoint", "register"}}},
		{"elsewhere", []heygen.Endpoint{on("https://other.example.com/hook?secret")}, hook, false, nil,
			[]want{{Warn, "endpoints", "none leads to the receiver's host hooks.example.com; HeyGen pushes to other.example.com", "register"}}},
		{"another path", []heygen.Endpoint{on("https://hooks.example.com/x")}, hook, false, nil,
			[]want{{Warn, "endpoints", "another path", "correct receiver.url"}, subscribed}},
		{"another port", []heygen.Endpoint{on("https://hooks.example.com:8443/hook")}, hook, false, nil, []want{{Warn, "endpoints", "none leads", "register"}}},
		{"disabled", []heygen.Endpoint{off(hook)}, hook, false, []string{"a"}, []want{{Warn, "endpoints", "disabled", "enable"}}},
		{"one of two disabled", []heygen.Endpoint{off(hook), on(hook)}, hook, false, []string{"a"},
			[]want{{OK, "endpoints", "", ""}, {Warn, "endpoints", "1 of 2 are disabled", "remove"}, subscribed}},
		{"two", []heygen.Endpoint{on(hook), on("https://HOOKS.example.com:443/hook/?b")}, hook, false, []string{"a"},
			[]want{{Warn, "endpoints", "2 endpoints lead to this receiver", "remove all but one"}, subscribed}},
		{"too few types", []heygen.Endpoint{on(hook, "a")}, hook, false, []string{"a", "b", "c"},
			[]want{{OK, "endpoints", "", ""}, {Warn, "subscriptions", "subscribed to b, c", "heygen.event_types"}}},
		{"types of two together", []heygen.Endpoint{on(hook, "a"), on(hook, "b")}, hook, false, []string{"a", "b"},
			[]want{{Warn, "endpoints", "2 endpoints", "remove"}, subscribed}},
		{"inside", []heygen.Endpoint{on(hook), off("https://x.example.com")}, "http://10.0.0.7:3000/hook", false, []string{"a"},
			[]want{{OK, "endpoints", "receiver.url lies inside", ""}, subscribed}},
		{"inside by IPv6", []heygen.Endpoint{on(hook)}, "http://[::1]:3000/hook", false, nil, []want{{OK, "endpoints", "lies inside", ""}, subscribed}},
		{"inside by name", []heygen.Endpoint{on(hook)}, "http://receiver:3000/hook", false, nil, []want{{OK, "endpoints", "lies inside", ""}, subscribed}},
		{"behind a tap", []heygen.Endpoint{on(hook)}, "https://inner.example.com/", true, nil, []want{{OK, "endpoints", "lies inside", ""}, subscribed}},
		{"all off, inside", []heygen.Endpoint{off(hook)}, "http://127.0.0.1/", false, nil, []want{{Warn, "endpoints", "disabled", "enable"}}},
		{"no receiver", []heygen.Endpoint{on(hook)}, "", false, nil, []want{{OK, "endpoints", "", ""}, subscribed}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			compare(t, judgeEndpoints(tt.all, Receiver{URL: tt.url, Tap: tt.tap}, tt.types), tt.want...)
		})
	}
}
