package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strings"

	"backstop/internal/engine"
	"backstop/internal/exit"
)

// AdminOptions says who may use the admin listener.
type AdminOptions struct {
	Hosts func() []string        // names to answer to beside the listener's own; a request with another Host is refused
	Token func() (string, error) // "" means that none is needed
}

// Admin serves what the admin listener shows, guarded: a Host that is not ours
// is refused, for a page in a browser can point its own name at this address;
// so is a request that a browser sends across sites; and where a token is set,
// all but the health checks need it.
func Admin(e *engine.Engine, o AdminOptions) http.Handler {
	h := newHandler(e, true)
	g := &guard{options: o}
	h.guard = g
	mux := http.NewServeMux()
	for _, r := range h.routes() {
		switch {
		case !r.admin:
		case r.open:
			mux.HandleFunc(r.pattern, r.serve)
		case r.signed:
			mux.HandleFunc(r.pattern, h.weighed(h.mirror(g.trusted)))
		default:
			mux.HandleFunc(r.pattern, g.token(r.serve))
		}
	}
	return g.host(http.NewCrossOriginProtection().Handler(mux))
}

type guard struct {
	options AdminOptions
}

// host refuses requests for another name.
func (g *guard) host(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.ours(r) {
			writeError(w, http.StatusForbidden, exit.Errorf(exit.Usage, "call it by its address, or add the name to admin.hosts", "unknown Host"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ours reports whether the Host names this listener: the address that the
// request came in at, localhost where that is loopback, or a configured name.
func (g *guard) ours(r *http.Request) bool {
	name := r.Host
	if bare, _, err := net.SplitHostPort(r.Host); err == nil {
		name = bare
	}
	name = strings.Trim(name, "[]")
	configured := func(h string) bool { return strings.EqualFold(h, name) || strings.EqualFold(h, r.Host) }
	if slices.ContainsFunc(g.options.Hosts(), configured) {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return true // a unix socket: no browser can be made to call it
	}
	if strings.EqualFold(name, "localhost") {
		return local.IP.IsLoopback()
	}
	ip := net.ParseIP(name)
	return ip.Equal(local.IP) || (ip.IsLoopback() && local.IP.IsLoopback())
}

// token refuses requests without the token, where one is set.
func (g *guard) token(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch trusted, err := g.trusted(r); {
		case err != nil:
			writeError(w, http.StatusServiceUnavailable, exit.Wrap(exit.Failed, "", err))
		case !trusted:
			unauthorized(w, "send Authorization: Bearer with admin.token", "the token is missing or wrong")
		default:
			next(w, r)
		}
	}
}

// trusted reports whether a request has the token, where one is set.
func (g *guard) trusted(r *http.Request) (bool, error) {
	want, err := g.options.Token()
	if err != nil {
		return false, err
	}
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return want == "" || same(want, given), nil
}

// same compares hashes, so that neither content nor length shows in the time it
// takes.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
