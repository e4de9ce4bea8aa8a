package engine

import (
	"context"
	"os/exec"
	"path/filepath"

	"backstop/internal/config"
	"backstop/internal/doctor"
	"backstop/internal/heygen"
)

// examineNotices fills in who is told of trouble, and how that fares: of a verb
// that looks by itself only who it would be.
func (e *Engine) examineNotices(p *parts, r DoctorRequest) doctor.Notices {
	n := doctor.Notices{Channels: channelsOf(p.cfg.Notify), Program: unstartable(p.cfg.Notify.Command)}
	if h := p.teller.Health(); h != nil {
		n.Failing, n.Since, n.Last = h.Failing, h.FailingSince, h.LastAt
	}
	if !p.cfg.Admin.PingURL.IsZero() {
		n.Ping = &doctor.Ping{}
	}
	if h := p.ping.Health(); h != nil {
		n.Ping = &doctor.Ping{Failing: h.Failing, Since: h.FailingSince, Last: h.LastAt}
	}
	if r.SendTest {
		n.Test = e.tester(p.cfg)
	}
	return n
}

func channelsOf(n config.Notify) (all []string) {
	if !n.URL.IsZero() {
		all = append(all, "url")
	}
	if len(n.Command) > 0 {
		all = append(all, "command")
	}
	return all
}

// unstartable is why a program can't be started here, as this user; "" where it
// can, or where there is none. Its arguments may hold secrets.
func unstartable(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	if _, err := exec.LookPath(argv[0]); err != nil {
		return "notify.command: there is no program " + heygen.Clean(filepath.Base(argv[0])) + " that can be started"
	}
	return ""
}

// tester sends a test notice by every channel. It is a teller of its own: nothing
// is written down, and no state is needed.
func (e *Engine) tester(cfg *config.Config) func(context.Context) []doctor.Way {
	return func(ctx context.Context) (all []doctor.Way) {
		for _, s := range e.newTeller(cfg).Test(ctx, heygen.CutURLs(cfg.Receiver.URL)) {
			all = append(all, doctor.Way{Channel: s.Channel, Failing: s.Failing})
		}
		return all
	}
}
