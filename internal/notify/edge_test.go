package notify

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"backstop/state"
)

func noon() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }

func at(minutes int) time.Time { return noon().Add(time.Duration(minutes) * time.Minute) }

// moment is one look at one condition, and what has to be told at it.
type moment struct {
	minute int
	holds  standing
	cause  string
	news   int
	want   string // "" nothing
}

func TestEdgesAndCoolDown(t *testing.T) {
	const hour = 60
	tests := []struct {
		name    string
		moments []moment
	}{
		{"begins, goes on, ends", []moment{
			{0, clear, "", 0, ""}, {1, holds, "", 0, Alarm}, {2, holds, "", 0, ""}, {2 * hour, holds, "", 0, ""}, {2*hour + 1, clear, "", 0, Recovered}, {3 * hour, clear, "", 0, ""},
		}},
		{"the end is told within the cool-down", []moment{{0, holds, "", 0, Alarm}, {1, clear, "", 0, Recovered}, {2, clear, "", 0, ""}}},
		{"back within the cool-down: told when that is over", []moment{
			{0, holds, "", 0, Alarm}, {1, clear, "", 0, Recovered}, {2, holds, "", 0, ""}, {hour - 1, holds, "", 0, ""}, {hour, holds, "", 0, Alarm}, {hour + 1, clear, "", 0, Recovered},
		}},
		{"comes and goes within the cool-down: summed up", []moment{
			{0, holds, "", 0, Alarm}, {1, clear, "", 0, Recovered}, {2, holds, "", 0, ""}, {3, clear, "", 0, ""}, {4, holds, "", 0, ""}, {5, clear, "", 0, ""},
			{hour, clear, "", 0, Recovered}, {2 * hour, clear, "", 0, ""},
		}},
		{"comes and goes, and holds when the cool-down ends", []moment{
			{0, holds, "", 0, Alarm}, {1, clear, "", 0, Recovered}, {2, holds, "", 0, ""}, {3, clear, "", 0, ""}, {4, holds, "", 0, ""}, {hour, holds, "", 0, Again}, {hour + 1, clear, "", 0, Recovered},
		}},
		{"another cause is news", []moment{{0, holds, "a", 0, Alarm}, {1, holds, "b", 0, ""}, {hour, holds, "b", 0, Again}, {2 * hour, holds, "b", 0, ""}}},
		{"more events are news", []moment{{0, holds, "", 3, Alarm}, {1, holds, "", 2, ""}, {hour, holds, "", 2, Again}, {hour + 1, holds, "", 0, ""}}},
		{"nobody knows: nothing changes", []moment{{0, holds, "", 0, Alarm}, {1, unknown, "", 0, ""}, {2 * hour, unknown, "", 0, ""}, {3 * hour, clear, "", 0, Recovered}}},
		{"the clock was set back: it does not fall silent", []moment{{600, holds, "", 0, Alarm}, {601, clear, "", 0, Recovered}, {0, holds, "", 0, Alarm}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a state.Alarm
			for _, m := range tt.moments {
				c := condition{name: Paused, standing: m.holds, cause: m.cause, news: state.News{Count: m.news}}
				a = observe(a, c, at(m.minute))
				got := due(a, c, at(m.minute), time.Hour)
				if got != m.want {
					t.Fatalf("minute %d: %q, want %q; %+v", m.minute, got, m.want, a)
				}
				if got != "" {
					a = tell(a, c, got, at(m.minute))
				}
			}
		})
	}
}

// Whatever comes and goes, and however often a notice can't be delivered: no more
// than one alarm and one end in a cool-down, alarms and ends alternate, the same
// look twice changes nothing, no event is told twice or never, and once all is
// calm for a cool-down, the last word is the end.
func TestEdgesWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const cooldown = 10 * time.Minute
		var (
			a              state.Alarm
			now            = noon()
			pending, told  int
			happened       int
			alarms, ends   []time.Time
			began, open    bool
			holding        bool
			unheard, heard int
		)
		step := func(s standing, works bool) {
			c := condition{name: Dead, standing: s, news: state.News{Count: pending}}
			before := a
			a = observe(a, c, now)
			if observe(a, c, now) != a {
				t.Fatalf("the same look changes %+v", a)
			}
			if a.Holds && !before.Holds {
				unheard++
			}
			what := due(a, c, now, cooldown)
			if what == "" || !works {
				return
			}
			switch {
			case what == Alarm && open, what == Recovered && !open && unheard == 0:
				t.Fatalf("%s is told while open is %v: %+v", what, open, a)
			case what == Recovered:
				if !open {
					alarms = append(alarms, now) // a summary of what came and went
				}
				ends = append(ends, now)
				open = false
			default:
				alarms = append(alarms, now)
				open = true
			}
			a = tell(a, c, what, now)
			told, pending, heard, unheard = told+pending, 0, heard+unheard, 0
			if a.Open != open {
				t.Fatalf("after %s it is open: %v", what, a.Open)
			}
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 400).Draw(t, "seconds")) * time.Second)
			if n := rapid.IntRange(-3, 5).Draw(t, "events"); n > 0 {
				pending, happened = pending+n, happened+n
			}
			holding = rapid.Bool().Draw(t, "holds")
			s := clear
			switch {
			case holding || pending > 0:
				s, began = holds, true
			case rapid.Bool().Draw(t, "unknown"):
				s = unknown
			}
			step(s, rapid.IntRange(0, 3).Draw(t, "works") > 0)
		}
		for range 2 { // calm, and the way is free: events first, then the end
			now = now.Add(cooldown)
			if pending > 0 {
				step(holds, true)
			}
			step(clear, true)
		}
		for i := 1; i < len(alarms); i++ {
			if gap := alarms[i].Sub(alarms[i-1]); gap < cooldown {
				t.Fatalf("two alarms within %s", gap)
			}
		}
		if open || a.Holds || a.Times != 0 || told != happened || unheard != 0 || began != (len(alarms) > 0) || len(ends) > len(alarms) {
			t.Fatalf("in the end: open %v, told %d of %d events, %d alarms, %d ends, unheard %d, %+v", open, told, happened, len(alarms), len(ends), unheard, a)
		}
	})
}
