package doctor

import (
	"context"
	"net"
	"strings"
)

// Daemon is who answers.
type Daemon struct {
	Running bool   // a daemon does; else the verb looks by itself
	Version string // of who answers
	Asker   string // version of the program that asks; "": unknown
	Silent  string // who holds the state and does not answer; "": nobody does
	Admin   string // admin.listen; "": none
	Told    bool   // a source is told through the admin listener
}

func (d Daemon) look(ctx context.Context) []Check {
	all := []Check{d.judge()}
	switch {
	case d.Admin == "" && d.Told:
		all = append(all, warn("admin", "write admin.listen (127.0.0.1:8710, or unix:/path), or let the receiver use the control socket",
			"admin.listen is empty: nobody can report to /v1/seen or /v1/mirror over it"))
	case d.Admin != "" && d.Running && !strings.HasSuffix(d.Admin, ":0"): // of :0 nobody knows the port
		all = append(all, judgeAdmin(d.Admin, connect(ctx, d.Admin)))
	}
	return all
}

func (d Daemon) judge() Check {
	switch {
	case d.Silent != "":
		return fail("daemon", "wait, if it is a verb that ends by itself; one that runs as another user is asked with sudo; else see its log and restart it (`systemctl restart backstop`)",
			"a process holds the state and does not answer at the control socket: %s", d.Silent)
	case !d.Running:
		return ok("daemon", "none runs; this program (version %s) looks by itself", d.Version)
	case d.Asker != "" && d.Asker != d.Version:
		return warn("daemon", "restart the daemon (`systemctl restart backstop`), or use the program that it was started from",
			"running, version %s; this program has version %s", d.Version, d.Asker)
	}
	return ok("daemon", "running, version %s", d.Version)
}

func judgeAdmin(listen string, err error) Check {
	if err != nil {
		return fail("admin", "restart the daemon; its log says why it does not listen", "nobody listens at %s", listen)
	}
	return ok("admin", "the daemon listens at %s", listen)
}

// connect tries a listener's address.
func connect(ctx context.Context, listen string) error {
	where, address := "tcp", listen
	if path, isSocket := strings.CutPrefix(listen, "unix:"); isSocket {
		where, address = "unix", path
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, where, address)
	if err != nil {
		return err
	}
	return conn.Close()
}
