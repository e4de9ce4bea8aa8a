package metrics

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"backstop/state"
)

// scrape gives the samples of our own metrics, as text by name and labels.
func scrape(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	found := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(text(t, m)))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && strings.HasPrefix(name, namespace) {
			found[name] = value
		}
	}
	return found
}

func text(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("a scrape is answered %d, %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	return w.Body.String()
}

// want compares samples.
func want(t *testing.T, m *Metrics, samples map[string]string) {
	t.Helper()
	found := scrape(t, m)
	for name, value := range samples {
		if found[name] != value {
			t.Errorf("%s is %q, want %q", name, found[name], value)
		}
	}
}

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func TestEverythingIsThereFromTheStart(t *testing.T) {
	m := New("1.2.3")
	m.Types([]string{"avatar_video.success"})
	m.Show(func() Readings { return Readings{Sources: []SourceHealth{{Name: "query"}}} })
	zero := []string{
		"pages_total", "events_pending", "events_dead", "oldest_missed_age_seconds", "mark_timestamp_seconds", "last_pass_timestamp_seconds",
		"last_pass_duration_seconds", "last_clean_pass_timestamp_seconds", "coverage_gap_seconds", "push_delay_seconds_count",
		"replay_duration_seconds_count", "receiver_paused", "unpaired", "state_size_bytes", `source_failures_total{source="query"}`,
	}
	for _, kind := range []string{"avatar_video.success", "other"} {
		zero = append(zero, `events_listed_total{event_type="`+kind+`"}`, `events_missed_total{event_type="`+kind+`"}`)
	}
	for _, proof := range []string{"query", "tap", "replay", "report", "command", "log", "mirror", "import", "baseline"} {
		zero = append(zero, `events_seen_total{proof="`+proof+`"}`)
	}
	for _, result := range []string{"seen", "dead", "ignored", "superseded"} {
		zero = append(zero, `replays_total{result="`+result+`"}`)
	}
	for _, code := range []string{"200", "429", "503", "timeout", "refused", "reset", "dns", "tls", "stopped", "error"} {
		zero = append(zero, `listing_requests_total{code="`+code+`"}`, `replay_attempts_total{code="`+code+`"}`)
	}
	found := scrape(t, m)
	for _, name := range zero {
		if found["backstop_"+name] != "0" {
			t.Errorf("%s is %q, want 0", name, found["backstop_"+name])
		}
	}
	if found[`backstop_build_info{version="1.2.3"}`] != "1" {
		t.Error("build_info is missing")
	}
	if _, ok := found[`backstop_source_up{source="query"}`]; ok {
		t.Error("a source that was never asked is said to be up or not")
	}
	for name, value := range found {
		if value != "0" && !strings.HasPrefix(name, "backstop_build_info") {
			t.Errorf("%s is %s from the start", name, value)
		}
	}
}

func TestNamesAndHelp(t *testing.T) {
	m := New("dev")
	m.Show(func() Readings { return Readings{Sources: []SourceHealth{{Name: "log 2", Asked: noon()}}} })
	problems, err := promlint.New(strings.NewReader(text(t, m))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// The page names every metric, and none that is not there.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	m := New("dev")
	m.Show(func() Readings { return Readings{Sources: []SourceHealth{{Name: "query", Asked: noon()}}} })
	there := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (backstop_\w+) `).FindAllStringSubmatch(text(t, m), -1) {
		there[line[1]] = true
		if !strings.Contains(string(page), "`"+line[1]) {
			t.Errorf("docs/operations.md does not name %s", line[1])
		}
	}
	for _, name := range regexp.MustCompile(`\bbackstop_\w+`).FindAllString(string(page), -1) {
		if !there[name] {
			t.Errorf("docs/operations.md names %s, which is not there", name)
		}
	}
}

func TestTypesBeyondTheFirstHundredAreOther(t *testing.T) {
	m := New("dev")
	m.Types([]string{"type_0", "type_1"})
	for i := range 150 {
		kind := fmt.Sprintf("type_%d", i)
		m.Changed([]state.Change{
			{Type: kind, To: state.Settling}, {Type: kind, To: state.Settling}, {Type: kind, From: state.Settling, To: state.Missed},
		})
	}
	m.Changed([]state.Change{{Type: "", To: state.Settling}, {Type: "\xff", To: state.Settling}, {Type: "other", To: state.Settling}})
	want(t, m, map[string]string{
		`backstop_events_listed_total{event_type="type_0"}`:   "2",
		`backstop_events_missed_total{event_type="type_99"}`:  "1",
		`backstop_events_listed_total{event_type="type_100"}`: "",
		`backstop_events_listed_total{event_type="other"}`:    "103",
		`backstop_events_missed_total{event_type="other"}`:    "50",
	})
	series := 0
	for name := range scrape(t, m) {
		if strings.HasPrefix(name, "backstop_events_listed_total") {
			series++
		}
	}
	if series != 101 {
		t.Errorf("%d series of event types, want a hundred and other", series)
	}
}

func TestChangesAreCounted(t *testing.T) {
	const a = "avatar_video.success"
	seen, missed, replays := `backstop_events_seen_total{proof="`, `backstop_events_missed_total{event_type="`+a+`"}`, `backstop_replays_total{result="`
	delays := "backstop_push_delay_seconds_count"
	at := noon().Add(3 * time.Second)
	for _, test := range []struct {
		name   string
		change state.Change
		counts []string // that are 1; all others of these stay 0
	}{
		{"listed", state.Change{To: state.Settling}, []string{`backstop_events_listed_total{event_type="` + a + `"}`}},
		{"listed and seen", state.Change{To: state.Seen, Proof: state.Tap, At: at}, []string{`backstop_events_listed_total{event_type="` + a + `"}`, seen + `tap"}`, delays}},
		{"reported", state.Change{From: state.Settling, To: state.Seen, Proof: state.Report, At: at}, []string{seen + `report"}`, delays}},
		{"in the log", state.Change{From: state.Settling, To: state.Seen, Proof: state.Log, At: at}, []string{seen + `log"}`}},
		{"undecided, then missed", state.Change{From: state.Listed, To: state.Missed}, []string{missed}},
		{"missed again", state.Change{From: state.Dead, To: state.Missed, Missed: true}, nil},
		{"the first attempt", state.Change{From: state.Missed, To: state.Replaying, Missed: true}, nil},
		{"replayed", state.Change{From: state.Replaying, To: state.Seen, Proof: state.Replay, At: at, Tried: true}, []string{seen + `replay"}`, replays + `seen"}`}},
		{"reported between two attempts", state.Change{From: state.Replaying, To: state.Seen, Proof: state.Report, At: at, Tried: true},
			[]string{seen + `report"}`, replays + `superseded"}`}},
		{"reported during an attempt", state.Change{From: state.Replaying, To: state.Seen, Proof: state.Report, At: at, Tried: true, Flying: true},
			[]string{seen + `report"}`}},
		{"and then taken", state.Change{From: state.Seen, To: state.Seen, Landed: state.Seen}, []string{replays + `seen"}`}},
		{"or not taken", state.Change{From: state.Seen, To: state.Seen, Landed: state.Replaying}, []string{replays + `superseded"}`}},
		{"or not even sent", state.Change{From: state.Seen, To: state.Seen, Landed: state.Missed}, []string{replays + `superseded"}`}},
		{"given up during an attempt", state.Change{From: state.Replaying, To: state.Ignored, Tried: true, Flying: true}, nil},
		{"and then not taken", state.Change{From: state.Ignored, To: state.Ignored, Landed: state.Replaying}, []string{replays + `ignored"}`}},
		{"a twin since, and taken", state.Change{From: state.Settling, To: state.Settling, Landed: state.Seen}, []string{replays + `seen"}`}},
		{"a twin since, and not taken", state.Change{From: state.Settling, To: state.Settling, Landed: state.Replaying}, []string{replays + `superseded"}`}},
		{"forgotten since, and taken", state.Change{Landed: state.Seen}, []string{replays + `seen"}`}},
		{"a late push", state.Change{From: state.Missed, To: state.Seen, Proof: state.Mirror, At: at, Missed: true}, []string{seen + `mirror"}`, delays}},
		{"dead", state.Change{From: state.Replaying, To: state.Dead, Tried: true}, []string{replays + `dead"}`}},
		{"dead before, and taken back", state.Change{From: state.Replaying, To: state.Dead, Tried: true, TakenBack: true}, nil},
		{"given up", state.Change{From: state.Replaying, To: state.Ignored, Tried: true}, []string{replays + `ignored"}`}},
		{"given up before it was tried", state.Change{From: state.Missed, To: state.Ignored}, nil},
		{"a twin now", state.Change{From: state.Replaying, To: state.Settling, Tried: true}, []string{replays + `superseded"}`}},
		{"another's replay", state.Change{From: state.Replaying, To: state.Seen, Proof: state.Replay, Twin: true, Tried: true},
			[]string{seen + `replay"}`, replays + `superseded"}`}},
		{"taken back", state.Change{From: state.Replaying, To: state.Missed, Missed: true}, nil},
		{"forgotten", state.Change{From: state.Seen}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := New("dev")
			c := test.change
			c.Type, c.Created = a, noon()
			m.Changed([]state.Change{c})
			counted := map[string]bool{}
			for _, name := range test.counts {
				counted[name] = true
			}
			for name, value := range scrape(t, m) {
				if moves := strings.HasPrefix(name, "backstop_events") || strings.HasPrefix(name, "backstop_replays") || name == delays; moves && (value == "1") != counted[name] {
					t.Errorf("%s is %s", name, value)
				}
				delete(counted, name)
			}
			for name := range counted {
				t.Errorf("%s is not there", name)
			}
		})
	}
}

func TestPushDelays(t *testing.T) {
	m := New("dev")
	for _, delay := range []time.Duration{-2 * time.Second, 0, 3 * time.Second, 23 * time.Hour, 30 * time.Hour} {
		m.Changed([]state.Change{{Type: "a", Created: noon(), To: state.Seen, Proof: state.Report, At: noon().Add(delay)}})
	}
	m.Changed([]state.Change{{Type: "a", To: state.Seen, Proof: state.Report, At: noon()}}) // undated: unknown
	want(t, m, map[string]string{
		`backstop_push_delay_seconds_bucket{le="0.1"}`:   "2",
		`backstop_push_delay_seconds_bucket{le="5"}`:     "3",
		`backstop_push_delay_seconds_bucket{le="86400"}`: "4",
		`backstop_push_delay_seconds_count`:              "5",
	})
}

func TestCodes(t *testing.T) {
	m := New("dev")
	for _, err := range []error{
		context.Canceled, &url.Error{Op: "Get", Err: context.DeadlineExceeded}, &net.DNSError{Err: "no such host", IsTimeout: true},
		&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, fmt.Errorf("read: %w", syscall.ECONNRESET), io.EOF,
		tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, errors.New("anything"),
	} {
		m.Request(0, err)
	}
	m.Request(200, nil)
	m.Request(999, nil)
	m.Page()
	for _, words := range []string{"timeout", "refused", "reset", "dns", "tls", "tls: the certificate is out of date", "no route", "network",
		"stopped before the answer", "address refused: the name of the receiver leads to a link-local or metadata address"} {
		m.Attempt(0, words, time.Millisecond)
	}
	m.Attempt(302, "redirect to elsewhere.example", 2*time.Second)
	m.Attempt(418, "", time.Minute)
	listing, attempts := `backstop_listing_requests_total{code="`, `backstop_replay_attempts_total{code="`
	want(t, m, map[string]string{
		listing + `stopped"}`: "1", listing + `timeout"}`: "1", listing + `dns"}`: "1", listing + `refused"}`: "1",
		listing + `reset"}`: "2", listing + `tls"}`: "1", listing + `error"}`: "2", listing + `200"}`: "1", "backstop_pages_total": "1",
		attempts + `timeout"}`: "1", attempts + `refused"}`: "1", attempts + `reset"}`: "1", attempts + `dns"}`: "1",
		attempts + `tls"}`: "2", attempts + `stopped"}`: "1", attempts + `error"}`: "3", attempts + `302"}`: "1", attempts + `418"}`: "1",
		`backstop_replay_duration_seconds_bucket{le="0.005"}`: "10", "backstop_replay_duration_seconds_count": "12",
	})
}

func TestGauges(t *testing.T) {
	m, now := New("dev"), time.Now()
	m.Show(func() Readings {
		return Readings{
			Pending: 3, Dead: 1, OldestMissed: now.Add(-time.Hour), Mark: noon(), LastPass: noon().Add(1500 * time.Millisecond),
			LastPassTook: 250 * time.Millisecond, LastClean: noon(), Gap: 7200, Paused: true, Unpaired: true, Rate: 1.25, Configured: 5, StateSize: 4096,
		}
	})
	want(t, m, map[string]string{
		"backstop_events_pending": "3", "backstop_events_dead": "1", "backstop_mark_timestamp_seconds": "1.7723664e+09",
		"backstop_last_pass_timestamp_seconds": "1.7723664015e+09", "backstop_last_pass_duration_seconds": "0.25",
		"backstop_last_clean_pass_timestamp_seconds": "1.7723664e+09", "backstop_coverage_gap_seconds": "7200",
		"backstop_replay_rate": "1.25", "backstop_replay_rate_configured": "5", "backstop_receiver_paused": "1", "backstop_unpaired": "1", "backstop_state_size_bytes": "4096",
	})
	var age float64
	if _, err := fmt.Sscan(scrape(t, m)["backstop_oldest_missed_age_seconds"], &age); err != nil || age < 3600 || age > 7200 {
		t.Errorf("the oldest missed event is %v s old (%v), want an hour", age, err)
	}
}

// A reload makes the sources anew: what they count begins at 0 again, and the metric goes on.
func TestFailuresOfSourcesNeverGoBack(t *testing.T) {
	m, now := New("dev"), SourceHealth{Name: "query"}
	m.Show(func() Readings { return Readings{Sources: []SourceHealth{now}} })
	for _, step := range []struct {
		failures  int64
		failing   string
		total, up string
	}{
		{0, "", "0", "1"}, {3, "refused", "3", "0"}, {3, "", "3", "1"}, {1, "refused", "4", "0"}, {0, "", "4", "1"}, {2, "timeout", "6", "0"},
	} {
		now = SourceHealth{Name: "query", Asked: noon(), Failing: step.failing, Failures: step.failures}
		want(t, m, map[string]string{`backstop_source_failures_total{source="query"}`: step.total, `backstop_source_up{source="query"}`: step.up})
	}
}
