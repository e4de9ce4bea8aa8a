package doctor

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"backstop/internal/heygen"
)

func (p Patient) lookEndpoints(ctx context.Context, k known) ([]Check, known) {
	switch {
	case p.Mistaken["heygen"] || p.Mistaken["receiver"]:
		return []Check{unchecked("endpoints", "heygen or receiver has mistakes in the configuration")}, k
	case !k.key:
		return []Check{unchecked("endpoints", "without API and key none is listed")}, k
	}
	endpoints, err := p.Listing.API.Endpoints(ctx)
	if err != nil {
		return []Check{warn("endpoints", hint(err), "HeyGen's endpoints could not be read: %s", gist(err))}, k
	}
	listed := slices.Concat(typesOf(k.rows), p.Listing.Types)
	if wanted := p.Listing.wanted(); len(wanted) > 0 {
		listed = wanted
	}
	slices.Sort(listed)
	return judgeEndpoints(endpoints, p.Receiver, slices.Compact(listed)), k
}

// judgeEndpoints compares where HeyGen pushes to with the receiver. types are
// those that have to arrive.
func judgeEndpoints(all []heygen.Endpoint, r Receiver, types []string) []Check {
	if len(all) == 0 {
		return []Check{warn("endpoints", "register the receiver's public URL as a webhook endpoint at HeyGen; until then backstop replays everything",
			"HeyGen has no endpoint: it pushes nothing")}
	}
	ours, how := matching(all, r)
	if len(ours) == 0 {
		return []Check{warn("endpoints", "register the receiver's URL at HeyGen, or correct receiver.url. Where a proxy, a tunnel or a tap stands in front, compare the names yourself: "+
			"one of these has to lead to the receiver", "none leads to the receiver's host %s; HeyGen pushes to %s", hostOf(r.URL), some(hostsOf(all)))}
	}
	enabled := slices.DeleteFunc(slices.Clone(ours), func(e heygen.Endpoint) bool { return !e.Enabled })
	if len(enabled) == 0 {
		return []Check{warn("endpoints", "enable it at HeyGen", "disabled: %s; HeyGen pushes nothing to it", some(hostsOf(ours)))}
	}
	checks := []Check{judgeNumber(enabled, how)}
	if len(enabled) < len(ours) && how != inside {
		checks = append(checks, warn("endpoints", "enable it at HeyGen, or remove it there", "%d of %d are disabled", len(ours)-len(enabled), len(ours)))
	}
	return append(checks, judgeSubscriptions(enabled, types))
}

func judgeNumber(enabled []heygen.Endpoint, how match) Check {
	where := some(hostsOf(enabled))
	switch {
	case how == inside:
		return ok("endpoints", "HeyGen pushes to %s; receiver.url lies inside, so compare the names yourself", where)
	case len(enabled) > 1 && how == exact:
		return warn("endpoints", "remove all but one at HeyGen", "%d endpoints lead to this receiver: every fact arrives as often", len(enabled))
	case how == sameHost:
		return warn("endpoints", "correct receiver.url, or the URL at HeyGen, unless the receiver takes pushes at both",
			"the endpoint at %s has another path than receiver.url", where)
	}
	return ok("endpoints", "HeyGen pushes to %s", where)
}

// judgeSubscriptions looks for types that are listed but pushed to nobody: every
// one of them is missed, and replayed.
func judgeSubscriptions(enabled []heygen.Endpoint, types []string) Check {
	unpushed := slices.DeleteFunc(slices.Clone(types), func(t string) bool {
		return slices.ContainsFunc(enabled, func(e heygen.Endpoint) bool { return e.Subscribed(t) })
	})
	if len(unpushed) > 0 {
		return warn("subscriptions", "subscribe the endpoint to them at HeyGen, or name in heygen.event_types those that the receiver wants",
			"no endpoint of the receiver is subscribed to %s: each such event is missed and replayed", some(unpushed))
	}
	return ok("subscriptions", "every type that is listed is pushed")
}

// match says how endpoints were found to be the receiver's.
type match int

const (
	none     match = iota
	exact          // same host and path
	sameHost       // another path
	inside         // receiver.url is an address that HeyGen can't know
)

// matching gives the endpoints that may lead to the receiver. An address inside,
// or one behind a tap, is none that HeyGen pushes to: there any may.
func matching(all []heygen.Endpoint, r Receiver) ([]heygen.Endpoint, match) {
	by := func(same func(heygen.Endpoint) bool) []heygen.Endpoint {
		return slices.DeleteFunc(slices.Clone(all), func(e heygen.Endpoint) bool { return !same(e) })
	}
	host, path := hostOf(r.URL), pathOf(r.URL)
	if ours := by(func(e heygen.Endpoint) bool { return hostOf(e.URL) == host && pathOf(e.URL) == path }); len(ours) > 0 && host != "" {
		return ours, exact
	}
	if r.URL == "" || r.Tap || isInside(r.URL) {
		return all, inside
	}
	if ours := by(func(e heygen.Endpoint) bool { return hostOf(e.URL) == host }); len(ours) > 0 {
		return ours, sameHost
	}
	return nil, none
}

// hostOf is the host of a URL with its port, where that is not the scheme's.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if port := u.Port(); port != "" && port != map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		host += ":" + port
	}
	return host
}

func pathOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return strings.TrimRight(u.EscapedPath(), "/")
}

// hostsOf names endpoints by their hosts: the rest of a URL may be secret.
func hostsOf(all []heygen.Endpoint) (hosts []string) {
	for _, e := range all {
		hosts = append(hosts, heygen.Clean(hostOf(e.URL)))
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// isInside reports whether a URL's host is an address, or a name, that is of use
// within this machine or its network alone.
func isInside(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	name := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if addr, err := netip.ParseAddr(name); err == nil {
		return insideAddr(addr)
	}
	return name == "localhost" || !strings.Contains(name, ".") || strings.HasSuffix(name, ".local") || strings.HasSuffix(name, ".internal")
}

func insideAddr(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified()
}
