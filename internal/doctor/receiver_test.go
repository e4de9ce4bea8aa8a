package doctor

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
)

func TestReceiver(t *testing.T) {
	in := func(days int) time.Time { return noon.Add(time.Duration(days)*24*time.Hour + time.Hour) }
	for _, tt := range []struct {
		name  string
		url   string
		knock Knock
		want  want
	}{
		{"answers", "http://r.example/", Knock{Status: 405, Latency: 3 * time.Millisecond}, want{OK, "receiver", "r.example answers OPTIONS with 405 in 3ms", ""}},
		{"over TLS", "https://r.example/", Knock{Status: 200, Expires: in(30)}, want{OK, "receiver", "good for 30 days", ""}},
		{"certificate ends", "https://r.example/", Knock{Status: 200, Expires: in(13)}, want{Warn, "receiver", "ends in 13 days", "renew"}},
		{"slow", "https://r.example/", Knock{Status: 200, Latency: 2 * time.Second}, want{Warn, "receiver", "only after 2s", "sooner"}},
		{"redirect", "https://r.example/", Knock{Status: 308, Err: "redirect to www.r.example"}, want{Warn, "receiver", "308, redirect to www.r.example", "receiver.url"}},
		{"gateway", "https://r.example/", Knock{Status: 502}, want{Warn, "receiver", "502", "behind"}},
		{"fails", "https://r.example/", Knock{Status: 500}, want{OK, "receiver", "500", ""}},
		{"expired", "https://r.example/", Knock{Err: "tls: the certificate is out of date"}, want{Fail, "receiver", "out of date", "renew"}},
		{"another host's", "https://r.example/", Knock{Err: "tls: the certificate is for another host"}, want{Fail, "receiver", "another host", "write the name"}},
		{"unknown authority", "https://r.example/", Knock{Err: "tls: the certificate's authority is unknown"}, want{Fail, "receiver", "authority", "chain"}},
		{"no TLS", "https://r.example/", Knock{Err: "tls: the other side does not speak it"}, want{Fail, "receiver", "tls", "http://"}},
		{"metadata", "https://r.example/", Knock{Err: "address refused: the name"}, want{Fail, "receiver", "address refused", "correct the name"}},
		{"refused", "https://r.example/", Knock{Err: "refused"}, want{Fail, "receiver", "r.example: refused", "start the receiver"}},
		{"timeout", "https://r.example/", Knock{Err: "timeout"}, want{Fail, "receiver", "timeout", "firewall"}},
		{"in a container", "http://127.0.0.1:3000/", Knock{Err: "refused"}, want{Fail, "receiver", "refused", "in a container 127.0.0.1 is the container itself"}},
		{"else", "https://r.example/", Knock{Err: "reset"}, want{Fail, "receiver", "reset", "check receiver.url"}},
	} {
		t.Run(tt.name, func(t *testing.T) { compare(t, []Check{Receiver{URL: tt.url}.judge(tt.knock, "", noon)}, tt.want) })
	}
}

func TestOthers(t *testing.T) {
	compare(t, Receiver{Proxy: "p:1", Signed: true}.others(), want{Warn, "proxy", "through p:1", "NO_PROXY"}, want{OK, "signature", "are signed", ""})
	compare(t, Receiver{}.others(), want{Warn, "signature", "not signed", "receiver.secret_file"})
	compare(t, Receiver{Secret: "secret file x: no such file"}.others(), want{Fail, "signature", "secret file x", "readable"})
}

func TestKindOf(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1": " (this machine)", "::1": " (this machine)", "::ffff:127.0.0.1": " (this machine)",
		"10.1.2.3": " (a private address)", "169.254.1.1": " (a link-local address)", "192.0.2.1": "",
	} {
		if got := kindOf([]netip.Addr{netip.MustParseAddr(addr)}); got != want {
			t.Errorf("%s is %q, want %q", addr, got, want)
		}
	}
}

func TestSources(t *testing.T) {
	for _, tt := range []struct {
		name   string
		paired bool
		all    []Source
		want   []want
	}{
		{"none", false, nil, []want{{Warn, "pairing", "no source", "report"}}},
		{"told, silent", false, []Source{{Name: "report", Advice: "post"}}, []want{{Warn, "source report", "nothing has ever come in", "post"}, {Warn, "pairing", "unpaired", "speak"}}},
		{"told", true, []Source{{Name: "report", Spoken: true}}, []want{{OK, "source report", "has spoken", ""}, {OK, "pairing", "", ""}}},
		{"asked, pairs soon", false, []Source{{Name: "query", How: Asked, Answered: true}}, []want{{OK, "source query", "answers", ""}, {OK, "pairing", "the first pass", ""}}},
		{"asked, fails", false, []Source{{Name: "query", How: Asked, Answered: true, Failing: "down"}}, []want{{Fail, "source query", "can't answer: down", "mend"}, {Warn, "pairing", "unpaired", "speak"}}},
		{"read, empty", false, []Source{{Name: "log", How: Read, Answered: true, Advice: "see"}}, []want{{Warn, "source log", "nothing in it", "see"}, {Warn, "pairing", "unpaired", "speak"}}},
		{"a notice", true, []Source{{Name: "log", How: Read, Spoken: true, Notice: "it was cut off"}},
			[]want{{OK, "source log", "has spoken", ""}, {Warn, "source log", "it was cut off", "status"}, {OK, "pairing", "", ""}}},
		{"one of two fails", true, []Source{{Name: "report", Spoken: true}, {Name: "log", How: Read, Spoken: true, Failing: "gone"}},
			[]want{{OK, "source report", "", ""}, {Fail, "source log", "gone", "mend"}, {OK, "pairing", "", ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) { compare(t, Sources{Paired: tt.paired}.judge(tt.all), tt.want...) })
	}
	blind := Sources{Blind: true}.judge([]Source{{Name: "report"}, {Name: "log", How: Read, Answered: true}, {Name: "query", How: Asked, Answered: true}, {Name: "command", How: Asked, Failing: "x"}})
	compare(t, blind, want{Warn, "source report", "not checked", "mend"}, want{OK, "source log", "can be read", ""}, want{OK, "source query", "answers", ""},
		want{Fail, "source command", "can't answer: x", "mend"}, want{Warn, "pairing", "not checked", "mend"})
}

func TestContract(t *testing.T) {
	reply := func(status int) Reply { return Reply{Status: status} }
	first := func(custom bool) func(Reply) Check { return func(r Reply) Check { return judgeFirst(r, custom) } }
	const event, duplicate, forged, old = "test event", "test duplicate", "test wrong signature", "test old timestamp"
	for _, tt := range []struct {
		judge func(Reply) Check
		reply Reply
		want  want
	}{
		{first(false), reply(204), want{OK, event, "accepted: 204", ""}},
		{first(false), Reply{Err: "timeout"}, want{Fail, event, "no answer: timeout", "receiver.timeout"}},
		{first(false), reply(403), want{Fail, event, "refused: 403", "receiver.secret"}},
		{first(false), Reply{Status: 301, Err: "redirect to x"}, want{Fail, event, "301 (redirect to x)", "receiver.url"}},
		{first(false), reply(404), want{Fail, event, "404", "path of receiver.url"}},
		{first(false), reply(422), want{Warn, event, "refused: 422", "--event-type avatar_video.success"}},
		{first(true), reply(422), want{Fail, event, "refused: 422", "log"}},
		{first(true), reply(429), want{Warn, event, "not now: 429", "later"}},
		{first(true), reply(500), want{Fail, event, "failed: 500", "log"}},
		{judgeDuplicate, reply(200), want{OK, duplicate, "accepted: 200", ""}},
		{judgeDuplicate, reply(409), want{Warn, duplicate, "refused: 409", "answer 2xx"}},
		{judgeDuplicate, reply(500), want{Warn, duplicate, "fails: 500", "answer 2xx"}},
		{judgeDuplicate, Reply{Err: "reset"}, want{Warn, duplicate, "no answer: reset", "hangs"}},
		{judgeForged, reply(401), want{OK, forged, "refused, as it should be: 401", ""}},
		{judgeForged, reply(200), want{Warn, forged, "accepted: 200", "verify Heygen-Signature"}},
		{judgeForged, reply(500), want{Warn, forged, "looks like an outage", "401"}},
		{judgeForged, reply(302), want{Warn, forged, "neither", "401"}},
		{judgeOld, reply(400), want{OK, old, "refused, as it should be: 400", ""}},
		{judgeOld, reply(202), want{Warn, old, "accepted: 202", "300 s"}},
		{judgeOld, Reply{Err: "reset"}, want{Warn, old, "neither", "401"}},
	} {
		t.Run(tt.want.name+" "+tt.reply.String(), func(t *testing.T) { compare(t, []Check{tt.judge(tt.reply)}, tt.want) })
	}
}

// TestEvent: the events of the test are of an entity that nobody has, under the
// name that their type gives it.
func TestEvent(t *testing.T) {
	for kind, key := range map[string]string{
		"": "video_id", "avatar_video.success": "video_id", "avatar_video_caption.fail": "video_id", "video_translate.success": "video_translate_id",
		"video_agent.success": "session_id", "hyperframes_video.success": "render_id", "personalized_video": "project_id", "batch.finished": "batch_id",
		"ai_clipping.success": "id", "something.new": "id",
	} {
		e := Test{Type: kind}.event()
		if !strings.Contains(string(e.Data), `"`+key+`":"`+e.ID+`"`) || e.Entity() != e.ID {
			t.Errorf("%q: %s names the entity %q, want %s", kind, e.Data, e.Entity(), key)
		}
		if !heygen.PrintableID(e.ID) || e.ID == (Test{Type: kind}).event().ID {
			t.Errorf("%q has the id %q", kind, e.ID)
		}
	}
}
