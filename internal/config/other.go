package config

import (
	"errors"
	"net/url"
	"strings"
)

// OtherReceiver checks the URL of a receiver that is not the configured one, by
// the rules of receiver.url. plain tells that anyone between can read what is sent
// there. No error quotes the URL.
func (c *Config) OtherReceiver(text string) (plain bool, err error) {
	u, err := parseURL(text)
	if err != nil {
		return false, err
	}
	local := localAddresses()
	if reaches(u, c.Admin.Listen, c.Admin.Hosts, local) {
		return false, errors.New("points at backstop itself (admin.listen), write the URL of the other receiver")
	}
	if tap, ok := c.Tap(); ok && reaches(u, tap.Listen, nil, local) {
		return false, errors.New("points at backstop's own tap, which passes on to receiver.url, write the URL of the other receiver")
	}
	if ours, err := url.Parse(c.Receiver.URL); err == nil && sameEndpoint(u, ours) {
		return false, errors.New("is receiver.url itself, leave --to out: --force sends there what it has already")
	}
	return u.Scheme == "http" && !isLoopback(u.Hostname()), nil
}

// sameEndpoint reports whether two URLs differ in no more than their queries.
func sameEndpoint(a, b *url.URL) bool {
	host := func(u *url.URL) string { return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) }
	path := func(u *url.URL) string { return "/" + strings.TrimPrefix(u.EscapedPath(), "/") }
	return a.Scheme == b.Scheme && host(a) == host(b) && portOf(a) == portOf(b) && path(a) == path(b)
}
