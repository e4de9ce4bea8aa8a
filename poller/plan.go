package poller

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

const (
	everyHour = 1<<24 - 1     // the hour bits of a cron schedule that runs in every hour
	everyWord = "@every"      // its interval is checked here: cron rounds a short one up in silence
	shortest  = time.Second   // of @every
	moved     = 3 * time.Hour // no zone moves its clocks by more at once
	sameTick  = time.Minute   // a wall clock set back by no more does not bring a tick again
	fields    = 5
	remedy    = `use five fields as in "*/5 * * * *", or "@every 1m", "@hourly", "@daily"`
)

var (
	errEmpty   = errors.New("no schedule given: " + remedy)
	errZone    = errors.New("a time zone does not belong here: set schedule.timezone instead")
	errNever   = errors.New(`no such day ever comes: use one that does, as in "30 2 * * *"`)
	errTooFast = errors.New(`"@every" takes an interval of a second or more, as in "@every 1m"`)
)

// plan is one cron expression in a time zone.
type plan struct {
	schedule cron.Schedule
	tz       *time.Location
	fixed    bool // names hours: runs once for each, whatever summer time does
}

// parse reads a cron expression of five fields or a descriptor.
func parse(spec string, tz *time.Location) (p plan, err error) {
	spec = strings.TrimSpace(spec)
	if err := precheck(spec); err != nil {
		return plan{}, err
	}
	defer func() { // cron's parser panics on some inputs
		if v := recover(); v != nil {
			p, err = plan{}, fmt.Errorf("%q can't be read as a schedule: %s", spec, remedy)
		}
	}()
	schedule, err := cron.ParseStandard(spec)
	if err != nil && strings.ContainsFunc(spec, notPlain) { // cron's words would repeat it as it is
		return plan{}, fmt.Errorf("%q can't be read as a schedule: %s", spec, remedy)
	}
	if err != nil {
		return plan{}, fmt.Errorf("%w: %s", err, remedy)
	}
	p = plan{schedule: schedule, tz: tz}
	if s, ok := schedule.(*cron.SpecSchedule); ok {
		p.fixed = s.Hour&everyHour != everyHour
	}
	if p.next(time.Now()).IsZero() {
		return plan{}, fmt.Errorf("%q never runs: %w", spec, errNever)
	}
	return p, nil
}

func notPlain(r rune) bool { return r < ' ' || r > '~' }

// precheck refuses what cron would take, or would explain badly.
func precheck(spec string) error {
	switch n := len(strings.Fields(spec)); {
	case spec == "":
		return errEmpty
	case strings.HasPrefix(spec, "TZ=") || strings.HasPrefix(spec, "CRON_TZ="):
		return fmt.Errorf("%q: %w", spec, errZone)
	case strings.HasPrefix(spec, everyWord):
		return checkEvery(spec)
	case strings.HasPrefix(spec, "@"):
		return nil
	case n == fields+1:
		return fmt.Errorf("%q has six fields; seconds are not supported: %s", spec, remedy)
	case n != fields:
		return fmt.Errorf("%q has %d fields: %s", spec, n, remedy)
	}
	return nil
}

func checkEvery(spec string) error {
	interval, err := time.ParseDuration(strings.TrimSpace(strings.TrimPrefix(spec, everyWord)))
	if err != nil {
		return fmt.Errorf("%q: %w (units are s, m and h)", spec, errTooFast)
	}
	if interval < shortest {
		return fmt.Errorf("%q: %w", spec, errTooFast)
	}
	return nil
}

// next gives the first time after t; zero when there is none.
//
// An expression that names hours runs by the clock on the wall, once for each
// time it names: in spring, where that time is skipped, an hour off; in autumn,
// where it comes twice, once. (cron itself runs not at all and twice.) One for
// every hour runs by real time, for a repeated hour is not to go without polls.
//
// cron is asked in UTC only: elsewhere it passes over a day whose midnight is
// skipped.
func (p plan) next(t time.Time) time.Time {
	t = t.Round(0).In(p.tz)
	if _, every := p.schedule.(cron.ConstantDelaySchedule); every {
		return p.schedule.Next(t).Round(0)
	}
	if wall := p.schedule.Next(asUTC(t)); !wall.IsZero() {
		if at := inZone(wall, p.tz); steady(t) && steady(at) {
			return at
		}
	}
	return p.nextMoved(t)
}

// nextMoved is next where clocks are moved near by: the next time on the wall
// need not be the next in fact, so all that are near are looked at.
func (p plan) nextMoved(t time.Time) (first time.Time) {
	for wall := p.schedule.Next(asUTC(t).Add(-moved)); !wall.IsZero(); wall = p.schedule.Next(wall) {
		if !first.IsZero() && wall.Sub(asUTC(first)) > moved {
			break
		}
		for _, at := range p.times(wall) {
			if at.After(t) && (first.IsZero() || at.Before(first)) {
				first = at
			}
		}
	}
	return first
}

// times are the moments at which to run for a time on the wall.
func (p plan) times(wall time.Time) []time.Time {
	if p.fixed {
		return []time.Time{inZone(wall, p.tz)}
	}
	return shown(wall, p.tz)
}

// steady reports whether no clock is moved near by.
func steady(at time.Time) bool {
	_, before := at.Add(-moved).Zone()
	_, after := at.Add(moved).Zone()
	return before == after
}

// shown are the moments at which a clock in tz shows wall: none where it is
// skipped, two where it is repeated.
func shown(wall time.Time, tz *time.Location) (moments []time.Time) {
	for _, near := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		_, offset := wall.Add(near).In(tz).Zone()
		at := wall.Add(-time.Duration(offset) * time.Second).In(tz)
		if asUTC(at).Equal(wall) && !slices.ContainsFunc(moments, at.Equal) {
			moments = append(moments, at)
		}
	}
	return moments
}

// asUTC gives the time that a clock in UTC would show as t's own clock does.
func asUTC(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// inZone is the inverse of asUTC. A time that is skipped becomes as much later
// as was skipped.
func inZone(t time.Time, tz *time.Location) time.Time {
	at := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), tz)
	return at.Add(max(0, t.Sub(asUTC(at))))
}

// timetable follows one plan by two clocks: a tick is due when the wall clock
// has reached it, or when as much monotonic time has passed as there was to
// wait. So a clock that is set back stalls nothing, one that is set forward
// brings one tick at once, and so does waking from a suspend, during which only
// the wall clock went on.
type timetable struct {
	plan  plan
	wall  time.Time     // when the next tick is, by the wall clock
	after time.Duration // and by the monotonic clock, since the schedule began
}

// arm sets the next tick.
func (t *timetable) arm(now time.Time, elapsed time.Duration) {
	now = now.Round(0)
	t.wall = t.plan.next(now)
	if t.wall.IsZero() { // cron looks five years ahead; a 29 February may be eight years off
		t.wall = now.AddDate(5, 0, 0)
	}
	t.after = elapsed + t.wall.Sub(now)
}

// due reports whether the tick has come, and sets the next. However many were
// slept through, they are one.
func (t *timetable) due(now time.Time, elapsed time.Duration) bool {
	now = now.Round(0)
	if now.Before(t.wall) && elapsed < t.after {
		return false
	}
	if early := t.wall.Sub(now); early > 0 && early <= sameTick {
		now = t.wall
	}
	t.arm(now, elapsed)
	return true
}

// left is the monotonic time until the next tick.
func (t *timetable) left(elapsed time.Duration) time.Duration { return t.after - elapsed }

// CheckSpec says what is wrong with a cron expression in a time zone (nil: UTC);
// nil when NewSchedule would take it.
func CheckSpec(spec string, tz *time.Location) error {
	if tz == nil {
		tz = time.UTC
	}
	_, err := parse(spec, tz)
	return err
}
