package notify

import (
	"strings"
	"testing"
	"time"

	"backstop/state"
)

func standingOf(all []condition, name string) condition {
	for _, c := range all {
		if c.name == name {
			return c
		}
	}
	return condition{}
}

func TestConditions(t *testing.T) {
	news := func(minute int) state.News {
		return state.News{Count: 2, First: at(minute), Last: at(minute), Oldest: at(minute - 10), Types: map[string]int{"a": 2}}
	}
	open := func(name string, a state.Alarm) state.Notices {
		a.Holds, a.Open = true, true
		return state.Notices{Alarms: map[string]state.Alarm{name: a}}
	}
	tests := []struct {
		what      string
		name      string
		report    Report
		told      state.Notices
		quiet     bool // no pass has just ended
		want      standing
		wantCause string
	}{
		{what: "nothing replayed ever", name: Replayed, want: clear},
		{what: "just replayed", name: Replayed, told: state.Notices{Replayed: news(0)}, want: holds},
		{what: "just replayed, the pass goes on", name: Replayed, told: state.Notices{Replayed: news(0)}, quiet: true, want: unknown},
		{what: "replayed long enough ago to tell without a pass", name: Replayed, told: state.Notices{Replayed: news(-2)}, quiet: true, want: holds},
		{what: "told, and quiet for less than a cool-down", name: Replayed, told: state.Notices{Replayed: state.News{Last: at(-59)}}, want: holds},
		{what: "told, and quiet for a cool-down", name: Replayed, told: state.Notices{Replayed: state.News{Last: at(-60)}}, want: clear},
		{what: "told, and something waits", name: Replayed, report: Report{Pending: 1}, told: state.Notices{Replayed: state.News{Last: at(-60)}}, want: unknown},

		{what: "nothing dead", name: Dead, want: clear},
		{what: "dead", name: Dead, report: Report{Dead: 1}, want: holds},
		{what: "died, and a person sent it again", name: Dead, told: state.Notices{Dead: news(-2)}, want: holds},

		{what: "paused by a person while nothing waits", name: Paused, report: Report{Stands: "x", StandsCause: ByPerson}, want: holds, wantCause: ByPerson},
		{what: "held while nothing waits", name: Paused, report: Report{Stands: "x", StandsCause: Held}, want: clear, wantCause: Held},
		{what: "held while events wait", name: Paused, report: Report{Stands: "x", StandsCause: Held, Pending: 1}, want: holds, wantCause: Held},
		{what: "an outage of another life, and nobody knows", name: Paused, report: Report{Pending: 1}, told: open(Paused, state.Alarm{Cause: Failing, Since: at(-5)}), want: unknown},
		{what: "an outage of another life, and it took one", name: Paused, report: Report{Pending: 1, AcceptedAt: at(-1)}, told: open(Paused, state.Alarm{Cause: Failing, Since: at(-5)}), want: clear},
		{what: "an outage of another life, and nothing waits", name: Paused, told: open(Paused, state.Alarm{Cause: Failing, Since: at(-5)}), want: clear},

		{what: "no pass yet", name: Unreadable, want: unknown},
		{what: "a clean pass", name: Unreadable, report: Report{Passed: true}, want: clear},
		{what: "credentials refused", name: Unreadable, report: Report{Passed: true, Unreadable: "401", Cause: Credentials}, want: holds, wantCause: Credentials},
		{what: "the state is full, and the pass failed for it", name: Unreadable, report: Report{Passed: true, Unreadable: "full", Full: "full"}, want: unknown},

		{what: "no pass yet", name: Source, report: Report{Sources: []SourceReport{{Name: "query"}}}, want: unknown},
		{what: "a source fails", name: Source, report: Report{Sources: []SourceReport{{Name: "query", Failing: "x", Since: at(-1)}}}, want: holds},
		{what: "told, and it was not asked yet", name: Source, report: Report{Passed: true, Sources: []SourceReport{{Name: "query"}}}, told: open(Source, state.Alarm{Since: at(-5)}), want: unknown},
		{what: "told, and it has answered", name: Source, report: Report{Passed: true, Sources: []SourceReport{{Name: "query", Spoke: at(0)}, {Name: "report", Recorder: true}}}, told: open(Source, state.Alarm{Since: at(-5)}), want: clear},
		{what: "told, and taken out of seen", name: Source, report: Report{Passed: true}, told: open(Source, state.Alarm{Since: at(-5)}), want: clear},

		{what: "full", name: Full, report: Report{Full: "x"}, want: holds},
		{what: "nobody has written yet", name: Full, want: unknown},
		{what: "room again", name: Full, report: Report{Passed: true}, want: clear},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.what, func(t *testing.T) {
			tt.report.Now = noon()
			c := standingOf(conditions(tt.report, tt.told, !tt.quiet, time.Hour), tt.name)
			if c.standing != tt.want || c.cause != tt.wantCause {
				t.Errorf("standing %d, cause %q, want %d, %q", c.standing, c.cause, tt.want, tt.wantCause)
			}
		})
	}
}

func TestNoticesAreSentences(t *testing.T) {
	many := state.News{Count: 57, First: at(0), Last: at(9), Oldest: at(-10), Types: map[string]int{"b": 2, "a": 52, "c": 2, "d": 1}}
	tests := []struct {
		c    condition
		a    state.Alarm
		what string
		want string
	}{
		{condition{name: Replayed, news: many, count: 3}, state.Alarm{Since: at(0)}, Alarm,
			"backstop: HeyGen's pushes of 57 events did not arrive (52 a, 2 b, 2 c, …), the oldest of 2026-07-01T11:50:00Z; backstop delivered them. 3 events wait. " +
				"Look closer: `backstop events --proof replay --since 2026-07-01T11:50:00Z`."},
		{condition{name: Replayed, news: state.News{Count: 1}}, state.Alarm{}, Again,
			"backstop: HeyGen's pushes of 1 more event did not arrive; backstop delivered them. Look closer: `backstop status`."},
		{condition{name: Replayed}, state.Alarm{Open: true, Since: at(0), Ended: at(90), Total: 69}, Recovered,
			"backstop: pushes arrive again as far as backstop can tell: nothing had to be replayed since 2026-07-01T13:30:00Z. Before, 69 events had to be, over 1h30m0s. Look closer: `backstop status`."},
		{condition{name: Dead, count: 5, news: state.News{Count: 2, Types: map[string]int{"a": 2}}}, state.Alarm{Times: 1}, Alarm,
			"backstop: 2 events died (2 a): replaying gave up. 5 events are dead now. See why: `backstop events --status dead`; then `backstop replay --dead` or `backstop ignore ID`."},
		{condition{name: Dead, count: 1}, state.Alarm{Times: 1}, Alarm,
			"backstop: 1 event is dead: replaying gave up. See why: `backstop explain evt_1`; then `backstop replay evt_1` or `backstop ignore evt_1`."},
		{condition{name: Dead, count: 1, news: state.News{Count: 1, Types: map[string]int{"a": 1}}}, state.Alarm{Times: 1}, Alarm,
			"backstop: 1 event died (1 a): replaying gave up. 1 event is dead now. See why: `backstop explain evt_1`; then `backstop replay evt_1` or `backstop ignore evt_1`."},
		{condition{name: Paused, count: 1, why: "paused by ann: deploy", cause: ByPerson}, state.Alarm{Times: 3}, Again,
			"backstop: replaying stands still: paused by ann: deploy. 1 event waits. It came back 3 times since the last notice. Go on with `backstop resume`."},
		{condition{name: Paused}, state.Alarm{Since: at(0), Ended: at(2), Times: 4}, Recovered,
			"backstop: replaying goes on, after it stood still for 2m0s. It came and went 4 times since the last notice. Look closer: `backstop status`."},
		{condition{name: Paused}, state.Alarm{Since: at(0), Ended: at(2), Times: 1, Cause: Failing}, Recovered,
			"backstop: replaying goes on, after it stood still for 2m0s. It lasted from 2026-07-01T12:00:00Z to 2026-07-01T12:02:00Z (failing); no alarm of it was delivered. Look closer: `backstop status`."},
		{condition{name: Paused, why: "the receiver is misconfigured: it answered 401: check receiver.secret", cause: Misconfigured}, state.Alarm{Times: 1}, Alarm,
			"backstop: replaying stands still: the receiver is misconfigured: it answered 401: check receiver.secret. Mend that, then `backstop resume` tries it at once; without it the next probe does."},
		{condition{name: Paused, count: 7}, state.Alarm{Open: true, Since: at(0), Ended: at(2)}, Recovered,
			"backstop: replaying goes on, after it stood still for 2m0s. 7 events wait. Look closer: `backstop status`."},
		{condition{name: Dead}, state.Alarm{Open: true, Since: at(0), Ended: at(2), Total: 3}, Recovered,
			"backstop: no event is dead any more, after 2m0s; 3 had died. Look closer: `backstop status`."},
		{condition{name: Unreadable, why: "HTTP 401", cause: Credentials}, state.Alarm{}, Alarm,
			"backstop: HeyGen's listing can't be read: HTTP 401. Check heygen.api_key, then `backstop status`."},
	}
	for _, tt := range tests {
		got := compose(tt.a, tt.c, tt.what, Report{OnlyDead: func() string { return "evt_1" }}, "1").Text
		if got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestSlackMarkupIsEscaped(t *testing.T) {
	body, err := Notice{Text: `a <b> & "c"`}.forSlack()
	if want := `{"text":"a &lt;b&gt; &amp; \"c\""}`; err != nil || strings.TrimSpace(string(body)) != want {
		t.Errorf("got %s (%v), want %s", body, err, want)
	}
}
