package engine

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"backstop/internal/config"
	"backstop/internal/heygen"
	"backstop/internal/notify"
	"backstop/reconcile"
	"backstop/state"
)

// newTeller makes what tells people of trouble.
func (e *Engine) newTeller(cfg *config.Config) *notify.Teller {
	o := notify.Options{
		Slack: cfg.Notify.Format == config.NoticeSlack, Command: cfg.Notify.Command, Cooldown: cfg.Notify.Cooldown,
		Headers: cfg.Notify.HeaderValues, Report: e.report, Secrets: func() []string { return secretsOf(cfg) },
		Version: e.options.Version, Store: e.store, Logger: e.log, Transport: e.options.Notices,
	}
	if !cfg.Notify.URL.IsZero() {
		o.URL = cfg.Notify.URL.Value
	}
	return notify.New(o)
}

// newPing makes what keeps a dead man's switch quiet.
func (e *Engine) newPing(cfg *config.Config) *notify.Ping {
	o := notify.PingOptions{
		Secrets: func() []string { return secretsOf(cfg) }, Version: e.options.Version, Logger: e.log, Transport: e.options.Notices,
	}
	if !cfg.Admin.PingURL.IsZero() {
		o.URL = cfg.Admin.PingURL.Value
	}
	return notify.NewPing(o)
}

// lastWords is how long a process that ends with its work may take to tell of it.
const lastWords = 30 * time.Second

// tellNow tells what is due, where nobody else will: the daemon does it beside
// its work. A caller that has gone leaves it to the next run.
func (e *Engine) tellNow(ctx context.Context) {
	p := e.current()
	if e.running.Load() > 0 {
		p.teller.Wake(true)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	var group errgroup.Group // one that hangs takes no time from the other
	group.Go(func() error { p.ping.Pay(ctx); return nil })
	group.Go(func() error { p.teller.Tell(ctx, true); return nil })
	_ = group.Wait() // each logs what fails
}

// failed wakes whoever tells when an attempt to replay was not taken.
func (e *Engine) failed(next func(reconcile.Answer)) func(reconcile.Answer) {
	return func(a reconcile.Answer) {
		if next != nil {
			next(a)
		}
		if a.Status/100 != 2 {
			e.current().teller.Wake(false)
		}
	}
}

// report is how things stand, from what is in memory.
func (e *Engine) report() notify.Report {
	p, counts := e.current(), e.store.Counts()
	receiver, held := e.standing(p.replayer)
	r := notify.Report{
		Now: time.Now().UTC(), Receiver: heygen.CutURLs(p.cfg.Receiver.URL), AcceptedAt: receiver.OKAt,
		Pending: int(counts.Status[state.Missed] + counts.Status[state.Replaying]), Dead: int(counts.Status[state.Dead]),
		OnlyDead: e.aDeadOne,
	}
	if err := e.store.Full(); err != nil {
		r.Full = heygen.Clean(err.Error())
	}
	e.reportPass(&r)
	reportStand(&r, receiver, held, p.replayer.Outage())
	for _, h := range p.sources.Health() {
		r.Sources = append(r.Sources, notify.SourceReport{
			Name: h.Name, Failing: heygen.Clean(h.Failing), Since: h.Since, Spoke: h.Spoke,
			Recorder: h.Proof != state.Query && h.Proof != state.Command && h.Proof != state.Log,
		})
	}
	return r
}

// aDeadOne is the newest dead event; "": there is none, or it can't be read. It is
// looked up only for a notice of a single one.
func (e *Engine) aDeadOne() (id string) {
	err := e.store.Events(context.Background(), state.Filter{Status: []state.Status{state.Dead}, Limit: 1}, func(row state.Row) error {
		id = row.Event.ID
		return nil
	})
	if err != nil {
		return ""
	}
	return id
}

// reportPass tells of the last pass, where its walks were not complete. A source
// that failed is told of by itself.
func (e *Engine) reportPass(r *notify.Report) {
	last := e.lastPass()
	r.Passed = !last.pass.End.IsZero()
	if last.err == nil || last.pass.Complete {
		return
	}
	r.Unreadable, r.Cause, r.FailedAt = heygen.Clean(last.err.Error(), secretsOf(e.current().cfg)...), notify.Incomplete, last.pass.Start
	if errors.Is(last.err, heygen.ErrCredentials) {
		r.Cause = notify.Credentials
	}
}

// standing is what is known of the receiver, and why nothing is replayed because
// of that: of one moment, though an attempt may land meanwhile.
func (e *Engine) standing(replayer *reconcile.Replayer) (state.Receiver, string) {
	for {
		before, held := e.store.Receiver(), replayer.Paused()
		now := e.store.Receiver()
		if before.Paused == now.Paused && before.Misconfigured == now.Misconfigured {
			return now, held
		}
	}
}

// reportStand tells why replaying stands still.
func reportStand(r *notify.Report, receiver state.Receiver, held string, outage reconcile.Outage) {
	switch {
	case held == "" && outage.Answer != "":
		r.Stands, r.StandsCause, r.StandsSince = "the receiver fails: "+outage.Answer, notify.Failing, outage.Since
	case held == "":
	case receiver.Paused != "" && receiver.PausedBy == state.PausedByBackstop:
		r.Stands, r.StandsCause, r.StandsSince = held, notify.ByIDs, receiver.PausedAt
	case receiver.Paused != "":
		r.Stands, r.StandsCause, r.StandsSince = held, notify.ByPerson, receiver.PausedAt
	case receiver.Misconfigured != "":
		r.Stands, r.StandsCause, r.StandsSince = "the receiver is misconfigured: "+receiver.Misconfigured, notify.Misconfigured, receiver.Since
	default:
		r.Stands, r.StandsCause = held, notify.Held
	}
	r.Stands = heygen.Clean(r.Stands)
}
