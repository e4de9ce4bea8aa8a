package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/reconcile"
	"backstop/reconcile/sourcetest"
	"backstop/state"
)

// inbox is a receiver's table of ids, and an oracle that reads it.
type inbox struct {
	has   map[string]bool
	err   error
	hangs bool
	asked []int // how many events each question was about
}

func (i *inbox) Have(ctx context.Context, events []heygen.Event) (map[string]bool, error) {
	i.asked = append(i.asked, len(events))
	if i.hangs {
		limited, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		<-limited.Done()
		return nil, errors.New("no answer within 20ms")
	}
	return i.has, i.err
}

func (i *inbox) take(events ...heygen.Event) {
	for _, e := range events {
		i.has[e.ID] = true
	}
}

func (i *inbox) source(name string, proof state.Proof) reconcile.Source {
	return reconcile.Source{Name: name, Proof: proof, Oracle: i}
}

func newInbox() *inbox { return &inbox{has: map[string]bool{}} }

func TestOracle(t *testing.T) {
	i := newInbox()
	sourcetest.Run(t, sourcetest.Partner{
		Source: func(*state.Store) reconcile.Source { return i.source("query", state.Query) },
		Take:   i.take,
		Break:  func() { i.err = errors.New("connection refused") },
		Stall:  func() { i.hangs = true },
		Mend:   func() { i.err, i.hangs = nil, false },
	})
}

func settledEvents(ids ...string) []heygen.Event {
	list := make([]heygen.Event, len(ids))
	for i, id := range ids {
		list[i] = heygen.Event{ID: id, Type: "avatar_video.success", CreatedAt: time.Now().Add(-time.Hour)}
	}
	return list
}

func TestAskGoesOnWhereOneFails(t *testing.T) {
	weak, strong, broken := newInbox(), newInbox(), newInbox()
	e := settledEvents("evt_1", "evt_2", "evt_3")
	strong.take(e[0])
	weak.take(e[0], e[1])
	broken.err = errors.New("exit status 2")
	s := reconcile.NewSources([]reconcile.Source{
		weak.source("command", state.Command), broken.source("command 2", state.Command), strong.source("query", state.Query),
	}, nil, nil)
	a, err := s.Ask(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if a.Has["evt_1"] != state.Query || a.Has["evt_2"] != state.Command || a.Has["evt_3"] != state.None {
		t.Errorf("has %v, want the strongest proof of each", a.Has)
	}
	if !slices.Equal(a.Failed, []string{"command 2"}) || len(a.Spoke) != 2 {
		t.Errorf("failed %q, spoke %v", a.Failed, a.Spoke)
	}
	if weak.asked[0] != 2 {
		t.Errorf("the weaker was asked about %d, want only the two that the stronger does not have", weak.asked[0])
	}
	if h := s.Health(); h[0].Name != "query" || h[0].Failing != "" || h[2].Failing != "exit status 2" || h[2].Failures != 1 {
		t.Errorf("health %+v", h)
	}
}

func TestAskInBites(t *testing.T) {
	i := newInbox()
	s := reconcile.NewSources([]reconcile.Source{i.source("query", state.Query)}, nil, nil)
	if _, err := s.Ask(t.Context(), settledEvents(make([]string, 1201)...)); err != nil {
		t.Fatal(err)
	}
	if len(i.asked) != 3 || i.asked[0] != 500 || i.asked[2] != 201 {
		t.Errorf("asked about %v, want 500 at most", i.asked)
	}
}

func TestVerdictsAskOnlyAboutWhatWouldBeMissed(t *testing.T) {
	i := newInbox()
	s := reconcile.NewSources([]reconcile.Source{i.source("query", state.Query)}, nil, nil)
	now := time.Now()
	e := settledEvents("open", "young", "reported", "dead", "twin", "baseline")
	e[1].CreatedAt = now
	e[5].CreatedAt = now.Add(-48 * time.Hour)
	i.take(e...)
	known := []state.Known{{}, {}, {Reported: state.Report}, {Status: state.Dead}, {Twin: "open", TwinStatus: state.Missed}, {}}
	v, _, err := s.Verdicts(t.Context(), now, e, known, reconcile.Policy{Settle: time.Minute, Baseline: now.Add(-24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if len(i.asked) != 1 || i.asked[0] != 2 {
		t.Errorf("asked about %v, want the one that would be missed and the second id of its fact", i.asked)
	}
	if v[0].Status != state.Seen || v[0].Proof != state.Query || v[3].Status != state.Dead || v[1].Status != state.Settling {
		t.Errorf("verdicts %+v", v)
	}
}

func TestNoSourcesKnowNothing(t *testing.T) {
	var s *reconcile.Sources
	a, err := s.Ask(t.Context(), settledEvents("evt_1"))
	if err != nil || len(a.Has) != 0 || len(a.Spoke) > 0 || s.HasOracle() || s.Health() != nil {
		t.Errorf("got %+v, %v", a, err)
	}
	if failed, err := s.Sync(t.Context()); len(failed) > 0 || err != nil {
		t.Errorf("sync: %q, %v", failed, err)
	}
}

// TestProbeTriesWhatNobodyAsks: that an oracle can't answer shows before anything has settled, and that it can again soon.
func TestProbeTriesWhatNobodyAsks(t *testing.T) {
	i := newInbox()
	s := reconcile.NewSources([]reconcile.Source{i.source("query", state.Query)}, nil, nil)
	probe := func() reconcile.Answers {
		t.Helper()
		a, err := s.Probe(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	i.err = errors.New("no such table")
	if a := probe(); !slices.Equal(a.Failed, []string{"query"}) {
		t.Errorf("never asked and broken: %+v", a)
	}
	i.err = nil
	if a := probe(); !slices.Equal(a.Spoke, []state.Proof{state.Query}) {
		t.Errorf("mended: %+v", a)
	}
	if a := probe(); len(a.Spoke)+len(a.Failed) > 0 || len(i.asked) != 2 {
		t.Errorf("well: %+v after %d questions, want no third", a, len(i.asked))
	}
}

// diary is a recorder that must not be written to.
type diary struct {
	t      *testing.T
	peeked int
	err    error
}

func (d *diary) Sync(context.Context) error {
	d.t.Error("a trial wrote")
	return nil
}

func (d *diary) Peek(context.Context, func(state.Sighting)) error {
	d.peeked++
	return d.err
}

// TestTrial: every source is asked or read, those that are well too, and nothing is
// written.
func TestTrial(t *testing.T) {
	i, d := newInbox(), &diary{t: t}
	s := reconcile.NewSources([]reconcile.Source{i.source("query", state.Query), {Name: "log", Proof: state.Log, Recorder: d}, {Name: "report", Proof: state.Report}}, nil, nil)
	for n := range 2 {
		if err := s.Trial(t.Context()); err != nil || len(i.asked) != n+1 || i.asked[n] != 0 || d.peeked != n+1 {
			t.Fatalf("trial %d: %v, asked %v, read %d times", n, err, i.asked, d.peeked)
		}
	}
	i.err, d.err = errors.New("no such table"), errors.New("no such file")
	if err := s.Trial(t.Context()); err != nil {
		t.Fatal(err)
	}
	var failing []string
	for _, h := range s.Health() {
		failing = append(failing, h.Failing)
	}
	if want := []string{"no such table", "", "no such file"}; !slices.Equal(failing, want) {
		t.Errorf("failing %q, want %q", failing, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Trial(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	var none *reconcile.Sources
	if err := none.Trial(t.Context()); err != nil {
		t.Errorf("no sources: %v", err)
	}
}

// TestFailuresShowNoSecret: a program that fails may print what it was given.
func TestFailuresShowNoSecret(t *testing.T) {
	i := newInbox()
	i.err = errors.New("exit 1: cannot log in with s3cretkey")
	s := reconcile.NewSources([]reconcile.Source{i.source("command", state.Command)}, func() []string { return []string{"s3cretkey"} }, nil)
	if _, err := s.Ask(t.Context(), settledEvents("evt_1")); err != nil {
		t.Fatal(err)
	}
	if h := s.Health(); h[0].Failing != "exit 1: cannot log in with …" {
		t.Errorf("it says %q", h[0].Failing)
	}
}
