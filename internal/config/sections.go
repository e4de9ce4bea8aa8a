package config

import (
	"cmp"
	"net/textproto"
	"regexp"
	"strings"
	"time"

	"backstop/internal/secret"
)

// One function for each part of the file: its keys, and what each may say.

const (
	leastWait     = time.Millisecond // below it a wait or a timeout is a slip
	leastLookback = time.Second      // created_at counts in whole seconds
	leastSize     = 16 << 20         // one step of growth of the state file
)

func (d *decoder) root(v value) {
	d.mapping(v, fields{
		"heygen":    d.heygen,
		"receiver":  d.receiver,
		"schedule":  d.schedule,
		"reconcile": d.reconcile,
		"seen":      d.seen,
		"replay":    d.replay,
		"state":     d.state,
		"control":   scalar(d, &d.config.Control, socketPath),
		"admin":     d.admin,
		"notify":    d.notify,
		"log":       d.log,
	})
}

func (d *decoder) heygen(v value) {
	h := &d.config.Heygen
	var key, token twin
	d.mapping(v, fields{
		"base_url":          d.url(&h.BaseURL, baseURL),
		"api_key":           d.secretText(&key),
		"api_key_file":      d.secretFiles(&key),
		"access_token":      d.secretText(&token),
		"access_token_file": d.secretFiles(&token),
		"event_types":       d.words(&h.EventTypes, word),
		"entity_id":         scalar(d, &h.EntityID, optionalWord),
		"page_size":         scalar(d, &h.PageSize, integer(1, 100)),
		"timeout":           scalar(d, &h.Timeout, durationFrom(leastWait)),
		"rate":              scalar(d, &h.Rate, rate),
	})
	h.APIKey, h.AccessToken = d.one(key), d.one(token)
	d.config.KeyFrom = cmp.Or(d.keyFrom("api_key", key), d.keyFrom("access_token", token))
	if !h.APIKey.IsZero() && !h.AccessToken.IsZero() {
		d.wrong(token.at, "stands beside an api_key, keep one of the two")
	}
}

func (d *decoder) receiver(v value) {
	r := &d.config.Receiver
	var signing twin
	d.mapping(v, fields{
		"url":         d.url(&r.URL, receiverURL),
		"secret":      d.secretTexts(&signing),
		"secret_file": d.secretFiles(&signing),
		"timeout":     scalar(d, &r.Timeout, durationFrom(leastWait)),
		"headers":     d.headers(&r.Headers, ownedByReplay, "is set by every replay itself, remove the line"),
		"body":        scalar(d, &r.Body, oneOf(BodyPush, BodyListing)),
	})
	r.Secrets = d.all(signing)
}

func (d *decoder) schedule(v value) {
	s := &d.config.Schedule
	d.mapping(v, fields{
		"poll":     scalar(d, &s.Poll, spec),
		"sweep":    scalar(d, &s.Sweep, spec),
		"timezone": scalar(d, &s.Timezone, timezone),
	})
}

func (d *decoder) reconcile(v value) {
	r := &d.config.Reconcile
	d.mapping(v, fields{
		"settle":          scalar(d, &r.Settle, durationFrom(0)),
		"lookback":        scalar(d, &r.Lookback, durationFrom(leastLookback)),
		"sweep_lookback":  scalar(d, &r.SweepLookback, durationFrom(leastLookback)),
		"start":           scalar(d, &r.Start, start),
		"collapse_window": scalar(d, &r.CollapseWindow, durationFrom(0)),
	})
}

func (d *decoder) replay(v value) {
	r := &d.config.Replay
	d.mapping(v, fields{
		"rate":         scalar(d, &r.Rate, rate),
		"concurrency":  scalar(d, &r.Concurrency, integer(1, 1000)),
		"max_attempts": scalar(d, &r.MaxAttempts, integer(1, 1000)),
		"backoff_min":  scalar(d, &r.BackoffMin, durationFrom(leastWait)),
		"backoff_max":  scalar(d, &r.BackoffMax, durationFrom(leastWait)),
		"refresh_urls": scalar(d, &r.RefreshURLs, yesNo),
	})
}

func (d *decoder) state(v value) {
	s := &d.config.State
	d.mapping(v, fields{
		"path":      scalar(d, &s.Path, path),
		"retention": scalar(d, &s.Retention, durationFrom(day)),
		"max_size":  scalar(d, &s.MaxSize, sizeFrom(leastSize)),
	})
}

func (d *decoder) admin(v value) {
	a := &d.config.Admin
	var token, ping twin
	d.mapping(v, fields{
		"listen":        scalar(d, &a.Listen, listenAddress),
		"hosts":         d.words(&a.Hosts, hostName),
		"token":         d.secretText(&token),
		"token_file":    d.secretFiles(&token),
		"ping_url":      d.secretURL(&ping),
		"ping_url_file": d.secretURLFile(&ping),
	})
	a.Token, a.PingURL = d.one(token), d.one(ping)
}

func (d *decoder) log(v value) {
	l := &d.config.Log
	d.mapping(v, fields{
		"level":  scalar(d, &l.Level, level),
		"format": scalar(d, &l.Format, oneOf(FormatAuto, FormatText, FormatJSON)),
	})
}

var (
	headerName    = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	confidential  = regexp.MustCompile(`(?i)auth|token|key|secret|cookie|password`)
	ownedByReplay = regexp.MustCompile(`(?i)^(X-Backstop-.*|(Heygen-)?Signature|Heygen-(Timestamp|Event-Id)|Content-(Type|Length|Encoding)|User-Agent|Host|Connection|Transfer-Encoding|Trailer|Te|Upgrade|Expect)$`)
)

// headers keeps every value as a secret, for one of them often is. A name that
// owned matches is refused, with refusal.
func (d *decoder) headers(field *map[string]secret.Secret, owned *regexp.Regexp, refusal string) func(value) {
	return func(v value) {
		headers := make(map[string]secret.Secret)
		d.pairs(v, func(name string, at, inner value) {
			canonical := textproto.CanonicalMIMEHeaderKey(name)
			switch _, twice := headers[canonical]; {
			case !headerName.MatchString(name):
				d.wrong(at, "is no header name, write letters, digits and dashes")
				return
			case owned.MatchString(name):
				d.wrong(at, "%s", refusal)
				return
			case twice:
				d.wrong(at, "is written twice (case does not matter), remove one")
				return
			}
			if text, ok := d.headerText(name, inner); ok {
				headers[canonical] = secret.Text(text)
			}
		})
		*field = headers
	}
}

// headerText is the value of a header.
func (d *decoder) headerText(name string, v value) (string, bool) {
	text, ok := d.text(v)
	switch {
	case !ok:
		return "", false
	case strings.TrimSpace(text) == "":
		d.wrong(v, "is empty, write a value or remove the line")
		return "", false
	case hasControl(text):
		d.wrong(v, "holds a control character, write it on one line")
		return "", false
	case v.literal() && confidential.MatchString(name):
		d.warn(v, "a secret in the file itself, write ${VAR} and set it in the environment")
	}
	return text, true
}
