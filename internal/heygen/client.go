package heygen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/time/rate"

	"backstop/internal/secret"
)

// Options configures a Client. Only BaseURL is needed.
type Options struct {
	BaseURL     string            // http or https, may have a path prefix; no query, no user
	APIKey      secret.Secret     // sent as X-Api-Key; excludes AccessToken
	AccessToken secret.Secret     // sent as Authorization: Bearer
	Timeout     time.Duration     // of one attempt, its body included; 0: 30 s
	Rate        float64           // requests a second, retries included; 0: no limit
	Version     string            // for the User-Agent; "": dev
	Logger      *slog.Logger      // nil: none
	Transport   http.RoundTripper // nil: our own
	Attempts    int               // per request, the first included; 0: 5
	BackoffMin  time.Duration     // before the second attempt; 0: 500 ms
	BackoffMax  time.Duration     // before any attempt; 0: 30 s
	Watch       Watch             // the zero Watch: nobody is told
}

// Client asks HeyGen's API. It is safe for use by several goroutines. Its
// methods block for at most Attempts × (Timeout + a minute) or until their
// context ends, and return the context's error then.
type Client struct {
	o        Options
	base     *url.URL
	http     *retryablehttp.Client
	limit    *rate.Limiter // nil: none
	clock    clock
	requests atomic.Int64
	bodies   sync.Pool // of *[]byte
	parsers  sync.Pool // of *parser
}

// New returns a client, or an error when the options contradict themselves. It
// sends nothing.
func New(o Options) (*Client, error) {
	base, err := parseBase(o.BaseURL)
	if err != nil {
		return nil, err
	}
	if !o.APIKey.IsZero() && !o.AccessToken.IsZero() {
		return nil, errors.New("both an API key and an access token are set; remove one of them")
	}
	if o.Rate < 0 || o.Attempts < 0 || o.Timeout < 0 {
		return nil, errors.New("rate, attempts and timeout of the listing must not be negative; use 0")
	}
	o = withDefaults(o)
	c := &Client{o: o, base: base, clock: clock{log: o.Logger}}
	c.bodies.New = func() any { return new([]byte) }
	c.parsers.New = func() any { return newParser() }
	if o.Rate > 0 {
		c.limit = rate.NewLimiter(rate.Limit(o.Rate), 1)
	}
	c.http = c.retrying()
	return c, nil
}

func withDefaults(o Options) Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.Timeout, 30*time.Second)
	set(&o.BackoffMin, 500*time.Millisecond)
	set(&o.BackoffMax, 30*time.Second)
	if o.Attempts == 0 {
		o.Attempts = 5
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	return o
}

// parseBase checks a base URL. Its errors do not quote it: somebody may have
// put a password into it.
func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the API's base URL is no http or https URL; the usual one is https://api.heygen.com")
	case u.User != nil:
		return nil, errors.New("the API's base URL holds a user or password; put the key into api_key")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("the API's base URL has a query or fragment; remove it")
	}
	return u, nil
}

// retrying sets up the library that repeats attempts. It logs nothing (its
// lines would show cursors), reads the answer inside the retry (a body that is
// cut off is worth another try), and hands failures back as they are.
func (c *Client) retrying() *retryablehttp.Client {
	return &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport: c.o.Watch.over(c.o.Transport),
			Timeout:   c.o.Timeout,
			// A followed redirect would carry the key to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RetryMax:       c.o.Attempts - 1,
		RetryWaitMin:   c.o.BackoffMin,
		RetryWaitMax:   c.o.BackoffMax,
		CheckRetry:     checkRetry,
		Backoff:        pause,
		RequestLogHook: func(retryablehttp.Logger, *http.Request, int) { c.requests.Add(1) },
		PrepareRetry:   func(r *http.Request) error { return c.wait(r.Context()) },
		ErrorHandler:   giveBack,
	}
}

// giveBack returns the last failure itself. The body was read, or is of no
// more use.
func giveBack(resp *http.Response, err error, _ int) (*http.Response, error) {
	if resp != nil {
		resp.Body.Close()
	}
	return nil, err
}

// Now returns the smaller of the local clock and the API's Date (of the last
// answer, carried forward monotonically); the local clock before any answer.
// A Date within 2 s of the local clock counts as equal.
func (c *Client) Now() time.Time { return c.clock.now() }

// Requests returns how many requests were sent, repeated attempts included.
func (c *Client) Requests() int64 { return c.requests.Load() }

// Close ends idle connections. The client can be used on.
func (c *Client) Close() { c.http.HTTPClient.CloseIdleConnections() }

// Page reads one page of the listing.
func (c *Client) Page(ctx context.Context, r PageRequest) (*Page, error) {
	var page *Page
	err := c.get(ctx, request{
		doing: "list events",
		path:  []string{"v3", "webhooks", "events"},
		query: r.values(),
		token: r.Token,
		bound: r.bound(),
		decode: func(body []byte, a answer) (time.Time, error) {
			p := c.parsers.Get().(*parser)
			defer c.parsers.Put(p)
			read, err := p.page(body, time.Now())
			if err != nil {
				return time.Time{}, err
			}
			read.Date, read.RequestID = a.date, a.id
			page = read
			return newest(read.Events), nil
		},
	})
	if err != nil {
		return nil, err
	}
	c.o.Watch.page()
	return page, nil
}

func newest(events []Event) time.Time {
	var t time.Time
	for i := range events {
		if events[i].CreatedAt.After(t) {
			t = events[i].CreatedAt
		}
	}
	return t
}

// request is one GET of the API, whatever its kind.
type request struct {
	doing  string // for messages
	path   []string
	query  url.Values
	token  string // the cursor in query, "" none
	bound  int    // most bytes of the answer
	hint   string // what to do when it is refused as such, "" the usual
	decode func(body []byte, a answer) (newest time.Time, err error)
}

// get sends the request. Credentials that were refused are read again from
// their file and, if they changed, tried once more.
func (c *Client) get(ctx context.Context, r request) error {
	used, err := c.credential().Value()
	if err != nil {
		return &Error{Kind: ErrCredentials, Doing: r.doing, Cause: err}
	}
	err = c.attempts(ctx, r, used)
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
		return err
	}
	// What was sent is compared, not what Refresh says: another request may
	// have refreshed it meanwhile.
	_, refreshErr := c.credential().Refresh()
	fresh, valueErr := c.credential().Value()
	if err := cmp.Or(refreshErr, valueErr); err != nil {
		return &Error{Kind: ErrCredentials, Doing: r.doing, Status: e.Status, Cause: err}
	}
	if fresh == used {
		return err
	}
	return c.attempts(ctx, r, fresh)
}

// credential is the one that is set, or the zero Secret.
func (c *Client) credential() secret.Secret {
	if !c.o.AccessToken.IsZero() {
		return c.o.AccessToken
	}
	return c.o.APIKey
}

func (c *Client) attempts(ctx context.Context, r request, credential string) error {
	req, err := c.newRequest(ctx, r, credential)
	if err != nil {
		return err
	}
	if err := c.wait(ctx); err != nil {
		return fmt.Errorf("%s: %w", r.doing, err)
	}
	req.SetResponseHandler(func(resp *http.Response) error { return c.read(resp, r) })
	_, err = c.http.Do(req)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s: %w", r.doing, ctx.Err())
	}
	return c.unreachable(r, err)
}

// wait keeps the rate.
func (c *Client) wait(ctx context.Context) error {
	if c.limit == nil || c.limit.Wait(ctx) == nil {
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.DeadlineExceeded // the limiter saw that it would pass
}

func (c *Client) newRequest(ctx context.Context, r request, credential string) (*retryablehttp.Request, error) {
	u := c.base.JoinPath(r.path...)
	u.RawQuery = r.query.Encode()
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: the request could not be built; check the API's base URL", r.doing)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "backstop/"+c.o.Version)
	if err := c.authorize(req.Header, credential); err != nil {
		return nil, &Error{Kind: ErrCredentials, Doing: r.doing, Cause: err}
	}
	return req, nil
}

func (c *Client) authorize(h http.Header, credential string) error {
	if credential == "" {
		return nil
	}
	if strings.ContainsFunc(credential, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("the value (%s) holds white space or characters that no key has; write the key and nothing else",
			c.credential().Source())
	}
	if c.o.AccessToken.IsZero() {
		h.Set("X-Api-Key", credential)
	} else {
		h.Set("Authorization", "Bearer "+credential)
	}
	return nil
}
