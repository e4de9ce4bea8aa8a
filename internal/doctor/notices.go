package doctor

import (
	"context"
	"strings"
	"time"
)

// Notices is who is told of trouble, and how the telling fares.
type Notices struct {
	Channels []string // url, command; empty: nobody is told
	Program  string   // why notify.command can't be started; "": it can, or there is none
	Failing  string   // what a channel answered; "": nothing failed
	Since    time.Time
	Last     time.Time                   // when one was delivered, in this process; zero: none was
	Ping     *Ping                       // nil: no dead man's switch
	Test     func(context.Context) []Way // sends a notice that says it is a test; nil: none is sent
}

// Ping is how the dead man's switch fares.
type Ping struct {
	Failing string // what it answered; "": it did not fail
	Since   time.Time
	Last    time.Time // when it took one, in this process; zero: never
}

// Way is what came of a test notice on one channel.
type Way struct {
	Channel string
	Failing string // "": it was taken
}

// telling is the limit of a test notice: longer than any channel has.
const telling = 40 * time.Second

// lookNotices tells of notices and of the dead man's switch. Nobody has to have
// them, so their absence is no warning.
func (p Patient) lookNotices(context.Context) []Check {
	notices, bad := p.mistaken("notices", "notify")
	if !bad {
		notices = p.Notices.judge(p.Now)
	}
	ping, bad := p.mistaken("ping", "admin")
	if !bad {
		ping = p.Notices.Ping.judge(p.Now)
	}
	return []Check{notices, ping}
}

func (n Notices) judge(now time.Time) Check {
	by := "by " + strings.Join(n.Channels, " and ")
	switch {
	case len(n.Channels) == 0:
		return ok("notices", "nobody is told of trouble: notify.url or notify.command would")
	case n.Program != "":
		return fail("notices", "write the program's full path in notify.command, and make it executable for the user that runs backstop", "%s", n.Program)
	case n.Failing != "":
		return fail("notices", "mend what it names; `backstop doctor --send-test` tries it at once", "%s, failing since %s: %s", by, now.Sub(n.Since).Round(time.Second), n.Failing)
	case n.Last.IsZero():
		return ok("notices", "%s; none was delivered in this process yet (--send-test sends one)", by)
	}
	return ok("notices", "%s; the last one was delivered %s ago", by, now.Sub(n.Last).Round(time.Second))
}

func (h *Ping) judge(now time.Time) Check {
	switch {
	case h == nil:
		return ok("ping", "no dead man's switch: admin.ping_url would tell that backstop itself is gone")
	case h.Failing != "":
		return fail("ping", "mend what it names, or correct admin.ping_url; the next clean pass tries again", "not taken since %s: %s", now.Sub(h.Since).Round(time.Second), h.Failing)
	case h.Last.IsZero():
		return ok("ping", "after every clean pass; none in this process yet")
	}
	return ok("ping", "the last one was taken %s ago", now.Sub(h.Last).Round(time.Second))
}

// noticeSteps is the test of the ways to people, where it is asked for and there
// are any.
func (p Patient) noticeSteps() []step {
	if p.Notices.Test == nil || p.Mistaken["notify"] {
		return nil
	}
	return []step{{"test notice", telling, alone(func(ctx context.Context) (all []Check) {
		for _, w := range p.Notices.Test(ctx) {
			all = append(all, w.judge())
		}
		return all
	})}}
}

func (w Way) judge() Check {
	name := "test notice " + w.Channel
	if w.Failing != "" {
		return fail(name, "correct notify."+w.Channel+", or mend who is behind it", "not taken: %s", w.Failing)
	}
	return ok(name, "taken; see that it arrived")
}
