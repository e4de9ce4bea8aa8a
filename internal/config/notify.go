package config

import (
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"backstop/internal/secret"
)

// leastCooldown keeps a condition that flaps from being told all the time.
const leastCooldown = time.Second

var ownedByNotices = regexp.MustCompile(`(?i)^(Content-(Type|Length|Encoding)|User-Agent|Host|Connection|Transfer-Encoding|Trailer|Te|Upgrade|Expect)$`)

func (d *decoder) notify(v value) {
	n := &d.config.Notify
	var target twin
	d.mapping(v, fields{
		"url":      d.secretURL(&target),
		"url_file": d.secretURLFile(&target),
		"format":   scalar(d, &n.Format, oneOf(NoticeJSON, NoticeSlack)),
		"command":  d.argv(&n.Command, &n.written),
		"headers":  d.headers(&n.Headers, ownedByNotices, "is set by every notice itself, remove the line"),
		"cooldown": scalar(d, &n.Cooldown, durationFrom(leastCooldown)),
	})
	n.URL = d.one(target)
}

// secretURL makes a field from a URL that is a secret as a whole: whoever knows
// it may use it.
func (d *decoder) secretURL(t *twin) func(value) {
	return func(v value) {
		text, ok := d.text(v)
		if !ok || text == "" {
			return
		}
		t.at = v
		u, fault := secretURLFault(text)
		if fault != "" {
			d.wrong(v, "%s", fault)
			return
		}
		d.warnPlain(v, u)
		if v.literal() && !isLoopback(u.Hostname()) {
			d.warn(v, "whoever knows this URL can use it, and it is in the file itself: write the _file twin or ${VAR} instead")
			d.inline = v
		}
		t.texts = append(t.texts, secret.Text(text))
	}
}

// secretURLFile is its _file twin.
func (d *decoder) secretURLFile(t *twin) func(value) {
	return func(v value) {
		text, ok := d.text(v)
		if !ok || text == "" {
			return
		}
		t.at = v
		s := d.secretFile(v, text)
		t.files = append(t.files, s)
		inside, err := s.Value()
		if err != nil {
			return // secretFile has said so
		}
		u, fault := secretURLFault(inside)
		if fault != "" {
			d.wrong(v, "the URL in the file %s", fault)
			return
		}
		d.warnPlain(v, u)
	}
}

func (d *decoder) warnPlain(v value, u *url.URL) {
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		d.warn(v, "plain http to another host, anyone between can read it; write https")
	}
}

// secretURLFault says what is wrong with a URL, without quoting it.
func secretURLFault(text string) (*url.URL, string) {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return nil, "has a user name or password in it, leave them out (notices take them as notify.headers: Authorization)"
	}
	u, err := parseURL(text)
	if err != nil {
		return nil, err.Error()
	}
	return u, ""
}

// checkNotify keeps notices and pings from coming to us, and finds headers that
// go nowhere.
func (d *decoder) checkNotify() {
	n := d.config.Notify
	if len(n.Headers) > 0 && n.URL.IsZero() && !d.undecided("notify") {
		d.warn(d.at("notify.headers"), "there is no notify.url that they would be sent to")
	}
	if !d.undecided("notify") {
		d.checkFormat(n)
		d.checkProgram(n)
	}
	local := localAddresses()
	for key, s := range map[string]secret.Secret{"notify.url": n.URL, "admin.ping_url": d.config.Admin.PingURL} {
		text, err := s.Value()
		u, parseErr := url.Parse(text)
		if err != nil || parseErr != nil || u.Host == "" {
			continue
		}
		if _, written := d.written[key]; !written {
			key += fileSuffix
		}
		if reaches(u, d.config.Admin.Listen, d.config.Admin.Hosts, local) {
			d.wrong(d.at(key), "points at backstop itself (admin.listen), write the URL of %s", whoseURL(key))
		}
	}
}

// checkFormat finds a format that whoever gets it does not read, or nobody gets.
func (d *decoder) checkFormat(n Notify) {
	text, err := n.URL.Value()
	if err != nil {
		return // secretFile has said so
	}
	u, err := url.Parse(text)
	switch {
	case n.Format == NoticeSlack && n.URL.IsZero():
		d.warn(d.at("notify.format"), "there is no notify.url that it would be sent to: a command gets json")
	case n.Format == NoticeJSON && err == nil && strings.EqualFold(u.Hostname(), "hooks.slack.com"):
		d.warn(d.at("notify"), "hooks.slack.com refuses json, write format: slack")
	}
}

// checkProgram finds a program that can't be started here. It may be there for
// whoever runs the daemon, so it is a warning.
func (d *decoder) checkProgram(n Notify) {
	if len(n.Command) == 0 || n.Command[0] == "" {
		return
	}
	if _, err := exec.LookPath(n.Command[0]); err != nil {
		d.warn(d.at("notify.command"), "there is no program %s that can be started here, write its full path and make it executable", n.written[0])
	}
}

func whoseURL(key string) string {
	if strings.HasPrefix(key, "notify.") {
		return "whoever is to be told"
	}
	return "the watcher that expects to hear from backstop"
}
