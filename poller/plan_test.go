package poller

import (
	"strings"
	"testing"
	"time"

	"backstop/state"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	tz, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return tz
}

func TestSchedulesRefused(t *testing.T) {
	tests := []struct{ spec, says string }{
		{"", "use five fields"},
		{"   ", "use five fields"},
		{"*/5 * * * * *", "seconds are not supported"},
		{"* * * *", "has 4 fields"},
		{"1m", "has 1 fields"},
		{"61 * * * *", "use five fields"},
		{"x * * * *", "use five fields"},
		{"\x1b[2J * * * *", `"\x1b[2J * * * *" can't be read`},
		{"0 0 31 2 *", "never runs"},
		{"0 0 30 2 *", "never runs"},
		{"@every 500ms", "a second or more"},
		{"@every 0s", "a second or more"},
		{"@every -1m", "a second or more"},
		{"@every 5", "units"},
		{"@every", "units"},
		{"@fortnightly", "use five fields"},
		{"@reboot", "use five fields"},
		{"TZ=UTC", "schedule.timezone"},
		{"TZ=UTC * * * * *", "schedule.timezone"},
		{"CRON_TZ=Europe/Berlin 0 1 * * *", "schedule.timezone"},
	}
	for _, tt := range tests {
		_, err := NewSchedule(tt.spec, "@hourly", nil, nil)
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.HasPrefix(err.Error(), "poll: ") {
			t.Errorf("%q: %v; want an error of the poll that says %q", tt.spec, err, tt.says)
		}
	}
	_, err := NewSchedule("nonsense", "TZ=x", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "poll: ") || !strings.Contains(err.Error(), "sweep: ") {
		t.Errorf("two mistakes: %v; want both told", err)
	}
}

func TestSchedulesTaken(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 34, 56, 789, time.UTC)
	tests := []struct{ spec, next string }{
		{"@every 1m", "2026-03-01T12:35:56Z"},
		{"@every 1h30m", "2026-03-01T14:04:56Z"},
		{"@hourly", "2026-03-01T13:00:00Z"},
		{"@daily", "2026-03-02T00:00:00Z"},
		{"*/5 * * * *", "2026-03-01T12:35:00Z"},
		{"30 2 * * *", "2026-03-02T02:30:00Z"},
		{"0 9-17 * * MON-FRI", "2026-03-02T09:00:00Z"},
		{"0 0 29 2 *", "2028-02-29T00:00:00Z"},
		{" 0 0 1 JAN * ", "2027-01-01T00:00:00Z"},
	}
	for _, tt := range tests {
		s, err := NewSchedule("@every 1m", tt.spec, nil, nil)
		if err != nil {
			t.Errorf("%q: %v", tt.spec, err)
			continue
		}
		if _, sweep := s.Next(now); sweep.Format(time.RFC3339) != tt.next {
			t.Errorf("%q: next %s, want %s", tt.spec, sweep.Format(time.RFC3339), tt.next)
		}
	}
}

// A daily time runs once each day, also where summer time skips or repeats it;
// an hourly or shorter one goes on through the repeated hour.
func TestSummerTime(t *testing.T) {
	tests := []struct {
		zone, spec string
		day        string
		want       int // runs on that day
	}{
		{"America/New_York", "30 2 * * *", "2026-03-08", 1}, // skipped
		{"America/New_York", "30 1 * * *", "2026-11-01", 1}, // repeated
		{"America/New_York", "0,30 1-2 * * *", "2026-11-01", 4},
		{"Europe/Berlin", "30 2 * * *", "2026-03-29", 1},
		{"Europe/Berlin", "30 2 * * *", "2026-10-25", 1},
		{"America/Sao_Paulo", "0 0 * * *", "2018-11-04", 1}, // midnight is skipped
		{"Australia/Lord_Howe", "15 2 * * *", "2026-10-04", 1},
		{"Asia/Beirut", "0 * * * 0", "2026-03-29", 23},            // midnight is skipped on the one day that it names
		{"Australia/Lord_Howe", "15,35 2 * * *", "2026-10-04", 2}, // the skipped one becomes the later of the two
		{"Australia/Lord_Howe", "45 1 * * *", "2026-04-05", 1},
		{"America/New_York", "@hourly", "2026-11-01", 25},
		{"America/New_York", "@hourly", "2026-03-08", 23},
		{"America/New_York", "*/15 * * * *", "2026-11-01", 100},
		{"America/New_York", "*/15 0-23 * * *", "2026-11-01", 100},
		{"America/New_York", "@every 15m", "2026-11-01", 100},
	}
	for _, tt := range tests {
		tz := zone(t, tt.zone)
		p, err := parse(tt.spec, tz)
		if err != nil {
			t.Fatal(err)
		}
		day, err := time.ParseInLocation(time.DateOnly, tt.day, tz)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for at := p.next(day.Add(-90 * time.Minute)); !at.After(day.Add(48 * time.Hour)); {
			if at.In(tz).Format(time.DateOnly) == tt.day {
				got++
			}
			next := p.next(at)
			if !next.After(at) {
				t.Fatalf("%s %s: %s after %s", tt.zone, tt.spec, next, at)
			}
			at = next
		}
		if got != tt.want {
			t.Errorf("%s in %s on %s: %d runs, want %d", tt.spec, tt.zone, tt.day, got, tt.want)
		}
	}
}

// Whatever is done to the wall clock, polls come at least every two intervals
// of monotonic time, and a step forward brings one at once.
func TestClockSteps(t *testing.T) {
	tests := []struct {
		name, spec string
		step       time.Duration // made 90 s after the begin
		ticks      int           // within 10 minutes of monotonic time
		gap        time.Duration // the longest between two of them
	}{
		{"no step", "@every 1m", 0, 10, time.Minute},
		{"a day back", "@every 1m", -24 * time.Hour, 10, time.Minute},
		{"ten seconds back", "@every 1m", -10 * time.Second, 10, time.Minute},
		{"a day forward", "@every 1m", 24 * time.Hour, 10, time.Minute},
		{"a day back, by cron", "* * * * *", -24 * time.Hour, 10, 2 * time.Minute},
		{"half a minute back, by cron", "* * * * *", -30 * time.Second, 10, 2 * time.Minute},
		{"eight hours asleep", "*/5 * * * *", 8 * time.Hour, 3, 5 * time.Minute},
	}
	for _, tt := range tests {
		p, err := parse(tt.spec, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		table := timetable{plan: p}
		begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		wall := func(elapsed time.Duration) time.Time {
			if elapsed >= 90*time.Second {
				return begin.Add(elapsed + tt.step)
			}
			return begin.Add(elapsed)
		}
		table.arm(begin, 0)
		var last, gap time.Duration
		ticks, atOnce := 0, false
		for elapsed := time.Duration(0); elapsed <= 10*time.Minute; elapsed += time.Second {
			if table.due(wall(elapsed), elapsed) {
				ticks++
				atOnce = atOnce || elapsed == 90*time.Second
				gap = max(gap, elapsed-last)
				last = elapsed
			}
		}
		if ticks < tt.ticks || ticks > tt.ticks+1 || gap > tt.gap {
			t.Errorf("%s: %d ticks, want %d; longest gap %s, want %s", tt.name, ticks, tt.ticks, gap, tt.gap)
		}
		if forward := tt.step > 0; atOnce != forward {
			t.Errorf("%s: tick at the step: %v, want %v", tt.name, atOnce, forward)
		}
	}
}

// A daily job whose clock is corrected by seconds around its time runs once.
func TestDailyJobAndSmallStep(t *testing.T) {
	p, err := parse("30 2 * * *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	table := timetable{plan: p}
	begin := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	table.arm(begin, 0)
	ticks := 0
	for elapsed := time.Duration(0); elapsed < 20*time.Hour; elapsed += time.Second {
		step := time.Duration(0)
		if elapsed > 25*time.Minute {
			step = -20 * time.Second
		}
		if table.due(begin.Add(elapsed+step), elapsed) {
			ticks++
		}
	}
	if ticks != 1 {
		t.Errorf("%d runs, want 1", ticks)
	}
}

// Where cron finds no time within the years it looks ahead, nothing spins.
func TestFarAwayTick(t *testing.T) {
	p, err := parse("0 0 29 2 *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	table := timetable{plan: p}
	table.arm(time.Date(2096, 3, 1, 0, 0, 0, 0, time.UTC), 0)
	if table.left(0) < 365*24*time.Hour {
		t.Errorf("next look in %s", table.left(0))
	}
}

func TestKindsAreScheduled(t *testing.T) {
	if state.Poll != 0 || state.Sweep != kinds-1 {
		t.Error("the kinds of walks no longer index the schedule's arrays")
	}
}
