package reconcile

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// A receiver that refuses whatever comes pauses replaying. It is then tried by
// one event at a time, with another one each time, at pauses from backoff_min to
// backoff_max; none of these attempts counts, nothing dies, and a 2xx resumes.
func TestReceiverThatRefusesAllIsProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events, longest = 80, 10 * time.Minute
		s, rec := openStore(t), &target{delay: 100 * time.Millisecond}
		start := time.Now()
		end := start.Add(8 * time.Hour)
		rec.answer = func(int, string) (int, error) {
			if time.Now().Before(end) {
				return 404, nil
			}
			return 200, nil
		}
		missed(t, s, eventsTo(events)...)
		stop := run(t, replayerFor(s, rec, func(o *ReplayOptions) { o.Rate, o.BackoffMax = 0, longest }))
		time.Sleep(time.Until(end))
		posts := rec.all()
		first := slices.DeleteFunc(slices.Clone(posts), func(p got) bool { return p.begun.Before(start.Add(time.Second)) }) // they showed it
		probes(t, first, 5*time.Second, longest)
		if len(first) < 40 {
			t.Errorf("%d probes in eight hours", len(first))
		}
		for _, p := range posts[3:] {
			for _, a := range row(t, s, p.id).Attempts {
				if a.Counted {
					t.Errorf("%s: an attempt counts: %+v", p.id, a)
				}
			}
		}
		time.Sleep(time.Hour)
		stop()
		if m := statuses(t, s); count(m, state.Seen) != events {
			t.Errorf("after it was set right %d of %d are seen", count(m, state.Seen), events)
		}
	})
}

// probes checks that attempts follow each other one at a time, at growing pauses,
// each with an event that was not tried yet.
func probes(t *testing.T, posts []got, shortest, longest time.Duration) {
	t.Helper()
	tried := map[string]bool{}
	for i, p := range posts {
		if tried[p.id] {
			t.Errorf("probe %d tries %s again", i, p.id)
		}
		tried[p.id] = true
		if i == 0 {
			continue
		}
		pause, want := p.begun.Sub(posts[i-1].at), min(shortest<<min(i, 20), longest)
		if pause < want*3/4 || pause > want*5/4 {
			t.Errorf("probe %d after %v, want about %v", i, pause, want)
		}
	}
}

// Two events that the receiver does not want are no receiver that wants none,
// also when they are the last ones.
func TestPoisonIsNoMisconfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{answer: func(_ int, id string) (int, error) {
			if id == "evt_000" || id == "evt_002" {
				return 422, nil
			}
			return 200, nil
		}}
		missed(t, s, eventsTo(20)...)
		stop := run(t, replayerFor(s, rec, func(o *ReplayOptions) { o.Concurrency = 1 }))
		time.Sleep(10 * time.Minute)
		stop()
		if m := statuses(t, s); count(m, state.Dead) != 2 || count(m, state.Seen) != 18 || s.Receiver().Misconfigured != "" {
			t.Errorf("%v, %q", m, s.Receiver().Misconfigured)
		}
	})
}

// A poison event holds what is newer of its own entity until it is dead, in the
// other lane, too, and nothing else.
func TestPoisonHoldsItsEntityUntilItIsDead(t *testing.T) {
	for name, lane := range map[string]state.Lane{"the same lane": state.Live, "the other lane": state.Old} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, rec := openStore(t), &target{delay: time.Second, answer: func(_ int, id string) (int, error) {
					if id == "evt_000" {
						return 422, nil
					}
					return 200, nil
				}}
				events := []heygen.Event{eventOf("evt_000", "vid_a", 0), eventOf("evt_001", "vid_a", 700), eventOf("evt_002", "vid_b", 701), eventOf("evt_003", "vid_c", 702)}
				queue(t, s, map[string]state.Lane{"evt_000": lane}, events...)
				stop := run(t, replayerFor(s, rec))
				time.Sleep(10 * time.Minute)
				stop()
				died := time.Time{}
				for _, p := range rec.all() {
					if p.id == "evt_000" {
						died = p.at
					}
				}
				for _, p := range rec.all() {
					switch {
					case p.id == "evt_001" && p.begun.Before(died):
						t.Errorf("the newer event of the entity was sent %v before the older one was dead", died.Sub(p.begun))
					case p.id > "evt_001" && p.begun.After(died):
						t.Errorf("%s had to wait for an event of another entity", p.id)
					}
				}
				if m := statuses(t, s); m["evt_000"] != state.Dead || count(m, state.Seen) != 3 {
					t.Errorf("%v", m)
				}
			})
		})
	}
}

// Of an entity one event at a time is in flight, and the older goes first, also
// where they are in two lanes.
func TestOrderOfAnEntityAcrossLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{delay: 3 * time.Second}
		lanes := map[string]state.Lane{}
		var events []heygen.Event
		for n := range 12 {
			e := eventOf("evt_0"+string(rune('a'+n)), "vid_a", n*700)
			e.CreatedAt = e.CreatedAt.Add(-6 * time.Hour)
			if n%2 == 0 {
				lanes[e.ID] = state.Old
			}
			events = append(events, e)
		}
		queue(t, s, lanes, events...)
		stop := run(t, replayerFor(s, rec, func(o *ReplayOptions) { o.Rate = 0 }))
		time.Sleep(10 * time.Minute)
		stop()
		if rec.most != 1 {
			t.Errorf("%d in flight at once", rec.most)
		}
		var ids []string
		for _, p := range rec.all() {
			ids = append(ids, p.id)
		}
		if len(ids) != len(events) || !slices.IsSorted(ids) {
			t.Errorf("sent %s", strings.Join(ids, " "))
		}
	})
}

// queue lists events and decides that they are missed, in the given lanes.
func queue(t *testing.T, s *state.Store, lanes map[string]state.Lane, events ...heygen.Event) {
	t.Helper()
	list(t, s, 1, events...)
	var verdicts []state.Verdict
	for _, e := range events {
		verdicts = append(verdicts, state.Verdict{ID: e.ID, Status: state.Missed, Why: "test", Reason: state.ReasonMissed, Lane: lanes[e.ID]})
	}
	if _, err := s.Decide(time.Now(), verdicts); err != nil {
		t.Fatal(err)
	}
}

// Where the receiver asks for a rest, nothing is sent for so long, but not for
// longer than a minute; then one goes first, and the others follow when it was
// answered.
func TestRetryAfterHoldsTheReceiver(t *testing.T) {
	for after, want := range map[string]time.Duration{"20": 20 * time.Second, "86400": time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s, rec := openStore(t), &target{delay: 2 * time.Second, after: after}
			asked := time.Time{}
			rec.answer = func(_ int, id string) (int, error) {
				if asked.IsZero() {
					asked = time.Now()
					return 429, nil
				}
				return 200, nil
			}
			missed(t, s, eventsTo(30)...)
			r := replayerFor(s, rec)
			stop := run(t, r)
			time.Sleep(5 * time.Second)
			if r.Pace().Held.IsZero() || !r.Resting() {
				t.Errorf("%s: %+v", after, r.Pace())
			}
			before := len(rec.all())
			time.Sleep(5 * time.Minute)
			stop()
			posts := rec.all()
			first := posts[before]
			if pause := first.begun.Sub(asked); pause < want || pause > want+time.Second {
				t.Errorf("%s: the first one comes after %v", after, pause)
			}
			for _, p := range posts[before+1:] {
				if p.begun.Before(first.at) {
					t.Errorf("%s: %s is not the first one, and does not wait for it", after, p.id)
				}
			}
			if n := len(rec.accepted()); n < 29 { // the one that was refused may wait longer
				t.Errorf("%s: %d accepted", after, n)
			}
		})
	}
}

// A drain waits for the rest that the receiver asked for: what is due is sent.
func TestDrainWaitsForTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{after: "30"}
		rec.answer = func(n int, id string) (int, error) {
			if n == 0 && id == "evt_004" {
				return 429, nil
			}
			return 200, nil
		}
		missed(t, s, eventsTo(20)...)
		if d := drain(t, replayerFor(s, rec)); d.Sent != 20 || d.Seen != 19 || d.Waiting != 1 || d.Next.IsZero() {
			t.Errorf("%+v", d)
		}
	})
}

// When an outage ends, the backlog does not come at the full rate at once.
func TestSlowStartAfterAnOutage(t *testing.T) {
	for perSecond, least := range map[float64]time.Duration{5: 3 * time.Second, 0: 250 * time.Millisecond} { // without it, ten take two seconds, or 25 ms
		synctest.Test(t, func(t *testing.T) {
			s, rec := openStore(t), &target{delay: 10 * time.Millisecond}
			end := time.Now().Add(time.Hour)
			rec.answer = func(int, string) (int, error) {
				if time.Now().Before(end) {
					return 0, errRefused
				}
				return 200, nil
			}
			missed(t, s, eventsTo(200)...)
			r := replayerFor(s, rec, func(o *ReplayOptions) { o.Rate, o.BackoffMax = perSecond, time.Minute })
			stop := run(t, r)
			time.Sleep(time.Until(end))
			down := len(rec.all())
			time.Sleep(5 * time.Minute)
			stop()
			back := rec.all()[down:]
			if len(back) < 200 || r.Pace().Why != "" {
				t.Fatalf("%v a second: %d sent after the outage, %+v", perSecond, len(back), r.Pace())
			}
			if took := back[10].begun.Sub(back[0].begun); took < least {
				t.Errorf("%v a second: the first ten came within %v", perSecond, took)
			}
			if took := back[150].begun.Sub(back[50].begun); took > 25*time.Second {
				t.Errorf("%v a second: a hundred took %v later", perSecond, took)
			}
		})
	}
}
