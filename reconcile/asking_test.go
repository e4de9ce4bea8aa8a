package reconcile

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// table is an oracle that takes its time, and counts the questions.
type table struct {
	has       map[string]bool
	takes     time.Duration
	questions int
	err       func(question int) error // nil: it answers
}

func (o *table) Have(_ context.Context, _ []heygen.Event) (map[string]bool, error) {
	o.questions++
	time.Sleep(o.takes) // of the bubble
	if o.err != nil {
		return nil, o.err(o.questions)
	}
	return o.has, nil
}

func (o *table) sources() *Sources {
	return NewSources([]Source{{Name: "query", Proof: state.Query, Oracle: o}}, nil, nil)
}

func asks(o *table) func(*ReplayOptions) {
	sources := o.sources()
	return func(r *ReplayOptions) { r.Sources, r.Rate = sources, 0 }
}

func TestOneQuestionServesABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec, o := openStore(t), &target{}, &table{}
		missed(t, s, eventsTo(300)...)
		drain(t, replayerFor(s, rec, asks(o)))
		if n := len(rec.all()); n != 300 || o.questions != 1 {
			t.Errorf("%d sent with %d questions, want 300 with one", n, o.questions)
		}
	})
}

// TestTwoDrainsShareTheirQuestions: what the one has asked the other need not ask.
func TestTwoDrainsShareTheirQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec, o := openStore(t), &target{}, &table{}
		missed(t, s, eventsTo(700)...)
		var ids []string
		for i := 600; i < 700; i++ {
			ids = append(ids, fmt.Sprintf("evt_%03d", i))
		}
		askFor(t, s, ids...)
		r := replayerFor(s, rec, asks(o))
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- r.Run(ctx) }()
		if _, err := r.DrainManual(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-ran; err != nil {
			t.Fatal(err)
		}
		if o.questions > 5 {
			t.Errorf("%d sent with %d questions, want a few", len(rec.all()), o.questions)
		}
	})
}

func TestAnAnswerGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := openStore(t), &table{}
		missed(t, s, eventsTo(3)...)
		rec := &target{delay: 6 * time.Second}
		drain(t, replayerFor(s, rec, asks(o), func(r *ReplayOptions) { r.Concurrency = 1 }))
		if n := len(rec.all()); n != 3 || o.questions != 2 {
			t.Errorf("%d sent with %d questions, want 3 with 2: the third comes 12 s after the first", n, o.questions)
		}
	})
}

func TestAPauseThatComesMeanwhileHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec, o := openStore(t), &target{}, &table{takes: 3 * time.Second}
		missed(t, s, eventsTo(3)...)
		go func() {
			time.Sleep(time.Second)
			if _, err := s.Pause(time.Now(), "maintenance", "a person"); err != nil {
				t.Error(err)
			}
		}()
		if d := drain(t, replayerFor(s, rec, asks(o))); d.Sent != 0 {
			t.Errorf("%d sent after the pause", d.Sent)
		}
	})
}

func TestWhatIsSaidTooLateIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec, o := openStore(t), &target{}, &table{takes: 11 * time.Second}
		missed(t, s, eventsTo(3)...)
		d := drain(t, replayerFor(s, rec, asks(o)))
		if d.Sent != 0 || o.questions != 1 || !strings.Contains(d.Paused, "longer than 10s to answer") {
			t.Errorf("%+v after %d questions, want nothing sent and the reason", d, o.questions)
		}
	})
}

// TestAReasonThatChangesWritesNothing: a text with a port or a time in it is another one each time.
func TestAReasonThatChangesWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		list(t, s, 1, eventsTo(300)...)
		o := &table{err: func(question int) error { return fmt.Errorf("read from port %d: connection reset", 40000+question) }}
		j := NewJudging(s, o.sources(), judgePolicy(), nil)
		for _, want := range []int{300, 0, 0} {
			sum, err := j.Pass(t.Context(), time.Now(), nil)
			if err != nil || sum.Listed != want {
				t.Errorf("%d events written as listed (%v), want %d", sum.Listed, err, want)
			}
			time.Sleep(time.Minute) // of the bubble
		}
	})
}

// TestTheSecondIDOfAFactIsAskedAbout: the receiver has it, and not the first.
func TestTheSecondIDOfAFactIsAskedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec, o := openStore(t), &target{}, &table{has: map[string]bool{"evt_b": true}}
		a, b := eventOf("evt_a", "vid_1", 0), eventOf("evt_b", "vid_1", 60)
		b.Data = a.Data
		list(t, s, 1, a, b)
		if _, err := NewJudging(s, o.sources(), judgePolicy(), nil).Pass(t.Context(), time.Now(), nil); err != nil {
			t.Fatal(err)
		}
		drain(t, replayerFor(s, rec, asks(o)))
		if posts := rec.all(); len(posts) > 0 {
			t.Errorf("sent %s, though the receiver has the same fact as evt_b", posts[0].id)
		}
	})
}
