package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"backstop/internal/config"
	"backstop/internal/doctor"
	"backstop/internal/heygen"
	"backstop/poller"
	"backstop/reconcile"
	"backstop/state"
)

// DoctorRequest says what doctor looks at beside the usual.
type DoctorRequest struct {
	SendTest  bool   `json:"send_test,omitempty"`  // the receiver gets synthetic events
	EventType string `json:"event_type,omitempty"` // of these; "": doctor.TestType
	Version   string `json:"version,omitempty"`    // of the program that asks
	// Mistaken are the parts of the configuration that have mistakes, Broken is why
	// there is no state although there is a file, and Held who holds it and does not
	// answer: of an engine that was opened in spite of them.
	Mistaken []string `json:"mistaken,omitempty"`
	Broken   string   `json:"broken,omitempty"`
	Held     string   `json:"held,omitempty"`
}

// reasonTest is the X-Backstop-Reason of the receiver's test: whoever wants to
// leave its events out tells them by it.
const reasonTest state.Reason = "test"

// listingPatience is how long doctor waits for one answer of HeyGen.
const listingPatience = 10 * time.Second

// Doctor checks everything that can be checked and gives each line to yield. It
// writes nothing, and without a state it looks at the rest. daemon says that a
// daemon asks.
func (e *Engine) Doctor(ctx context.Context, r DoctorRequest, daemon bool, yield func(doctor.Check) error) (doctor.Summary, error) {
	var summary doctor.Summary
	p, err := e.patient(r, daemon)
	if err != nil {
		return summary, explain(err)
	}
	err = p.Run(ctx, func(c doctor.Check) error {
		summary.Count(c)
		return yield(c)
	})
	return summary, explain(err)
}

func (e *Engine) patient(r DoctorRequest, daemon bool) (doctor.Patient, error) {
	parts := e.current()
	p := doctor.Patient{Mistaken: map[string]bool{}}
	for _, part := range r.Mistaken {
		p.Mistaken[part] = true
	}
	p.Daemon = doctor.Daemon{
		Running: daemon, Version: e.options.Version, Asker: r.Version, Silent: r.Held, Admin: parts.cfg.Admin.Listen,
		Told: e.Takes(config.SourceReport) || e.Takes(config.SourceMirror),
	}
	p.State = doctor.State{Path: absolute(parts.cfg.State.Path), Absent: true, Broken: r.Broken}
	p.Sources = doctor.Sources{Try: e.trySources, Blind: r.Broken != "" || r.Held != "" || p.Mistaken["state"]}
	counts, err := e.examineState(&p, daemon)
	if err != nil {
		return p, err
	}
	if p.Listing, err = e.listing(parts, counts); err != nil {
		return p, err
	}
	p.Notices = e.examineNotices(parts, r)
	return p, e.examineReceiver(&p, parts, r)
}

// listing is asked by a client of its own, which does not repeat what fails: what
// is wrong is to be seen.
func (e *Engine) listing(p *parts, counts state.Counts) (doctor.Listing, error) {
	h := p.cfg.Heygen
	client, err := heygen.New(heygen.Options{
		BaseURL: h.BaseURL, APIKey: h.APIKey, AccessToken: h.AccessToken, Timeout: min(h.Timeout, listingPatience), Attempts: 1,
		Version: e.options.Version, Transport: e.options.API,
	})
	if err != nil {
		return doctor.Listing{}, err
	}
	l := doctor.Listing{
		API: client, Base: heygen.CutURLs(h.BaseURL), Proxy: proxyOf(h.BaseURL), KeyFrom: p.cfg.KeyFrom, Queries: queries(p.cfg), Rows: h.PageSize,
		Order:       func(rows []heygen.Event) string { return poller.OrderOf(rows, p.cfg.Reconcile.Lookback) },
		Quarantined: counts.Quarantined,
	}
	if e.store != nil {
		l.Types = e.store.Types()
	}
	return l, nil
}

// examineReceiver fills in what is known of the receiver, and the ways to ask it.
func (e *Engine) examineReceiver(p *doctor.Patient, parts *parts, r DoctorRequest) error {
	cfg := parts.cfg.Receiver
	_, tapped := parts.cfg.Tap()
	p.Receiver = doctor.Receiver{URL: cfg.URL, Tap: tapped, Proxy: proxyOf(cfg.URL), Resolve: resolve}
	secrets, err := secretValues(cfg.Secrets)
	p.Receiver.Signed, p.Receiver.Secret = len(secrets) > 0, textOf(err)
	if r.SendTest {
		p.Test = &doctor.Test{Type: r.EventType, Limit: cfg.Timeout}
		if p.Replaying != nil {
			p.Test.Paused = p.Replaying.Paused
		}
	}
	if cfg.URL == "" {
		return nil
	}
	sender, err := e.sender(parts.cfg)
	if err != nil {
		p.Receiver.Headers = textOf(err)
		return nil
	}
	p.Receiver.Knock = func(ctx context.Context) doctor.Knock {
		k := sender.Knock(ctx)
		return doctor.Knock{Status: k.Status, Err: k.Err, Latency: k.Latency, Expires: k.Expires}
	}
	if r.SendTest {
		p.Test.Post = poster(sender, secrets)
	}
	return nil
}

// sender posts as the replayer's does. Nobody counts what it sends.
func (e *Engine) sender(cfg *config.Config) (*reconcile.Sender, error) {
	o, err := e.replayOptions(cfg)
	if err != nil {
		return nil, err
	}
	return reconcile.NewSender(reconcile.SenderOptions{
		URL: o.URL, Headers: o.Headers, Body: o.Body, Timeout: o.Timeout, Version: o.Version, Transport: o.Transport,
	})
}

// poster sends one event of the receiver's test: the bytes are those of a replay.
func poster(sender *reconcile.Sender, secrets []string) func(context.Context, doctor.Trial) doctor.Reply {
	return func(ctx context.Context, t doctor.Trial) doctor.Reply {
		m := reconcile.Message{Event: t.Event, Attempt: 1, Reason: reasonTest, Secrets: secrets, At: t.At}
		if t.Forged {
			m.Secrets = []string{"whsec_" + rand.Text()}
		}
		a := sender.Send(ctx, m)
		return doctor.Reply{Status: a.Status, Err: a.Err, Latency: a.Latency}
	}
}

func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// proxyOf is the host of the proxy through which the environment has a URL asked;
// "" for none.
func proxyOf(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return ""
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	switch {
	case err != nil:
		return "a proxy whose URL can't be read"
	case proxy == nil:
		return ""
	}
	return cmp.Or(proxy.Host, "a proxy")
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
