package api

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"strings"
	"unicode"

	"backstop/internal/heygen"
	"backstop/internal/log"
)

const (
	// mostName is how long a name may be that a client tells, in characters.
	mostName = 64

	// mostWhy is how long a reason may be, in bytes; the rest is cut off.
	mostWhy = 1000

	// peerPrefix begins the RemoteAddr of a request whose sender the kernel has
	// named: only a connection of our own has such an address.
	peerPrefix = "uid:"
)

// whoOf says who asks: the one place that knows. On the admin listener it is
// whoever has the token, or can reach it; on the control socket, and within one
// process, it is the user that the kernel names. What the client says of itself
// is a hint that root may give, and the user whom the daemon runs as.
func (h *handler) whoOf(r *http.Request, hint string) string {
	if h.guard != nil {
		return h.guard.caller(r)
	}
	uid, ok := peerOf(r)
	if !ok {
		return "somebody at the control socket"
	}
	return named(uid, hint)
}

// Self names the user of this process, for what is done without a request.
func Self(hint string) string { return named(os.Geteuid(), hint) }

// caller is whoever was let through.
func (g *guard) caller(r *http.Request) string {
	if want, err := g.options.Token(); err != nil || want != "" { // without it nobody came this far
		return "the admin token"
	}
	if uid, ok := peerOf(r); ok {
		return "the admin listener (" + strings.NewReplacer(" (", ", ", ")", "").Replace(named(uid, "")) + ")"
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "the admin listener"
	}
	return "the admin listener (" + host + ")"
}

// named is a user by name, or by the name that somebody gives who may.
func named(uid int, hint string) string {
	name := ""
	if uid == 0 || uid == os.Geteuid() {
		name = cleanName(hint)
	}
	if known, err := user.LookupId(strconv.Itoa(uid)); name == "" && err == nil {
		name = cleanName(known.Username)
	}
	if name == "" {
		return fmt.Sprintf("uid %d", uid)
	}
	return fmt.Sprintf("%s (uid %d)", name, uid)
}

// cleanName makes a name that a client tells fit for people. Brackets are taken
// out of it: what stands in them is what the kernel says.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '(' || r == ')' || r == unicode.ReplacementChar:
			return -1
		case !unicode.IsPrint(r):
			return ' '
		}
		return r
	}, name)
	runes := []rune(strings.Join(strings.Fields(name), " "))
	return strings.TrimSpace(string(runes[:min(len(runes), mostName)]))
}

// cleanWhy makes a reason that a client tells fit for people: printable, on one
// line, of bounded length, and without the queries of URLs, for it is shown in
// many places.
func cleanWhy(why string) string {
	why = heygen.CutURLs(log.Printable(strings.Join(strings.Fields(why), " ")))
	if len(why) <= mostWhy {
		return why
	}
	return strings.ToValidUTF8(why[:mostWhy], "") + "…"
}

// peerOf is the user at the other end, where the kernel has told.
func peerOf(r *http.Request) (uid int, ok bool) {
	text, ok := strings.CutPrefix(r.RemoteAddr, peerPrefix)
	if !ok {
		return 0, false
	}
	uid, err := strconv.Atoi(text)
	return uid, err == nil
}

// Peers makes a listener whose connections over a unix socket tell which user is
// at their other end. Other connections are passed on as they are.
func Peers(l net.Listener) net.Listener { return peers{l} }

type peers struct{ net.Listener }

// Accept implements [net.Listener].
func (p peers) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	local, ok := conn.(*net.UnixConn)
	if !ok {
		return conn, nil
	}
	uid, ok := peerUID(local)
	if !ok {
		return conn, nil
	}
	return peerConn{conn, uid}, nil
}

// peerConn is a connection of a known user. net/http gives its address to the
// request.
type peerConn struct {
	net.Conn
	uid int
}

// RemoteAddr implements [net.Conn].
func (c peerConn) RemoteAddr() net.Addr { return peer(c.uid) }

// peer is a user as an address.
type peer int

// Network implements [net.Addr].
func (peer) Network() string { return "unix" }

// String implements [fmt.Stringer].
func (p peer) String() string { return peerPrefix + strconv.Itoa(int(p)) }
