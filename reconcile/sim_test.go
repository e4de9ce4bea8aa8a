package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// errRefused is what a dial to a closed port ends with.
var errRefused = fmt.Errorf("dial: %w", syscall.ECONNREFUSED)

// got is one POST that the simulated receiver took.
type got struct {
	id      string
	begun   time.Time
	at      time.Time // of the answer
	status  int       // 0: none was given
	headers http.Header
	body    string
}

// target is a receiver in memory: real sockets do not run in a bubble.
type target struct {
	mu     sync.Mutex
	posts  []got
	flying int
	most   int // in flight at once
	delay  time.Duration
	after  string                                         // Retry-After of every answer; "": none
	answer func(n int, id string) (status int, err error) // called with mu held; n: POSTs of this id before; nil: 200
}

func (r *target) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	id := req.Header.Get("Heygen-Event-Id")
	n, begun := r.enter(id), time.Now()
	defer r.leave()
	select {
	case <-time.After(r.delay):
	case <-req.Context().Done():
		r.note(got{id, begun, time.Now(), 0, req.Header, string(body)})
		return nil, req.Context().Err()
	}
	status, err := r.reply(n, id)
	r.note(got{id, begun, time.Now(), status, req.Header, string(body)})
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: r.headers(), Body: io.NopCloser(strings.NewReader("ok"))}, nil
}

func (r *target) headers() http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := http.Header{}
	if r.after != "" {
		h.Set("Retry-After", r.after)
	}
	return h
}

func (r *target) reply(n int, id string) (status int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer == nil {
		return http.StatusOK, nil
	}
	return r.answer(n, id)
}

func (r *target) enter(id string) (before int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flying++
	r.most = max(r.most, r.flying)
	for _, p := range r.posts {
		if p.id == id {
			before++
		}
	}
	return before
}

func (r *target) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flying--
}

func (r *target) note(p got) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts = append(r.posts, p)
}

// all returns the POSTs so far.
func (r *target) all() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.posts)
}

// accepted counts the 2xx for each id.
func (r *target) accepted() map[string]int {
	n := map[string]int{}
	for _, p := range r.all() {
		if p.status/100 == 2 {
			n[p.id]++
		}
	}
	return n
}

// openStore opens a real state with a baseline a day before now, paired.
func openStore(t *testing.T) *state.Store {
	t.Helper()
	s := openAt(t, filepath.Join(t.TempDir(), "backstop.db"))
	if _, err := s.SetBaseline(time.Now().Add(-24 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.SetPaired(); err != nil {
		t.Fatal(err)
	}
	return s
}

func openAt(t *testing.T, path string) *state.Store {
	t.Helper()
	s, err := state.Open(state.Options{Path: path, APIBase: "https://api.heygen.com", CollapseWindow: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// event is one of an entity of its own, an hour old and n seconds.
func event(n int) heygen.Event {
	return eventOf(fmt.Sprintf("evt_%03d", n), fmt.Sprintf("vid_%03d", n), n)
}

func eventOf(id, entity string, n int) heygen.Event {
	created := time.Now().Add(-time.Hour + time.Duration(n)*time.Second).UTC().Truncate(time.Second)
	return heygen.Event{
		ID: id, Type: "avatar_video.success", CreatedAt: created, Created: created.Format(time.RFC3339),
		Data: fmt.Appendf(nil, `{ "video_id":%q,"n":%d }`, entity, n),
	}
}

func eventsTo(n int) []heygen.Event {
	events := make([]heygen.Event, n)
	for i := range events {
		events[i] = event(i)
	}
	return events
}

// list commits events as one whole walk.
func list(t *testing.T, s *state.Store, walk uint64, events ...heygen.Event) {
	t.Helper()
	now := time.Now()
	if _, err := s.CommitPages(state.Pages{Walk: walk, Events: events, Now: now}); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishWalk(state.WalkEnd{Now: now, Start: now, Complete: true, Mark: now.Add(-5 * time.Minute), From: now.Add(-24 * time.Hour), To: now}); err != nil {
		t.Fatal(err)
	}
}

func judgePolicy() Policy { return Policy{Settle: 5 * time.Minute, CollapseWindow: 10 * time.Minute} }

// missed lists and judges events.
func missed(t *testing.T, s *state.Store, events ...heygen.Event) Judged {
	t.Helper()
	list(t, s, 1, events...)
	judged, err := NewJudging(s, nil, judgePolicy(), nil).Pass(t.Context(), time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return judged
}

// askFor has a person ask for events by their ids.
func askFor(t *testing.T, s *state.Store, ids ...string) {
	t.Helper()
	run, err := s.BeginRun(time.Now(), state.Run{Kind: state.RunReplay, Who: "ann", What: "a test"}, ids)
	if err == nil {
		_, _, err = s.QueueRun(time.Now(), run.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func replayerFor(s *state.Store, r http.RoundTripper, change ...func(*ReplayOptions)) *Replayer {
	o := ReplayOptions{
		URL: "https://receiver.example/hook?token=secret", Transport: r, Concurrency: 4, Rate: 5, Timeout: 10 * time.Second,
		BackoffMin: 5 * time.Second, BackoffMax: time.Hour, MaxAttempts: 12,
		Secrets: func() ([]string, error) { return []string{testSecret}, nil },
	}
	for _, f := range change {
		f(&o)
	}
	return NewReplayer(s, o)
}

// statuses is the status of every event.
func statuses(t *testing.T, s *state.Store) map[string]state.Status {
	t.Helper()
	m := map[string]state.Status{}
	err := s.Events(t.Context(), state.Filter{}, func(r state.Row) error {
		m[r.Event.ID] = r.Status
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func count(m map[string]state.Status, want state.Status) int {
	n := 0
	for _, s := range m {
		if s == want {
			n++
		}
	}
	return n
}

func row(t *testing.T, s *state.Store, id string) *state.Row {
	t.Helper()
	r, err := s.Event(id)
	if err != nil {
		t.Fatal(err)
	}
	if r == nil {
		t.Fatalf("%s is unknown", id)
	}
	return r
}

func drain(t *testing.T, r *Replayer) Drained {
	t.Helper()
	d, err := r.Drain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// inOrder reports the first two events of one entity of which the later was
// first tried before the earlier was accepted; "" when there are none.
func inOrder(posts []got, entity func(id string) string) string {
	done := map[string]bool{}
	tried := map[string][]string{}
	for _, p := range posts {
		e := entity(p.id)
		for _, earlier := range tried[e] {
			if cmp.Less(earlier, p.id) && !done[earlier] {
				return earlier + " was not done before " + p.id
			}
			if cmp.Less(p.id, earlier) {
				return p.id + " came after " + earlier
			}
		}
		if !slices.Contains(tried[e], p.id) {
			tried[e] = append(tried[e], p.id)
		}
		done[p.id] = done[p.id] || p.status/100 == 2
	}
	return ""
}

// run starts Run and returns what ends it and waits.
func run(t *testing.T, r *Replayer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	ended := false
	return func() {
		t.Helper()
		if ended {
			return
		}
		ended = true
		start := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("shutdown took %v", took)
		}
	}
}

// closed is a receiver that nobody listens at.
func closed(int, string) (int, error) { return 0, errRefused }

var errUnreadable = errors.New("open /run/secrets/whsec: permission denied")
