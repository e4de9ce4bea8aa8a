package engine

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/receiver"
	"backstop/internal/simulate"
	"backstop/state"
)

// samples scrapes a life: values by name and labels.
func (l *life) samples() map[string]float64 {
	w := httptest.NewRecorder()
	l.counts.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	found := map[string]float64{}
	for line := range bytes.Lines(w.Body.Bytes()) {
		name, value, ok := strings.Cut(strings.TrimSpace(string(line)), " ")
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil {
			found[name] = n
		}
	}
	return found
}

// total adds up the values of a metric over its labels.
func total(samples map[string]float64, metric string) (sum float64) {
	for name, n := range samples {
		if bare, _, _ := strings.Cut(name, "{"); bare == "backstop_"+metric {
			sum += n
		}
	}
	return sum
}

// metered is what a scrape must say at every moment, whatever was killed.
func (s *scene) metered(l *life) {
	now := l.samples()
	counts := l.engine.store.Counts()
	for name, want := range map[string]int64{
		"events_pending": counts.Status[state.Missed] + counts.Status[state.Replaying],
		"events_dead":    counts.Status[state.Dead],
		// Each POST that has come to its end was counted, by what it came to.
		"replay_attempts_total": s.landed(l), "replay_duration_seconds_count": s.landed(l),
	} {
		if got := int64(total(now, name)); got != want {
			s.wrong("metrics: %s is %d, want %d", name, got, want)
		}
	}
	if ended, posts := total(now, "replays_total"), total(now, "replay_attempts_total"); now[`backstop_replays_total{result="seen"}`] > posts {
		s.wrong("metrics: %v replays ended by %v POSTs", ended, posts)
	}
	for name, n := range l.last {
		if now[name] < n && strings.Contains(name, "_total") {
			s.wrong("metrics: %s went back from %v to %v", name, n, now[name])
		}
	}
	l.last = now
}

// landed counts the POSTs of a life that have ended.
func (s *scene) landed(l *life) (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.posts {
		if p.life == l.number && !p.end.IsZero() {
			n++
		}
	}
	return n
}

// TestMetricsTellTheStory lets one of everything happen to events, and compares each counter with what the state says in the end.
func TestMetricsTellTheStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		atWork(t)
		p := calmPlan(0, 3)
		p.world.PushURL, p.world.Secret, p.beginning = "https://receiver.test/hook", sceneSecret, true
		p.poison, p.maxAttempts = 1, 3
		s := newScene(t, p)
		l := s.live("", 0)
		s.pass(time.Minute)
		if n := total(l.samples(), "events_listed_total"); n != 0 || l.samples()["backstop_unpaired"] != 1 {
			t.Errorf("%v events before there is one, unpaired %v", n, l.samples()["backstop_unpaired"])
		}
		pushed := s.make(simulate.Recipe{Push: simulate.Prompt, Type: "avatar_video.success", Entity: "vid_pushed"})
		dead := s.make(simulate.Recipe{Push: simulate.NoPush, Type: "avatar_video.fail", Entity: "vid_dead"})
		s.pass(10 * time.Minute) // the first fact that is replayed is refused, and dies
		s.set(func() { s.poison = "nothing" })
		s.pause(true)
		same := simulate.Recipe{Push: simulate.NoPush, Type: "avatar_video.success", Data: []byte(`{"video_id":"vid_missed"}`)}
		missed, twin := s.make(same), s.make(same)
		ignored := s.make(simulate.Recipe{Push: simulate.NoPush, Type: "avatar_video.success", Entity: "vid_ignored"})
		late := s.make(simulate.Recipe{Push: simulate.NoPush, Type: "avatar_video.success", Entity: "vid_late"})
		s.pass(5 * time.Minute)
		held := l.samples()
		if held["backstop_receiver_paused"] != 1 || held["backstop_events_pending"] != 3 || held["backstop_oldest_missed_age_seconds"] < 200 {
			t.Errorf("paused %v, pending %v, oldest %v", held["backstop_receiver_paused"], held["backstop_events_pending"], held["backstop_oldest_missed_age_seconds"])
		}
		_, err := l.engine.Ignore(IgnoreRequest{IDs: []string{ignored}, Why: "not wanted", Who: "ann"})
		s.must(err)
		_, err = l.engine.Record([]state.Sighting{{ID: late, Proof: state.Tap}})
		s.must(err)
		s.pause(false)
		s.pass(5 * time.Minute)
		s.tells(l, map[string]state.Status{
			pushed: state.Seen, dead: state.Dead, missed: state.Seen, twin: state.Seen, ignored: state.Ignored, late: state.Seen,
		})
		requests := float64(s.world.Stats().Requests)
		for name, want := range map[string]float64{
			`events_listed_total{event_type="avatar_video.success"}`: 5, `events_listed_total{event_type="avatar_video.fail"}`: 1,
			`events_missed_total{event_type="avatar_video.success"}`: 3, `events_missed_total{event_type="avatar_video.fail"}`: 1,
			`events_seen_total{proof="report"}`: 1, `events_seen_total{proof="tap"}`: 1, `events_seen_total{proof="replay"}`: 2,
			`replays_total{result="seen"}`: 1, `replays_total{result="dead"}`: 1, `replays_total{result="ignored"}`: 0, `replays_total{result="superseded"}`: 0,
			`replay_attempts_total{code="200"}`: 1, `replay_attempts_total{code="404"}`: 3,
			`listing_requests_total{code="200"}`: requests, `pages_total`: requests, `push_delay_seconds_count`: 2,
			`events_dead`: 1, `events_pending`: 0, `oldest_missed_age_seconds`: 0, `receiver_paused`: 0, `unpaired`: 0, `coverage_gap_seconds`: 0,
		} {
			if got := l.samples()["backstop_"+name]; got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		s.end()
		for _, text := range s.errors {
			t.Error(text)
		}
	})
}

// The receiver reports inside its handler, before it answers: its report of our own replay is no other proof.
func TestReplayThatIsReportedBeforeItIsAnsweredCountsAsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		atWork(t)
		p := calmPlan(0, 3)
		p.beginning = true
		s := newScene(t, p)
		s.must(s.receiver.Close())
		s.receiver = receiver.New(receiver.Options{Secrets: []string{sceneSecret}, Answer: func(d receiver.Delivery, _ int) int {
			_, err := s.current().engine.Record([]state.Sighting{{ID: d.ID, Proof: state.Report}})
			s.must(err)
			return 0
		}})
		l := s.live("", 0)
		s.must(l.engine.store.SetPaired(state.Report))
		id := s.make(simulate.Recipe{Push: simulate.NoPush, Type: "avatar_video.success", Entity: "vid_missed"})
		s.pass(5 * time.Minute)
		s.tells(l, map[string]state.Status{id: state.Seen})
		for name, want := range map[string]float64{
			`replays_total{result="seen"}`: 1, `replays_total{result="superseded"}`: 0, `replay_attempts_total{code="200"}`: 1,
			`events_seen_total{proof="report"}`: 1, `events_seen_total{proof="replay"}`: 0, `push_delay_seconds_count`: 0,
		} {
			if got := l.samples()["backstop_"+name]; got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		s.end()
	})
}

// pass lets time go by, and looks.
func (s *scene) pass(d time.Duration) {
	time.Sleep(d)
	s.sample()
}

// make has an event made now, and gives its id.
func (s *scene) make(r simulate.Recipe) string {
	e, err := s.world.Create(r)
	s.must(err)
	return e.ID
}

// tells compares where events stand with what is expected, and what the counters add up to with the counts of the state.
func (s *scene) tells(l *life, want map[string]state.Status) {
	known := s.statuses(l)
	if fmt.Sprint(known) != fmt.Sprint(want) {
		s.t.Fatalf("the events are %v, want %v", known, want)
	}
	now, counts := l.samples(), l.engine.store.Counts().Status
	if got := total(now, "events_seen_total"); got != float64(counts[state.Seen]) {
		s.t.Errorf("%v events are counted as seen, %d are", got, counts[state.Seen])
	}
	if got := total(now, "events_listed_total"); got != float64(len(known)) {
		s.t.Errorf("%v events are counted as listed, %d are", got, len(known))
	}
}
