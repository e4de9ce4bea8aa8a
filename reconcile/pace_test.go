package reconcile

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
)

// told is one answer that a pace is told of.
type told struct {
	answer Answer
	begun  time.Duration // after noon; 0: at the time of the answer
	down   bool
	times  int // 0: once
}

func timedOut() Answer { return Answer{Err: wordTimeout, Class: Retry} }
func refused() Answer  { return Answer{Err: "refused", Class: Retry} }

func restFor(code int, wait time.Duration) Answer {
	a := status(code)
	a.RetryAfter = wait
	return a
}

// Each answer comes a second after the one before.
func TestPace(t *testing.T) {
	for _, tc := range []struct {
		name       string
		configured float64
		sent       int // a second before the first answer
		answers    []told
		want       float64 // 0: no limit
		why        string
	}{
		{name: "nothing but 2xx", configured: 5, answers: []told{{answer: status(200), times: 50}}, want: 5},
		{name: "429", configured: 5, answers: []told{{answer: status(429)}}, want: 2.5, why: "it answered 429"},
		{name: "503", configured: 5, answers: []told{{answer: status(503)}}, want: 2.5, why: "it answered 503"},
		{name: "408", configured: 5, answers: []told{{answer: status(408)}}, want: 2.5, why: "it answered 408"},
		{name: "no answer in time", configured: 5, answers: []told{{answer: timedOut()}}, want: 2.5, why: "it did not answer in time"},
		{name: "twice", configured: 5, answers: []told{{answer: status(503)}, {answer: status(500)}}, want: 1.25, why: "it answered 500"},
		{name: "two that were in flight at once", configured: 5, answers: []told{{answer: status(503)}, {answer: status(500), begun: time.Second}}, want: 2.5, why: "it answered 503"},
		{name: "refused is no matter of the pace", configured: 5, answers: []told{{answer: refused()}, {answer: refused()}}, want: 5},
		{name: "reset neither", configured: 5, answers: []told{{answer: Answer{Err: "reset", Class: Retry}}}, want: 5},
		{name: "a poison event neither", configured: 5, answers: []told{{answer: status(422), times: 9}}, want: 5},
		{name: "nor a wrong secret", configured: 5, answers: []told{{answer: status(401), times: 9}}, want: 5},
		{name: "the floor", configured: 64, answers: []told{{answer: status(503), times: 100}}, want: 1, why: "it answered 503"},
		{name: "never still", configured: 1, answers: []told{{answer: status(503), times: 100}}, want: 1.0 / 60, why: "it answered 503"},
		{name: "a low rate has no lower one", configured: 0.01, answers: []told{{answer: status(503), times: 100}}, want: 0.01},
		{name: "one step", configured: 64, answers: []told{{answer: status(503)}, {answer: status(200)}}, want: 34, why: "it answered 503"},
		{name: "a 2xx to an attempt from before", configured: 64, answers: []told{{answer: status(503)}, {answer: status(200), begun: time.Second}}, want: 32, why: "it answered 503"},
		{name: "doubled up to a half", configured: 64, answers: []told{{answer: status(503), times: 100}, {answer: status(200), times: 5}}, want: 32, why: "it answered 503"},
		{name: "then by steps", configured: 64, answers: []told{{answer: status(503), times: 100}, {answer: status(200), times: 5 + paceSteps/2 - 1}}, want: 62, why: "it answered 503"},
		{name: "all steps", configured: 64, answers: []told{{answer: status(503), times: 100}, {answer: status(200), times: 5 + paceSteps/2}}, want: 64},
		{name: "trouble on the way back", configured: 64, answers: []told{{answer: status(503), times: 100}, {answer: status(200), times: 4}, {answer: status(503)}, {answer: status(200)}}, want: 14, why: "it answered 503"},
		{name: "never above", configured: 64, answers: []told{{answer: status(503)}, {answer: status(200), times: 1000}}, want: 64},
		{name: "an outage", configured: 64, answers: []told{{answer: refused(), times: 2}, {answer: refused(), down: true, times: 50}}, want: 4, why: "it was down: refused"},
		{name: "a short outage", configured: 64, answers: []told{{answer: refused(), times: 2}, {answer: refused(), down: true}}, want: 32, why: "it was down: refused"},
		{name: "after a long outage", configured: 64, answers: []told{{answer: refused(), down: true, times: 50}, {answer: status(200)}}, want: 8, why: "it was down: refused"},
		{name: "an outage of one that was slow already", configured: 64, answers: []told{{answer: status(503), times: 100}, {answer: refused(), down: true}}, want: 1, why: "it was down: refused"},

		{name: "no limit, and no trouble", answers: []told{{answer: status(200), times: 9}}},
		{name: "no limit: half of what it surely bears", sent: 100, answers: []told{{answer: status(429)}}, want: 32, why: "it answered 429"},
		{name: "no limit, little sent", sent: 1, answers: []told{{answer: status(429)}}, want: 32, why: "it answered 429"},
		{name: "no limit: back to what was sent, and to none", sent: 64, answers: []told{{answer: status(429), times: 100}, {answer: status(200), times: paceSteps}}},
		{name: "no limit: a step", sent: 64, answers: []told{{answer: status(429)}, {answer: status(200)}}, want: 34, why: "it answered 429"},
		{name: "no limit: an outage", sent: 64, answers: []told{{answer: refused(), down: true, times: 9}}, want: 4, why: "it was down: refused"},
		{name: "no limit: what was borne before is not forgotten", sent: 64, answers: []told{{answer: status(429)}, {answer: status(200), times: paceSteps}, {answer: status(429)}}, want: 32, why: "it answered 429"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, start := newPace(tc.configured, slog.New(slog.DiscardHandler)), time.Now()
				for range tc.sent {
					p.take(start)
				}
				now := start
				for _, one := range tc.answers {
					for range max(1, one.times) {
						now = now.Add(time.Second)
						a := one.answer
						if a.Begun = now; one.begun > 0 {
							a.Begun = start.Add(one.begun)
						}
						p.note(a, one.down, now)
					}
				}
				if got := p.told(); math.Abs(got.Rate-tc.want) > 1e-9 || got.Why != tc.why || got.Configured != tc.configured || got.Since.IsZero() != (tc.why == "") {
					t.Errorf("%+v, want %v because %q", got, tc.want, tc.why)
				}
			})
		})
	}
}

func TestPaceLetsTheReceiverAlone(t *testing.T) {
	now := noon()
	for _, tc := range []struct {
		name    string
		answers []told // at noon
		want    time.Duration
	}{
		{name: "429 that asks for nothing", answers: []told{{answer: status(429)}}},
		{name: "429", answers: []told{{answer: restFor(429, 20*time.Second)}}, want: 20 * time.Second},
		{name: "503", answers: []told{{answer: restFor(503, 20*time.Second)}}, want: 20 * time.Second},
		{name: "500 has no say", answers: []told{{answer: restFor(500, 20*time.Second)}}},
		{name: "a day", answers: []told{{answer: restFor(429, 24*time.Hour)}}, want: time.Minute},
		{name: "the longest of several", answers: []told{{answer: restFor(429, 20*time.Second)}, {answer: restFor(429, 5*time.Second)}}, want: 20 * time.Second},
		{name: "a 2xx to an attempt from before", answers: []told{{answer: restFor(429, 20*time.Second)}, {answer: status(200)}}, want: 20 * time.Second},
		{name: "a 2xx to the one that went first", answers: []told{{answer: restFor(429, 20*time.Second)}, {answer: status(200), begun: 20 * time.Second}}},
		{name: "a failure of the one that went first", answers: []told{{answer: restFor(429, 20*time.Second)}, {answer: status(500), begun: 20 * time.Second}}},
		{name: "it asks again", answers: []told{{answer: restFor(429, 20*time.Second)}, {answer: restFor(429, 30*time.Second), begun: 20 * time.Second}}, want: 30 * time.Second},
	} {
		p := newPace(5, slog.New(slog.DiscardHandler))
		for _, one := range tc.answers {
			one.answer.Begun = now.Add(one.begun)
			p.note(one.answer, false, now)
		}
		if wait, _ := p.until(now); p.resting() != (tc.want > 0) || p.resting() && wait != tc.want {
			t.Errorf("%s: %v for %v, want %v", tc.name, p.resting(), wait, tc.want)
		}
	}
}

func TestLately(t *testing.T) {
	start := noon()
	for _, tc := range []struct {
		attempts    int
		every, then time.Duration // between two of them; from the last to the look
		want        float64
	}{
		{0, 0, 0, 0},
		{1, 0, time.Millisecond, 1},
		{4, 0, 2 * time.Millisecond, 4},
		{4, time.Second, time.Second, 1},
		{100, 10 * time.Millisecond, 10 * time.Millisecond, 100},
		{100, time.Millisecond, time.Millisecond, 1000},
		{100, 0, 0, 16000},
		{100, time.Second, 16 * time.Second, 16.0 / 31},
	} {
		var l lately
		for n := range tc.attempts {
			l.add(start.Add(time.Duration(n) * tc.every))
		}
		now := start.Add(time.Duration(max(0, tc.attempts-1))*tc.every + tc.then)
		if got := float64(l.rate(now)); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

// The edges are told once each, whatever number of steps lies between them.
func TestPaceTellsItsEdges(t *testing.T) {
	var logged bytes.Buffer
	p, now := newPace(5, slog.New(slog.NewTextHandler(&logged, nil))), noon()
	for round := range 2 {
		for _, a := range []Answer{status(503), status(200), status(429), timedOut()} {
			now = now.Add(time.Second)
			a.Begun = now
			p.note(a, false, now)
		}
		for range paceSteps {
			now = now.Add(time.Second)
			p.note(Answer{Status: 200, Class: OK, Begun: now}, false, now)
		}
		slower, again := strings.Count(logged.String(), "sending more slowly"), strings.Count(logged.String(), "at the configured rate again")
		if slower != round+1 || again != round+1 {
			t.Errorf("round %d: %d and %d lines:\n%s", round, slower, again, &logged)
		}
	}
	if !strings.Contains(logged.String(), `rate=2.5 configured=5 reason="it answered 503"`) {
		t.Errorf("what is slower, and why:\n%s", &logged)
	}
}

// weather is a receiver that has more to do than it can, until it has not.
type weather struct {
	random *rand.Rand
	most   float64 // attempts a second that it bears
	tokens float64
	last   time.Time
	end    time.Time // of all trouble
	fine   int       // accepted since then
	enough func()    // called when as many were accepted as lead back
	tried  [600]int  // answers by status
}

func (w *weather) answer(int, string) (int, error) {
	status, err := w.now()
	w.tried[status]++
	return status, err
}

func (w *weather) now() (int, error) {
	now := time.Now()
	if !now.Before(w.end) {
		if w.fine++; w.fine == 2*4+paceSteps { // those in flight at the end and now tell nothing yet
			w.enough()
		}
		return 200, nil
	}
	w.tokens = min(w.tokens+now.Sub(w.last).Seconds()*w.most, max(1, w.most))
	w.last = now
	switch w.random.IntN(12) {
	case 0:
		return 500, nil
	case 1:
		return 0, errRefused
	}
	if w.tokens < 1 {
		return 429, nil
	}
	w.tokens--
	return 200, nil
}

// Whatever the receiver answers, over any window there are no more attempts than
// the configured rate allows and one; and when the trouble has ended, paceSteps
// accepted attempts lead back to the configured rate. Both also where a Run,
// Drains and a reload share the pace.
func TestPaceOverAnyWindow(t *testing.T) {
	met := map[int]int{}
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			configured := []float64{0.5, 2, 5, 20, 0}[seed%5]
			w := &weather{random: random, most: 0.2 + random.Float64()*configured, last: time.Now(), end: time.Now().Add(5 * time.Minute)}
			s, rec := openStore(t), &target{delay: time.Duration(random.IntN(400)) * time.Millisecond, answer: w.answer}
			if random.IntN(2) == 0 {
				rec.after = strconv.Itoa(random.IntN(90))
			}
			set := func(o *ReplayOptions) { o.Rate, o.BackoffMax = configured, time.Minute }
			r := replayerFor(s, rec, set)
			w.enough = func() {
				if r.Pace().Why != "" {
					t.Errorf("seed %d: after %d accepted attempts it sends %+v", seed, w.fine, r.Pace())
				}
			}
			stop := run(t, r)
			for minute := range 6 {
				var more []heygen.Event
				for n := range 25 + 10*minute { // at the end more than lead back
					more = append(more, event(100*minute+n))
				}
				missed(t, s, more...)
				r.Wake()
				if minute == 2 { // a reload, while the trouble lasts
					stop()
					before := r.Pace()
					r = replayerFor(s, rec, set, func(o *ReplayOptions) { o.Before = r })
					if now := r.Pace(); now != before {
						t.Errorf("seed %d: a reload goes from %+v to %+v", seed, before, now)
					}
					stop = run(t, r)
				}
				time.Sleep(time.Minute / 2)
				drain(t, r)
				time.Sleep(time.Until(w.end.Add(time.Duration(minute-4) * time.Minute)))
			}
			time.Sleep(time.Hour)
			stop()
			if w.fine < 2*4+paceSteps {
				t.Errorf("seed %d: only %d were sent after the trouble", seed, w.fine)
			}
			if why := tooFast(rec.all(), configured); why != "" {
				t.Errorf("seed %d: %s", seed, why)
			}
			for code, n := range w.tried {
				met[code] += n
			}
		})
	}
	for _, code := range []int{0, 200, 429, 500} {
		if met[code] < 10 {
			t.Errorf("%d came %d times: the test has lost its subject", code, met[code])
		}
	}
}

// tooFast tells of a window with more attempts than a rate and one; "": there is
// none.
func tooFast(posts []got, perSecond float64) string {
	if perSecond == 0 {
		return ""
	}
	begun := make([]time.Time, 0, len(posts))
	for _, p := range posts {
		begun = append(begun, p.begun)
	}
	slices.SortFunc(begun, time.Time.Compare)
	for i := range begun {
		for j := i + 1; j < len(begun); j++ {
			window := begun[j].Sub(begun[i]).Seconds()
			if n := float64(j - i + 1); n > window*perSecond+1+1e-6 {
				return fmt.Sprintf("%v attempts within %v s at %v a second", n, window, perSecond)
			}
		}
	}
	return ""
}
