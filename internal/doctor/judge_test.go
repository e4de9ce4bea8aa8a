package doctor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"backstop/internal/heygen"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func TestConfiguration(t *testing.T) {
	const c = "configuration"
	for _, tt := range []struct {
		name string
		of   Configuration
		want []want
	}{
		{"right", Configuration{File: "c.yaml"}, []want{{OK, c, "c.yaml is right", ""}}},
		{"no file", Configuration{}, []want{{OK, c, "no file", ""}}},
		{"all kinds", Configuration{File: "c.yaml", Mistakes: []string{"m 100%"}, Missing: []string{"v"}, Warnings: []string{"w"}},
			[]want{{Fail, c, "m 100%", "correct it in c.yaml"}, {Fail, c, "v", "set the variable"}, {Warn, c, "w", "change it in c.yaml"}}},
		{"beside a daemon", Configuration{Missing: []string{"v"}, Daemon: true}, []want{{Warn, c, "v (here", "nothing, if only the daemon"}}},
	} {
		t.Run(tt.name, func(t *testing.T) { compare(t, tt.of.Judge(), tt.want...) })
	}
}

func TestDaemon(t *testing.T) {
	for _, tt := range []struct {
		name string
		of   Daemon
		want want
	}{
		{"silent", Daemon{Version: "1", Silent: "process 7"}, want{Fail, "daemon", "does not answer at the control socket: process 7", "restart it"}},
		{"none", Daemon{Version: "1"}, want{OK, "daemon", "none runs", ""}},
		{"same", Daemon{Running: true, Version: "1", Asker: "1"}, want{OK, "daemon", "running, version 1", ""}},
		{"asker unknown", Daemon{Running: true, Version: "1"}, want{OK, "daemon", "running", ""}},
		{"another", Daemon{Running: true, Version: "1", Asker: "2"}, want{Warn, "daemon", "version 1; this program has version 2", "restart the daemon"}},
	} {
		t.Run(tt.name, func(t *testing.T) { compare(t, []Check{tt.of.judge()}, tt.want) })
	}
	compare(t, []Check{judgeAdmin("127.0.0.1:1", nil), judgeAdmin("127.0.0.1:1", errors.New("refused"))},
		want{OK, "admin", "127.0.0.1:1", ""}, want{Fail, "admin", "nobody listens at 127.0.0.1:1", "restart"})
	compare(t, Daemon{Told: true}.look(t.Context()), want{OK, "daemon", "", ""}, want{Warn, "admin", "admin.listen is empty", "write admin.listen"})
}

func TestState(t *testing.T) {
	well := State{Path: "/b.db", Size: 1 << 20, MaxSize: 4 << 30, Free: 1 << 30, Mode: 0o600, Passed: noon.Add(-time.Minute), Stale: 3 * time.Minute}
	file, pass := want{OK, "state", "/b.db, 1.0 MiB of at most 4.0 GiB, 1.0 GiB free", ""}, want{OK, "last pass", "1m0s ago, clean", ""}
	for _, tt := range []struct {
		name   string
		change func(*State)
		want   []want
	}{
		{"well", func(*State) {}, []want{file, pass}},
		{"absent", func(s *State) { s.Absent = true }, []want{{Warn, "state", "no state file yet (/b.db)", "backstop run"}}},
		{"broken", func(s *State) { s.Absent, s.Broken = true, "damaged: restore it" }, []want{{Fail, "state", "damaged", "do as it says"}}},
		{"full", func(s *State) { s.Full = "the state is full" }, []want{{Fail, "state", "full", "free some space"}, pass}},
		{"little room", func(s *State) { s.Free = 100 << 20 }, []want{{Warn, "state", "100 MiB free", "free some space"}, pass}},
		{"room unknown", func(s *State) { s.Free, s.FreeUnknown = 0, true }, []want{{OK, "state", "1.0 MiB", ""}, pass}},
		{"nearly as large as it may be", func(s *State) { s.Size = 4 << 30 }, []want{{Warn, "state", "4.0 GiB of at most 4.0 GiB", "raise state.max_size"}, pass}},
		{"loose", func(s *State) { s.Mode = 0o640 }, []want{file, {Warn, "state", "mode 0640", "chmod 600 /b.db"}, pass}},
		{"no pass", func(s *State) { s.Passed = time.Time{} }, []want{file, {Warn, "last pass", "no pass", "reconcile"}}},
		{"failed pass", func(s *State) { s.PassError = "unreachable" }, []want{file, {Fail, "last pass", "not clean: unreachable", "mend"}}},
		{"old pass of a daemon", func(s *State) { s.Passed = noon.Add(-time.Hour) }, []want{file, {Fail, "last pass", "1h0m0s ago, more than three", "log"}}},
		{"old pass, no daemon", func(s *State) { s.Passed, s.Stale = noon.Add(-time.Hour), 0 }, []want{file, {OK, "last pass", "1h0m0s ago", ""}}},
		{"nobody makes passes", func(s *State) { s.Passed, s.Stale = noon.Add(-48*time.Hour), 0 }, []want{file, {Warn, "last pass", "48h0m0s ago: nobody", "timer"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := well
			tt.change(&s)
			compare(t, s.judge(noon), tt.want...)
		})
	}
}

func TestReplaying(t *testing.T) {
	fine := want{OK, "missed", "0 wait", ""}
	for _, tt := range []struct {
		name string
		of   *Replaying
		want []want
	}{
		{"no state", nil, nil},
		{"nothing yet", &Replaying{}, []want{{OK, "replaying", "nothing has been replayed yet", ""}, fine}},
		{"well", &Replaying{Accepted: noon.Add(-time.Minute)}, []want{{OK, "replaying", "accepted 1m0s ago", ""}, fine}},
		{"paused", &Replaying{Paused: "moving", PausedBy: "ann", Misconfigured: "x"}, []want{{Warn, "replaying", "paused by ann: moving", "backstop resume"}, fine}},
		{"misconfigured", &Replaying{Misconfigured: "it answered 401"}, []want{{Fail, "replaying", "it answered 401", "mend the receiver"}, fine}},
		{"outage", &Replaying{Failing: "503", Since: noon.Add(-time.Hour)}, []want{{Fail, "replaying", "fails since 1h0m0s: 503", "mend the receiver"}, fine}},
		{"misconfigured, and events wait", &Replaying{Misconfigured: "it answered 401", Missed: 9, Oldest: noon.Add(-time.Minute)},
			[]want{{Fail, "replaying", "it answered 401", "`backstop resume` tries at once"}, {Warn, "missed", "9 wait to be replayed, because of the line above; the oldest is 1m0s old", "mend that"}}},
		{"paused, and undated events wait", &Replaying{Paused: "moving", PausedBy: "ann", Missed: 1},
			[]want{{Warn, "replaying", "paused", "resume"}, {Warn, "missed", "1 wait to be replayed, because of the line above", "mend that"}}},
		{"held", &Replaying{Held: "the secret cannot be read"}, []want{{Warn, "replaying", "the secret", "mend"}, fine}},
		{"fresh missed", &Replaying{Missed: 2, Oldest: noon.Add(-time.Minute)}, []want{{OK, "replaying", "", ""}, {OK, "missed", "2 wait", ""}}},
		{"old missed", &Replaying{Missed: 2, Oldest: noon.Add(-2 * time.Hour)}, []want{{OK, "replaying", "", ""}, {Warn, "missed", "2 wait, the oldest is 2h0m0s old", "explain"}}},
		{"only withheld", &Replaying{Withheld: 2, Oldest: noon.Add(-2 * time.Hour)}, []want{{OK, "replaying", "", ""}, fine, {Warn, "withheld", "2 may", "import"}}},
		{"dead", &Replaying{Dead: 3}, []want{{OK, "replaying", "", ""}, fine, {Warn, "dead", "3 were given up", "--status dead"}}},
	} {
		t.Run(tt.name, func(t *testing.T) { compare(t, tt.of.judge(noon), tt.want...) })
	}
}

func TestClock(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ahead time.Duration // of the local clock
		took  time.Duration
		want  want
	}{
		{"the same", 0, 100 * time.Millisecond, want{OK, "clock", "as HeyGen's", ""}},
		{"a slow answer proves nothing", 0, 10 * time.Second, want{OK, "clock", "as HeyGen's", ""}},
		{"a second", time.Second, 0, want{OK, "clock", "as HeyGen's", ""}},
		{"ahead", time.Minute, 0, want{Warn, "clock", "s ahead of HeyGen's", "NTP"}},
		{"behind", -time.Minute, 0, want{Warn, "clock", "1m0s behind HeyGen's", "NTP"}},
		{"far ahead", time.Hour, 0, want{Fail, "clock", "59m59s ahead of HeyGen's", "NTP"}},
		{"far behind", -time.Hour, 0, want{Fail, "clock", "1h0m0s behind HeyGen's", "NTP"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := known{clock: clock{sent: noon.Add(tt.ahead), got: noon.Add(tt.ahead + tt.took), date: noon}}
			compare(t, k.judgeClock(), tt.want)
		})
	}
	compare(t, known{clock: clock{sent: noon, got: noon}}.judgeClock(), want{Warn, "clock", "no Date", "timedatectl"})
	compare(t, known{}.judgeClock(), want{Warn, "clock", "not checked", "mend"})
}

func TestKey(t *testing.T) {
	refused := func(status int) error {
		return &heygen.Error{Kind: heygen.ErrCredentials, Status: status, Code: "no", Doing: "list events", Hint: "h"}
	}
	for _, tt := range []struct {
		name string
		from string
		err  error
		want want
	}{
		{"accepted", "HEYGEN_API_KEY", nil, want{OK, "key", "accepted, from HEYGEN_API_KEY", ""}},
		{"none, and none is asked for", "", nil, want{Warn, "key", "none is set", "HEYGEN_API_KEY"}},
		{"none", "", refused(401), want{Fail, "key", "none is set, and HeyGen refuses", "heygen.api_key_file"}},
		{"401", "a file", refused(401), want{Fail, "key", "refused, from a file: HeyGen refused the credentials: status 401 no", "make a new key"}},
		{"402", "a file", refused(402), want{Fail, "key", "status 402", "credits"}},
		{"403", "a file", refused(403), want{Fail, "key", "status 403", "workspace"}},
		{"unreadable", "a file", &heygen.Error{Kind: heygen.ErrCredentials, Cause: errors.New("secret file x: no such file"), Hint: "create it"}, want{Fail, "key", "secret file x", "create it"}},
		{"429", "a file", &heygen.Error{Kind: heygen.ErrUnreachable, Status: 429}, want{Warn, "key", "asks for fewer", "heygen.rate"}},
	} {
		t.Run(tt.name, func(t *testing.T) { compare(t, []Check{Listing{KeyFrom: tt.from}.judgeKey(tt.err)}, tt.want) })
	}
}

func TestReach(t *testing.T) {
	l := Listing{Base: "https://api.heygen.com"}
	for _, tt := range []struct {
		name string
		err  error
		want want
	}{
		{"answers", nil, want{OK, "api", "answers in 1s", ""}},
		{"refuses the key", &heygen.Error{Kind: heygen.ErrCredentials, Status: 401}, want{OK, "api", "answers", ""}},
		{"asks for fewer requests", &heygen.Error{Kind: heygen.ErrUnreachable, Status: 429}, want{OK, "api", "answers", ""}},
		{"fails", &heygen.Error{Kind: heygen.ErrUnreachable, Status: 503, RequestID: "r1"}, want{Fail, "api", "status 503 (request r1)", "wait"}},
		{"another server", &heygen.Error{Kind: heygen.ErrRequest, Status: 404, Hint: "check heygen.base_url"}, want{Fail, "api", "status 404", "check heygen.base_url"}},
		{"a portal", &heygen.Error{Kind: heygen.ErrUnreadable, Status: 200, Hint: "check what stands between"}, want{Fail, "api", "unreadable", "check what stands between"}},
		{"nobody", &heygen.Error{Kind: heygen.ErrUnreachable, Cause: errors.New("refused")}, want{Fail, "api", "refused", "firewall"}},
		{"in time", fmt.Errorf("list events: %w", context.DeadlineExceeded), want{Fail, "api", "no answer in time", "firewall"}},
	} {
		t.Run(tt.name, func(t *testing.T) { compare(t, []Check{l.judgeReach(tt.err, time.Second)}, tt.want) })
	}
	l.Proxy = "proxy:3128"
	compare(t, []Check{l.judgeReach(context.DeadlineExceeded, 0)}, want{Fail, "api", "", "the proxy proxy:3128"})
}
