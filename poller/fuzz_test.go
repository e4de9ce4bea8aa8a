package poller

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/robfig/cron/v3"
)

// oddZones move their clocks at midnight, by half an hour, by two hours, to
// days that are none, or never.
func oddZones() []string {
	return []string{
		"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo", "Asia/Beirut", "America/Nuuk",
		"Africa/Casablanca", "Antarctica/Troll", "Asia/Kathmandu", "Pacific/Chatham", "Pacific/Apia", "America/Havana", "Asia/Gaza",
	}
}

// FuzzSchedule: a cron expression is refused with what to do, or it has times.
// They are later than the time asked of, in order, and those that the
// expression names: each minute before one is looked at, and none fits.
func FuzzSchedule(f *testing.F) {
	for _, spec := range []string{
		"", "@every 1m", "@hourly", "@every 1h30m", "*/5 * * * *", "30 2 * * *", "0 9-17 * * MON-FRI", "0 0 29 2 *", "0 0 30 2 *", " 0 0 1 JAN * ", "TZ=UTC * * * * *",
		"15,35 2 * * *", "* * 5 * 1", "*/7 */5 * * 0", "0 0 * * *", "59 23 31 12 *", "@every 999999h", "@every 1ns", "@midnight", "0-59/7 1-1 ?  * ?", "@every -1h",
		"*/0 * * * *", "18446744073709551615 * * * *", "* * * * 7", "@yearly x", "5-1 * * * *",
	} {
		f.Add(spec, uint8(1), int64(360_000_000))
	}
	f.Add("30 2 * * *", uint8(1), time.Date(2026, 10, 25, 0, 40, 0, 0, time.UTC).Unix()-first2015())
	f.Add("0 0 29 2 *", uint8(0), time.Date(2096, 3, 1, 0, 0, 0, 0, time.UTC).Unix()-first2015())
	var zones []*time.Location
	for _, name := range oddZones() {
		tz, err := time.LoadLocation(name)
		if err != nil {
			f.Fatal(err)
		}
		zones = append(zones, tz)
	}
	f.Fuzz(func(t *testing.T, spec string, which uint8, seconds int64) {
		tz := zones[int(which)%len(zones)]
		p, err := parse(spec, tz)
		if checked := CheckSpec(spec, tz); (checked == nil) != (err == nil) {
			t.Errorf("parse says %v, CheckSpec %v", err, checked)
		}
		if err != nil {
			helpful(t, err)
			return
		}
		const years = 85 * 365 * 24 * 60 * 60
		begin := time.Unix(first2015()+(seconds%years+years)%years, 0)
		ticks(t, p, begin)
	})
}

func first2015() int64 { return time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC).Unix() }

// helpful: one line that may be shown, and that ends with what to do.
func helpful(t *testing.T, err error) {
	text := err.Error()
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("not fit to be shown: %q", text)
	}
	if !strings.Contains(text, "use ") && !strings.Contains(text, "set schedule.timezone") && !strings.Contains(text, "as in") {
		t.Errorf("it does not say what to do: %q", text)
	}
}

// ticks follows a plan for some ticks, and asks from moments in between.
func ticks(t *testing.T, p plan, begin time.Time) {
	for at := begin; at.Before(begin.AddDate(1, 0, 0)); {
		next := p.next(at)
		if next.IsZero() { // only a day that comes every eighth year
			if p.next(at.AddDate(5, 0, 0)).IsZero() {
				t.Errorf("nothing comes after %v", at)
			}
			return
		}
		least := time.Minute
		if _, every := p.schedule.(cron.ConstantDelaySchedule); every || at.Equal(begin) {
			least = 1
		}
		if next.Sub(at) < least {
			t.Fatalf("%v comes %v after %v", next, next.Sub(at), at)
		}
		between := at.Add(next.Sub(at) / 2)
		if _, every := p.schedule.(cron.ConstantDelaySchedule); !every {
			if got := p.next(between); !got.Equal(next) {
				t.Fatalf("%v comes after %v, but %v after %v", next, at, got, between)
			}
			named(t, p, at, next)
		}
		if next.Sub(begin) > 40*24*time.Hour || next.Sub(at) < time.Hour && next.Sub(begin) > 5*time.Hour {
			return
		}
		at = next
	}
}

// named: next is a time that the expression names, and in the hours before it,
// down to from, there is none.
func named(t *testing.T, p plan, from, next time.Time) {
	s := p.schedule.(*cron.SpecSchedule)
	if !p.fixed {
		if !fits(s, next.In(p.tz)) || next.Second() != 0 {
			t.Fatalf("%v is not named", next.In(p.tz))
		}
		for at := next.Add(-time.Minute); at.After(from) && next.Sub(at) < 4*time.Hour; at = at.Add(-time.Minute) {
			if fits(s, at.In(p.tz)) {
				t.Fatalf("%v was left out after %v for %v", at.In(p.tz), from.In(p.tz), next.In(p.tz))
			}
		}
		return
	}
	found := false
	wall := asUTC(next.In(p.tz))
	for w := wall.Add(-4 * time.Hour); w.Before(wall.Add(4 * time.Hour)); w = w.Add(time.Minute) {
		if !fits(s, w) {
			continue
		}
		at := inZone(w, p.tz)
		found = found || at.Equal(next)
		if at.After(from) && at.Before(next) {
			t.Fatalf("%v was left out after %v for %v", at, from.In(p.tz), next.In(p.tz))
		}
	}
	if !found {
		t.Fatalf("%v is not named", next.In(p.tz))
	}
}

// fits reads the fields of an expression at a time on a clock.
func fits(s *cron.SpecSchedule, at time.Time) bool {
	const star = 1 << 63
	has := func(field uint64, n int) bool { return field&(1<<uint(n)) != 0 }
	day, weekday := has(s.Dom, at.Day()), has(s.Dow, int(at.Weekday()))
	either := day || weekday
	if s.Dom&star != 0 || s.Dow&star != 0 {
		either = day && weekday
	}
	return has(s.Minute, at.Minute()) && has(s.Hour, at.Hour()) && has(s.Month, int(at.Month())) && either
}
