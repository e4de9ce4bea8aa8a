package doctor

import (
	"context"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Receiver is where replays go.
type Receiver struct {
	URL     string // "": watch only; shown only by its host
	Tap     bool   // HeyGen pushes to a tap in front of it
	Proxy   string // host of the proxy in between; "": none
	Signed  bool
	Secret  string // why the secret can't be read; "": it can
	Headers string // why its headers can't be sent; "": they can
	// Resolve gives the addresses of a name, Knock sends OPTIONS to URL.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	Knock   func(context.Context) Knock
}

// Knock is the answer to a request that asks for nothing.
type Knock struct {
	Status  int    // HTTP; 0: there was none
	Err     string // why there was none, or where a redirect leads, in a few words
	Latency time.Duration
	Expires time.Time // the end of the certificate; zero: none was shown
}

const (
	// expiresSoon is how long before its end a certificate is worth a word.
	expiresSoon = 14 * 24 * time.Hour
	// registration is how long HeyGen waits for OPTIONS when an endpoint is registered.
	registration = time.Second
)

func (p Patient) lookReceiver(ctx context.Context, k known) ([]Check, known) {
	if c, bad := p.mistaken("receiver", "receiver"); bad {
		return []Check{c}, k
	}
	r := p.Receiver
	switch {
	case r.URL == "":
		return []Check{warn("receiver", "write receiver.url, or set BACKSTOP_RECEIVER_URL", "receiver.url is empty: backstop watches only, nothing is replayed")}, k
	case r.Headers != "":
		return []Check{fail("receiver", "correct receiver.headers", "%s", r.Headers)}, k
	}
	checks := []Check{r.reach(ctx, p.Now)}
	k.receiver = checks[0].Status != Fail
	return append(checks, r.others()...), k
}

// reach resolves the name and knocks. Behind a proxy the name is the proxy's to
// resolve.
func (r Receiver) reach(ctx context.Context, now time.Time) Check {
	u, err := url.Parse(r.URL)
	if err != nil {
		return fail("receiver", "correct receiver.url", "receiver.url is no URL") // unreachable: the configuration was checked
	}
	var where string
	if r.Proxy == "" {
		addresses, err := r.Resolve(ctx, u.Hostname())
		if err != nil || len(addresses) == 0 {
			return fail("receiver", "check receiver.url and this machine's DNS", "the name %s has no address", u.Hostname())
		}
		where = kindOf(addresses)
	}
	return r.judge(r.Knock(ctx), where, now)
}

func (r Receiver) judge(k Knock, where string, now time.Time) Check {
	host := hostOf(r.URL) + where
	left := k.Expires.Sub(now)
	took := k.Latency.Round(time.Millisecond)
	switch {
	case k.Status == 0:
		return fail("receiver", r.remedy(k.Err), "%s: %s", host, k.Err)
	case k.Status/100 == 3:
		return warn("receiver", "write the address that it leads to into receiver.url: replays do not follow redirects", "%s answers OPTIONS with %d, %s", host, k.Status, k.Err)
	case k.Status == 502 || k.Status == 503 || k.Status == 504:
		return warn("receiver", "see whether the receiver runs behind what answers for it", "%s answers OPTIONS with %d, as a gateway does for somebody who is not there", host, k.Status)
	case !k.Expires.IsZero() && left < expiresSoon:
		return warn("receiver", "renew the certificate: HeyGen's pushes fail with it, too", "%s answers; its certificate ends in %d days", host, int(left/(24*time.Hour)))
	case k.Latency > registration:
		return warn("receiver", "make it answer OPTIONS sooner: HeyGen gives it a second when an endpoint is registered", "%s answers OPTIONS with %d only after %s", host, k.Status, took)
	case !k.Expires.IsZero():
		return ok("receiver", "%s answers OPTIONS with %d in %s; its certificate is good for %d days", host, k.Status, took, int(left/(24*time.Hour)))
	}
	return ok("receiver", "%s answers OPTIONS with %d in %s", host, k.Status, took)
}

// remedy is for somebody who did not answer, by the word for why.
func (r Receiver) remedy(why string) string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return "correct receiver.url" // unreachable: the configuration was checked
	}
	remedy := "check receiver.url, the network and the firewall"
	switch {
	case strings.Contains(why, "out of date"):
		remedy = "renew the receiver's certificate, or set this machine's clock"
	case strings.Contains(why, "another host"):
		remedy = "write the name into receiver.url that the certificate is for"
	case strings.Contains(why, "authority"):
		remedy = "let the receiver send its whole chain, or add its authority to this machine's (update-ca-certificates)"
	case strings.HasPrefix(why, "tls"):
		remedy = "check that the port of receiver.url speaks TLS, or write http://"
	case strings.HasPrefix(why, "address refused"):
		remedy = "correct the name in receiver.url; an address that is meant is written itself"
	case why == "refused":
		remedy = "start the receiver, or correct the port in receiver.url"
	case why == "timeout":
		remedy = "see whether the receiver hangs, and whether a firewall drops the connection; receiver.timeout is the patience"
	}
	if isLoopback(u.Hostname()) {
		remedy += "; in a container 127.0.0.1 is the container itself"
	}
	if r.Proxy != "" {
		remedy += "; and the proxy " + r.Proxy + " that the environment names"
	}
	return remedy
}

// others are about what is sent and by which way.
func (r Receiver) others() []Check {
	var checks []Check
	if r.Proxy != "" {
		checks = append(checks, warn("proxy", "unset HTTPS_PROXY, HTTP_PROXY or list the host in NO_PROXY, if no proxy is meant",
			"replays go through %s, from the environment", r.Proxy))
	}
	switch {
	case r.Secret != "":
		checks = append(checks, fail("signature", "make the secret readable for the user that runs backstop", "nothing is sent unsigned: %s", r.Secret))
	case !r.Signed:
		checks = append(checks, warn("signature", "write receiver.secret_file or set HEYGEN_WEBHOOK_SECRET, with the endpoint's secret as HeyGen showed it",
			"receiver.secret is not set: replays are not signed, and the receiver can't tell them from anybody's"))
	default:
		checks = append(checks, ok("signature", "replays are signed"))
	}
	return checks
}

// kindOf says what addresses are when they are not of the open network.
func kindOf(addresses []netip.Addr) string {
	a := addresses[0].Unmap()
	switch {
	case a.IsLoopback():
		return " (this machine)"
	case a.IsLinkLocalUnicast():
		return " (a link-local address)"
	case insideAddr(a):
		return " (a private address)"
	}
	return ""
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}
