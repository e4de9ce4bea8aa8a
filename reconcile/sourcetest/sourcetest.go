// Package sourcetest is what every source of package reconcile must do, whatever it asks or reads: one suite, run against
// the real partner of each. Only tests import it.
package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/reconcile"
	"backstop/state"
)

// Partner is what stands behind a source: something real, where the receiver leaves a trace of what it took in.
type Partner struct {
	// Source makes the source anew, as a start of backstop does. A recorder records in s.
	Source func(s *state.Store) reconcile.Source
	// Take has the receiver take events in, so that the source can know. What comes while backstop does not run reaches it
	// when it runs again, as far as the partner tries again.
	Take func(events ...heygen.Event)
	// Stop is what the source does when backstop stops in good order, before its state is closed. nil: nothing.
	Stop func()
	// Break has the source fail from now on, Mend undoes Break and Stall. nil: it can't fail.
	Break, Mend func()
	// Stall has it hang longer than its own time limit, which the partner set to something short. nil: it can't hang.
	Stall func()
}

// step is one case of the suite.
type step struct {
	name string
	run  func(*bench)
}

// Run runs the suite.
func Run(t *testing.T, p Partner) {
	for _, s := range steps(p) {
		t.Run(s.name, func(t *testing.T) { s.run(newBench(t, p)) })
	}
}

// steps are the cases that the partner can be put to.
func steps(p Partner) []step {
	all := []step{
		{"seen and not seen", (*bench).seenAndNot},
		{"seen later", (*bench).seenLater},
		{"a restart in the middle", (*bench).restart},
		{"seen in a preview", (*bench).preview},
	}
	if p.Break != nil {
		all = append(all, step{"failing", (*bench).failing}, step{"failing before a POST", (*bench).failingBeforePost})
	}
	if p.Stall != nil {
		all = append(all, step{"slow", (*bench).slow}, step{"stopped while it hangs", (*bench).stopped})
	}
	return all
}

// settle is the settle time of the suite.
const settle = time.Minute

// bench is one state with a source, and what was sent.
type bench struct {
	t       *testing.T
	p       Partner
	options state.Options
	store   *state.Store
	source  reconcile.Source
	sources *reconcile.Sources

	mu    sync.Mutex
	posts []string // ids of the events that were sent
}

func newBench(t *testing.T, p Partner) *bench {
	b := &bench{t: t, p: p, options: state.Options{Path: filepath.Join(t.TempDir(), "backstop.db"), CollapseWindow: 10 * time.Minute}}
	b.open()
	t.Cleanup(b.close)
	return b
}

func (b *bench) open() {
	var err error
	b.store, err = state.Open(b.options)
	b.must(err)
	_, err = b.store.SetBaseline(time.Now().Add(-30 * 24 * time.Hour))
	b.must(err)
	b.source = b.p.Source(b.store)
	b.sources = reconcile.NewSources([]reconcile.Source{b.source}, nil, nil)
}

func (b *bench) close() {
	b.t.Helper()
	if b.p.Stop != nil {
		b.p.Stop()
	}
	b.must(b.store.Close())
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// events makes settled events of entities of their own, whose ids are new in this test.
func (b *bench) events(n int) []heygen.Event {
	list := make([]heygen.Event, n)
	for i := range list {
		id := fmt.Sprintf("evt_%x_%d", time.Now().UnixNano(), i)
		created := time.Now().Add(-time.Hour).Truncate(time.Second)
		list[i] = heygen.Event{
			ID: id, Type: "avatar_video.success", CreatedAt: created, Created: created.UTC().Format(time.RFC3339),
			Data: fmt.Appendf(nil, `{"video_id":"vid_%s","url":"https://files.example.com/%s.mp4"}`, id, id),
		}
	}
	return list
}

func (b *bench) list(events ...heygen.Event) {
	b.t.Helper()
	_, err := b.store.CommitPages(state.Pages{Kind: state.Poll, Events: events, Now: time.Now()})
	b.must(err)
}

func (b *bench) policy() reconcile.Policy {
	return reconcile.Policy{Settle: settle, CollapseWindow: b.options.CollapseWindow}
}

// judge makes one judging pass.
func (b *bench) judge() reconcile.Judged {
	b.t.Helper()
	judged, err := reconcile.NewJudging(b.store, b.sources, b.policy(), nil).Pass(b.t.Context(), time.Now(), nil)
	b.must(err)
	return judged
}

// replay sends what is due, once, to a receiver that takes everything.
func (b *bench) replay() reconcile.Drained {
	b.t.Helper()
	r := reconcile.NewReplayer(b.store, reconcile.ReplayOptions{URL: "http://receiver.test/hook", Sources: b.sources, Transport: b})
	drained, err := r.Drain(b.t.Context())
	b.must(err)
	return drained
}

// RoundTrip is the receiver.
func (b *bench) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.posts = append(b.posts, r.Header.Get("Heygen-Event-Id"))
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("")), Header: http.Header{}, Request: r}, nil
}

func (b *bench) want(e heygen.Event, status state.Status, proof state.Proof) {
	b.t.Helper()
	row, err := b.store.Event(e.ID)
	b.must(err)
	if row == nil || row.Status != status || row.Proof != proof {
		b.t.Errorf("%s is %+v, want %s, proof %s", e.ID, row, status, proof)
	}
}

func (b *bench) wantPosts(ids ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.Join(b.posts, " ") != strings.Join(ids, " ") {
		b.t.Errorf("sent %q, want %q", b.posts, ids)
	}
}

func (b *bench) seenAndNot() {
	e := b.events(4)
	b.p.Take(e[0], e[2])
	b.list(e...)
	b.judge()
	b.want(e[0], state.Seen, b.source.Proof)
	b.want(e[1], state.Missed, state.None)
	b.want(e[2], state.Seen, b.source.Proof)
	b.want(e[3], state.Missed, state.None)
	if !b.store.Paired() {
		b.t.Error("unpaired, although the source spoke")
	}
}

// seenLater: an event that was judged missed arrives before it is sent.
func (b *bench) seenLater() {
	e := b.events(2)
	b.p.Take(e[0]) // it speaks, so that something may be sent at all
	b.list(e...)
	b.judge()
	b.want(e[1], state.Missed, state.None)
	b.p.Take(e[1])
	b.replay()
	b.want(e[1], state.Seen, b.source.Proof)
	b.wantPosts()
}

func (b *bench) failing() {
	e := b.events(2)
	b.p.Take(e[0])
	b.list(e...)
	b.p.Break()
	if judged := b.judge(); !slices.Equal(judged.Failed, []string{b.source.Name}) {
		b.t.Errorf("the pass says %q, want it to name %q", judged.Failed, b.source.Name)
	}
	for _, one := range e {
		b.want(one, state.Listed, state.None)
	}
	b.replay()
	b.wantPosts()
	b.p.Mend()
	if judged := b.judge(); len(judged.Failed) > 0 {
		b.t.Errorf("mended, and the pass says %q", judged.Failed)
	}
	b.want(e[0], state.Seen, b.source.Proof)
	b.want(e[1], state.Missed, state.None)
	if h := b.sources.Health(); h[0].Failing != "" || h[0].Failures == 0 || h[0].Spoke.IsZero() {
		b.t.Errorf("health %+v, want one that failed and is well again", h[0])
	}
}

// failingBeforePost: what was missed when the source last spoke is not sent while it can't speak.
func (b *bench) failingBeforePost() {
	e := b.events(2)
	b.p.Take(e[0])
	b.list(e...)
	b.judge()
	b.want(e[1], state.Missed, state.None)
	b.p.Break()
	if drained := b.replay(); !strings.Contains(drained.Paused, b.source.Name) {
		b.t.Errorf("paused %q, want the source to be named", drained.Paused)
	}
	b.wantPosts()
	b.p.Mend()
	b.replay()
	b.want(e[1], state.Seen, state.Replay)
	b.wantPosts(e[1].ID)
}

// slow: a source that hangs fails by its own time limit.
func (b *bench) slow() {
	e := b.events(1)
	b.list(e...)
	b.p.Stall()
	judged := b.judge()
	b.p.Mend()
	if len(judged.Failed) == 0 {
		b.t.Error("the source hung, and the pass says nothing")
	}
	b.want(e[0], state.Listed, state.None)
}

// stopped: whoever stops backstop does not wait for the source.
func (b *bench) stopped() {
	e := b.events(1)
	b.list(e...)
	b.p.Stall()
	defer b.p.Mend()
	ctx, cancel := context.WithCancel(b.t.Context())
	cancel()
	_, err := reconcile.NewJudging(b.store, b.sources, b.policy(), nil).Pass(ctx, time.Now(), nil)
	if !errors.Is(err, context.Canceled) {
		b.t.Errorf("the pass ended with %v, want that it was stopped", err)
	}
	b.want(e[0], state.Settling, state.None)
}

// restart: what was known before it is known once after it, and what came meanwhile, too.
func (b *bench) restart() {
	e := b.events(4)
	b.p.Take(e[0])
	_, err := b.sources.Sync(b.t.Context())
	b.must(err)
	b.p.Take(e[1])
	b.close()
	b.p.Take(e[2])
	b.open()
	b.list(e...)
	b.judge()
	for _, one := range e[:3] {
		b.want(one, state.Seen, b.source.Proof)
	}
	b.want(e[3], state.Missed, state.None)
	problems, err := b.store.Check(b.t.Context(), true)
	b.must(err)
	for _, problem := range problems {
		b.t.Errorf("check: %+v", problem)
	}
}

// preview: a preview knows what a pass would, and writes nothing.
func (b *bench) preview() {
	e := b.events(2)
	b.p.Take(e[0])
	info, err := b.store.Info()
	b.must(err)
	now := time.Now()
	heard := state.NewHeard(e)
	_, err = b.sources.Peek(b.t.Context(), now, heard)
	b.must(err)
	known, err := b.store.Look(state.Policy{Settle: settle, Heard: heard}).Events(now, e)
	b.must(err)
	verdicts, _, err := b.sources.Verdicts(b.t.Context(), now, e, known, b.policy())
	b.must(err)
	if verdicts[0].Status != state.Seen || verdicts[0].Proof != b.source.Proof || verdicts[1].Status != state.Missed {
		b.t.Errorf("verdicts %+v, want the first seen and the second missed", verdicts)
	}
	if after, err := b.store.Info(); err != nil || after.Generation != info.Generation {
		b.t.Errorf("%d commits by a preview (%v), want none", after.Generation-info.Generation, err)
	}
}
