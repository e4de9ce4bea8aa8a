package config

import (
	"errors"
	"net/url"
	"path/filepath"
	"time"
)

// spec is all that can be said of a schedule without its parser.
func spec(text string) (string, error) {
	if text == "" {
		return "", errors.New("is empty, write @every 1m or a cron expression of five fields")
	}
	return text, nil
}

// check looks at what only several values together can get wrong.
func (d *decoder) check() {
	d.checkSchedule()
	d.checkTimes()
	d.checkAdmin()
	d.checkReceiver()
	d.checkTap()
	d.checkNotify()
	if d.inline.node != nil {
		d.warnModes(d.inline, d.file, "holds a secret")
	}
	if _, said := d.written["seen"]; said && len(d.config.Seen) == 0 && !d.undecided("seen") {
		d.warn(d.written["seen"], "no source: nothing will be replayed unless asked for, write `- report: {}`")
	}
}

func (d *decoder) checkSchedule() {
	s := d.config.Schedule
	if d.checks.Schedule == nil || d.undecided("schedule.timezone") {
		return
	}
	for _, part := range []struct{ key, spec string }{{"schedule.poll", s.Poll}, {"schedule.sweep", s.Sweep}} {
		if d.undecided(part.key) {
			continue
		}
		if err := d.checks.Schedule(part.spec, s.Timezone); err != nil {
			d.wrong(d.at(part.key), "%s", err)
		}
	}
}

func (d *decoder) checkTimes() {
	r, p, s := d.config.Reconcile, d.config.Replay, d.config.State
	const lookback, sweepLookback, retention = "reconcile.lookback", "reconcile.sweep_lookback", "state.retention"
	d.notLess("replay.backoff_max", p.BackoffMax, "replay.backoff_min", p.BackoffMin, 1)
	d.notLess(sweepLookback, r.SweepLookback, lookback, r.Lookback, 1)
	if r.Lookback > r.SweepLookback {
		d.notLess(retention, s.Retention, lookback, r.Lookback, 2)
	} else {
		d.notLess(retention, s.Retention, sweepLookback, r.SweepLookback, 2)
	}
	if said, ok := d.written["reconcile.settle"]; ok && r.Settle == 0 && !d.undecided("reconcile.settle") {
		d.warn(said, "nothing settles: an event is replayed while its push is still under way, write 5m")
	}
}

// notLess wants long to be at least factor times short. The mistake lies with
// long when that is written, else with short, which then is too long.
func (d *decoder) notLess(longKey string, long time.Duration, shortKey string, short time.Duration, factor time.Duration) {
	if long >= factor*short || d.undecided(longKey) || d.undecided(shortKey) {
		return
	}
	if _, ok := d.written[longKey]; ok {
		d.wrong(d.at(longKey), "%s is too short beside %s: %s, write %s or more",
			FormatDuration(long), shortKey, FormatDuration(short), FormatDuration(factor*short))
		return
	}
	d.wrong(d.at(shortKey), "%s is too long beside %s: %s, write %s or less",
		FormatDuration(short), longKey, FormatDuration(long), FormatDuration(long/factor))
}

func (d *decoder) checkAdmin() {
	a := d.config.Admin
	if !beyondLoopback(a.Listen) || !a.Token.IsZero() || d.undecided("admin.token") || d.undecided("admin.listen") {
		return
	}
	d.wrong(d.at("admin.listen"), "%q can be reached from other hosts, write admin.token_file or listen on 127.0.0.1", a.Listen)
}

// checkReceiver keeps replays from coming back to us.
func (d *decoder) checkReceiver() {
	u, err := url.Parse(d.config.Receiver.URL)
	if err != nil || u.Host == "" {
		return
	}
	local := localAddresses()
	if reaches(u, d.config.Admin.Listen, d.config.Admin.Hosts, local) {
		d.wrong(d.at("receiver.url"), "points at backstop itself (admin.listen), write the URL of your webhook endpoint")
	}
	if tap, ok := d.config.Tap(); ok && reaches(u, tap.Listen, nil, local) {
		d.wrong(d.at("receiver.url"), "points at backstop's own tap, write the URL of your webhook endpoint behind it")
	}
}

// checkTap wants a tap to have somewhere to pass pushes on to, and a port of its
// own.
func (d *decoder) checkTap() {
	tap, ok := d.config.Tap()
	if !ok || d.undecided("receiver.url") {
		return
	}
	if d.config.Receiver.URL == "" {
		d.wrong(d.at("seen"), "the tap has nowhere to pass pushes on to, write receiver.url")
	}
	if port := portIn(tap.Listen); port == portIn(d.config.Admin.Listen) && port != "" {
		d.wrong(d.at("seen"), "the tap and admin.listen are both on port %s, write another one for one of them", port)
	}
}

// at is where key was written; without that, the file as a whole.
func (d *decoder) at(key string) value {
	if v, ok := d.written[key]; ok {
		return v
	}
	return value{key: key}
}

// environment fills in what the file does not say.
func (d *decoder) environment() {
	c := d.config
	d.variable("HEYGEN_API_BASE", "heygen.base_url", d.url(&c.Heygen.BaseURL, baseURL))
	d.variable("BACKSTOP_RECEIVER_URL", "receiver.url", d.url(&c.Receiver.URL, receiverURL))
	d.variable("BACKSTOP_STATE", "state.path", scalar(d, &c.State.Path, path))
	d.findAPIKey()
	d.findSecret()
	if dir, _ := d.env("STATE_DIRECTORY"); dir != "" {
		if _, said := d.written["state.path"]; !said {
			c.State.Path = filepath.Join(filepath.SplitList(dir)[0], c.State.Path)
		}
	}
}

// variable sets a field from the environment. An empty variable says nothing.
func (d *decoder) variable(name, key string, set func(value)) {
	text, _ := d.env(name)
	if text == "" {
		return
	}
	if said, ok := d.written[key]; ok {
		if said.literal() && said.raw() == "" {
			d.warn(said, "is empty here, so %s is not looked at; remove the line to use it", name)
		}
		return
	}
	v := value{key: key, origin: "environment " + name, text: text}
	d.written[key] = v
	set(v)
}
