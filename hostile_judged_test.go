package main_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"backstop/internal/simulate"
)

// The validator of hostile receivers sees what must not be, and excuses what a
// lost answer or a kill explains.
func TestJudgeOfHostileReceivers(t *testing.T) {
	tests := []struct {
		name string
		log  []arrival
		with func(*trial)
		want []string // parts of what is found; none: all is well
	}{
		{name: "each once, in order", log: posts(ok("a1", 0), ok("b", 1), ok("a2", 2))},
		{name: "refused, then taken", log: posts(with("a1", 0, 503), ok("b", 1), ok("a1", 2), ok("a2", 3))},
		{name: "one never arrives", log: posts(ok("a1", 0), ok("a2", 2)), want: []string{"lost: b"}},
		{name: "one arrives only refused", log: posts(ok("a1", 0), with("b", 1, 503), ok("a2", 2)), want: []string{"lost: b"}},
		{name: "nobody missed it", log: posts(ok("a1", 0), ok("b", 1), ok("a2", 2), ok("c", 3)), want: []string{"4 POSTs for 3 events", `"c" was sent`}},
		{name: "a lost answer", log: posts(lost("a1", 0), ok("b", 1), ok("a1", 2), ok("a2", 3))},
		{name: "twice although the answer came through", log: posts(ok("a1", 0), ok("b", 1), ok("a1", 2), ok("a2", 3)),
			want: []string{"4 POSTs for 3 events", "a1 came again", "1 duplicates"}},
		{name: "refused after it was taken", log: posts(ok("a1", 0), with("a1", 1, 503), ok("b", 2), ok("a2", 3)), want: []string{"a1 came again"}},
		{name: "twice, and a kill between", log: posts(ok("a1", 0), in("2", ok("a1", 2)), in("2", ok("b", 3)), in("2", ok("a2", 4))),
			with: killedAfter("1", 1)},
		{name: "twice, and the kill was another's", log: posts(ok("a1", 0), in("2", ok("a1", 2)), in("2", ok("b", 3)), in("2", ok("a2", 4))),
			with: killedAfter("2", 9), want: []string{"a1 came again", "1 duplicates"}},
		{name: "twice in the life that was killed", log: posts(ok("a1", 0), ok("a1", 2), ok("b", 3), ok("a2", 4)),
			with: killedAfter("1", 9), want: []string{"a1 came again", "1 duplicates"}},
		{name: "more again than were in flight", log: posts(ok("a1", 0), ok("b", 1), in("2", ok("a1", 3)), in("2", ok("b", 4)), in("2", ok("a2", 5))),
			with: func(t *trial) { killedAfter("1", 2)(t); t.concurrency = 1 }, want: []string{"5 POSTs", "more than 1 events"}},
		{name: "the later one first", log: posts(ok("a2", 0), ok("b", 1), ok("a1", 2)), want: []string{"a2 was first sent"}},
		{name: "the later one before an answer came through", log: posts(lost("a1", 0), ok("a2", 1), ok("a1", 2), ok("b", 3)), want: []string{"a2 was first sent"}},
		{name: "dead as it has to be", log: posts(ok("a1", 0), with("b", 1, 404), with("b", 2, 404), with("b", 3, 404), ok("a2", 4)), with: dies("b")},
		{name: "taken though it has to be dead", log: posts(ok("a1", 0), ok("b", 1), ok("a2", 4)), with: dies("b"), want: []string{"b was accepted"}},
		{name: "the later one before the earlier was dead", log: posts(with("a1", 0, 404), with("a1", 1, 404), ok("a2", 2), with("a1", 3, 404), ok("b", 4)),
			with: dies("a1"), want: []string{"a2 was first sent"}},
		{name: "too many in flight", log: posts(ok("a1", 0), ok("b", 0.5), ok("a2", 2)), with: func(t *trial) { t.concurrency = 1 }, want: []string{"there are 2 in flight"}},
		{name: "two of an entity in flight", log: posts(ok("a1", 0), ok("a2", 0.5), ok("b", 2)), want: []string{"a2 was first sent", "a2 was sent while a1"}},
		{name: "a kill ends a flight", log: posts(with("a1", 0, 0), in("2", ok("a1", 0.5)), in("2", ok("b", 2)), in("2", ok("a2", 3))),
			with: func(t *trial) { killedAfter("1", 0.2)(t); t.concurrency = 1 }},
		{name: "as fast as the rate", log: posts(ok("a1", 0), ok("b", 1), ok("a2", 2)), with: func(t *trial) { t.rate, t.exact = 1, true }},
		{name: "faster than the rate", log: posts(ok("a1", 0), ok("b", 2), ok("a2", 2.7)), with: func(t *trial) { t.rate, t.exact = 1, true }, want: []string{"POST 3 came 300ms before"}},
		{name: "a refused connection counts", log: posts(ok("a1", 0), ok("b", 2), ok("a2", 4)),
			with: func(t *trial) { t.rate, t.exact, t.turned = 1, true, []time.Time{second(3.5)} }, want: []string{"POST 4 came 500ms before"}},
		{name: "faster than the rate over the whole", log: posts(ok("a1", 0), ok("b", 1), ok("a2", 2)), with: func(t *trial) { t.rate = 0.2 }, want: []string{"3 POSTs in 2.5s"}},
		{name: "another's signature", log: posts(ok("a1", 0), unsigned(ok("b", 1)), ok("a2", 2)), want: []string{"POST 1 of b"}},
		{name: "another's signature, and refused", log: posts(ok("a1", 0), unsigned(with("b", 1, 401)), ok("b", 2), ok("a2", 3)), with: func(t *trial) { t.unsigned = true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			one := trial{events: waiting(), log: tt.log, concurrency: 4}
			if tt.with != nil {
				tt.with(&one)
			}
			wrong, _ := one.judge()
			if !slices.EqualFunc(wrong, tt.want, strings.Contains) {
				t.Errorf("found %q\nwant  %q", wrong, tt.want)
			}
		})
	}
}

// waiting are three events, two of them of one entity.
func waiting() []simulate.Event {
	return []simulate.Event{
		{ID: "a1", Entity: "a", CreatedAt: second(-30)}, {ID: "a2", Entity: "a", CreatedAt: second(-20)}, {ID: "b", Entity: "b", CreatedAt: second(-10)},
	}
}

func second(n float64) time.Time {
	return time.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(n * float64(time.Second)))
}

// posts counts those of each id.
func posts(log ...arrival) []arrival {
	n := map[string]int{}
	for i, a := range log {
		log[i].nth = n[a.id]
		n[a.id]++
	}
	return log
}

// with is a POST that is answered 0.9 seconds after it came.
func with(id string, at float64, status int) arrival {
	return arrival{id: id, life: "1", signed: true, at: second(at), left: second(at + 0.9), status: status, through: status != 0}
}

func ok(id string, at float64) arrival { return with(id, at, 200) }

func lost(id string, at float64) arrival {
	a := ok(id, at)
	a.through = false
	return a
}

func in(life string, a arrival) arrival {
	a.life = life
	return a
}

func unsigned(a arrival) arrival {
	a.signed = false
	return a
}

func killedAfter(life string, at float64) func(*trial) {
	return func(t *trial) { t.killed = map[string]time.Time{life: second(at)} }
}

func dies(id string) func(*trial) {
	return func(t *trial) { t.dead = func(one string) bool { return one == id } }
}
