package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"backstop/internal/heygen"
)

// Listing is how HeyGen's listing is read.
type Listing struct {
	API     API
	Base    string         // URL of the API, for people
	Proxy   string         // host of the proxy in between; "": none
	KeyFrom string         // where the key was found; "": there is none
	Queries []heygen.Query // what is walked; at least one
	Rows    int            // of a page, as configured
	// Order names the order in which rows lie; "": they do not show one.
	Order       func([]heygen.Event) string
	Quarantined int64    // rows that could not be read, of all walks
	Types       []string // event types met so far
}

// lookAPI makes the smallest request there is. It tells whether HeyGen is there,
// takes the key, and what its clock says.
func (p Patient) lookAPI(ctx context.Context, k known) ([]Check, known) {
	if c, bad := p.mistaken("api", "heygen"); bad {
		return []Check{c}, k
	}
	l := p.Listing
	sent := time.Now()
	page, err := l.API.Page(ctx, heygen.PageRequest{Limit: 1})
	got := time.Now()
	checks := []Check{l.judgeReach(err, got.Sub(sent))}
	if k.api = checks[0].Status == OK; k.api {
		key := l.judgeKey(err)
		checks, k.key = append(checks, key), key.Status != Fail
	} else {
		checks = append(checks, unchecked("key", "HeyGen's API was not reached"))
	}
	if err == nil {
		k.clock = clock{sent: sent, got: got, date: page.Date}
	}
	if l.Proxy != "" {
		checks = append(checks, warn("proxy", "unset HTTPS_PROXY, HTTP_PROXY or list the host in NO_PROXY, if no proxy is meant",
			"HeyGen is asked through %s, from the environment", l.Proxy))
	}
	return checks, k
}

// judgeReach is about the way to HeyGen. What was answered by HeyGen itself,
// though it refuses, shows that the way is open.
func (l Listing) judgeReach(err error, took time.Duration) Check {
	switch {
	case err == nil, errors.Is(err, heygen.ErrCredentials), statusOf(err) == 429:
		return ok("api", "%s answers in %s", l.Base, took.Round(time.Millisecond))
	case statusOf(err) >= 500:
		return fail("api", "wait, HeyGen has a failure; if it stays, ask HeyGen's support with the request's id", "%s: %s", l.Base, gist(err))
	}
	return fail("api", l.reachRemedy(err), "%s: %s", l.Base, gist(err))
}

func (l Listing) reachRemedy(err error) string {
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		remedy      = hint(err)
	)
	switch {
	case errors.As(err, &dns):
		remedy = "check heygen.base_url and this machine's DNS"
	case errors.As(err, &certificate):
		remedy = "check heygen.base_url, the system's certificates (apt-get install ca-certificates) and its clock, and whether a proxy opens TLS"
	case errors.As(err, &record):
		remedy = "check heygen.base_url: what answers there does not speak TLS"
	case statusOf(err) == 0 && !errors.Is(err, heygen.ErrUnreadable):
		remedy = "check the network, the firewall and heygen.base_url"
	}
	if l.Proxy != "" {
		remedy += "; and the proxy " + l.Proxy + " that the environment names"
	}
	return remedy
}

func (l Listing) judgeKey(err error) Check {
	from := cmp.Or(l.KeyFrom, "nowhere")
	switch status := statusOf(err); {
	case err == nil && l.KeyFrom == "":
		return warn("key", "set HEYGEN_API_KEY or write heygen.api_key_file: HeyGen itself asks for one", "none is set, and %s asks for none", l.Base)
	case err == nil:
		return ok("key", "accepted, from %s", from)
	case status == 429:
		return warn("key", "wait, and lower heygen.rate if another program shares the key", "from %s; HeyGen asks for fewer requests (429)", from)
	case l.KeyFrom == "":
		return fail("key", "set HEYGEN_API_KEY, or write heygen.api_key_file", "none is set, and HeyGen refuses (%s)", gist(err))
	case status == 401:
		return fail("key", "make a new key in HeyGen's settings and put it where this one is; an OAuth token has to be renewed", "refused, from %s: %s", from, gist(err))
	case status == 402:
		return fail("key", "check the plan and the credits of the HeyGen account", "refused, from %s: %s", from, gist(err))
	case status == 403:
		return fail("key", "give the key the right to read webhooks, or use one of the workspace that owns the endpoint", "refused, from %s: %s", from, gist(err))
	}
	return fail("key", hint(err), "from %s: %s", from, gist(err))
}

// statusOf is the HTTP status of an error of the API; 0: there was no answer.
func statusOf(err error) int {
	if e := (*heygen.Error)(nil); errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// gist is what went wrong, without what to do about it.
func gist(err error) string {
	if e := (*heygen.Error)(nil); errors.As(err, &e) {
		bare := *e
		bare.Doing, bare.Hint = "", ""
		return bare.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return heygen.Clean(fmt.Sprint(err))
}

// hint is what to do about it.
func hint(err error) string {
	usual := "try again; check heygen.base_url and the network"
	if e := (*heygen.Error)(nil); errors.As(err, &e) {
		return cmp.Or(e.Hint, usual)
	}
	return usual
}

// some lists names, the first few of many.
func some(names []string) string {
	const most = 6
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
