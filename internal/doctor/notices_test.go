package doctor

import (
	"context"
	"testing"
	"time"
)

func TestNotices(t *testing.T) {
	url := []string{"url"}
	for _, tt := range []struct {
		name string
		of   Notices
		want []want
	}{
		{"nobody", Notices{}, []want{{OK, "notices", "nobody is told of trouble: notify.url", ""}, {OK, "ping", "no dead man's switch", ""}}},
		{"not yet", Notices{Channels: []string{"url", "command"}, Ping: &Ping{}},
			[]want{{OK, "notices", "by url and command; none was delivered in this process yet", ""}, {OK, "ping", "none in this process yet", ""}}},
		{"well", Notices{Channels: url, Last: noon.Add(-time.Minute), Ping: &Ping{Last: noon.Add(-time.Second)}},
			[]want{{OK, "notices", "by url; the last one was delivered 1m0s ago", ""}, {OK, "ping", "the last one was taken 1s ago", ""}}},
		{"failing", Notices{Channels: url, Failing: "url: it answered 404", Since: noon.Add(-time.Hour), Ping: &Ping{Failing: "it answered 410", Since: noon.Add(-time.Minute)}},
			[]want{{Fail, "notices", "by url, failing since 1h0m0s: url: it answered 404", "--send-test"}, {Fail, "ping", "not taken since 1m0s: it answered 410", "admin.ping_url"}}},
		{"no program", Notices{Channels: []string{"command"}, Program: "notify.command: there is no program page-me"},
			[]want{{Fail, "notices", "there is no program page-me", "full path"}, {OK, "ping", "", ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			compare(t, Patient{Notices: tt.of, Now: noon}.lookNotices(t.Context()), tt.want...)
		})
	}
	mistaken := Patient{Mistaken: map[string]bool{"notify": true, "admin": true}, Notices: Notices{Test: func(context.Context) []Way { return nil }}}
	compare(t, mistaken.lookNotices(t.Context()), want{Warn, "notices", "notify has mistakes", "mend"}, want{Warn, "ping", "admin has mistakes", "mend"})
	if mistaken.noticeSteps() != nil {
		t.Error("a test is sent by a configuration with mistakes")
	}
	compare(t, []Check{Way{Channel: "url"}.judge(), Way{"command", "it ended with 3"}.judge()},
		want{OK, "test notice url", "see that it arrived", ""}, want{Fail, "test notice command", "not taken: it ended with 3", "notify.command"})
}
