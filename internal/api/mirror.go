package api

import (
	"net/http"

	"backstop/internal/config"
	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/reconcile"
	"backstop/state"
)

// mirror keeps a copy of a push that the receiver has answered with 2xx. Where a
// secret is set the copy must carry HeyGen's signature, which then serves as the
// token; without one, whoever is not trusted is refused.
func (h *handler) mirror(trusted func(*http.Request) (bool, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !h.takes(w, config.SourceMirror) {
			return
		}
		body, ok := h.readReport(w, r)
		if !ok || !h.believed(w, r, body, trusted) {
			return
		}
		seen, ok := reconcile.Push(r.Header, body, state.Mirror, h.engine.Now())
		if !ok {
			badRequest(w, "send the push as it came, headers and body",
				"it has no Heygen-Event-Id, and no body with event_type and event_data that names an entity")
			return
		}
		h.keep(w, []state.Sighting{seen}, 0)
	}
}

// believed reports whether a copy is to be believed, and answers it if not.
func (h *handler) believed(w http.ResponseWriter, r *http.Request, body []byte, trusted func(*http.Request) (bool, error)) bool {
	secrets, err := h.engine.Secrets()
	if err != nil {
		writeError(w, http.StatusServiceUnavailable, exit.Wrap(exit.Failed, "", err))
		return false
	}
	if len(secrets) > 0 {
		if signed(r.Header, body, secrets) {
			return true
		}
		unauthorized(w, "forward Heygen-Signature (or Signature) and the body byte for byte; check receiver.secret", "the signature is missing or does not fit the body")
		return false
	}
	ok, err := trusted(r)
	switch {
	case err != nil:
		writeError(w, http.StatusServiceUnavailable, exit.Wrap(exit.Failed, "", err))
	case !ok:
		unauthorized(w, "send Authorization: Bearer with admin.token, or set receiver.secret to have the signature serve", "the token is missing or wrong")
	}
	return ok && err == nil
}

// signed reports whether the body carries HeyGen's signature, in the documented
// header or else in the legacy one.
func signed(h http.Header, body []byte, secrets []string) bool {
	given := h.Get("Heygen-Signature")
	if given == "" {
		given = h.Get("Signature")
	}
	return heygen.Verify(secrets, body, given)
}

func unauthorized(w http.ResponseWriter, hint, why string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="backstop"`)
	writeError(w, http.StatusUnauthorized, exit.Errorf(exit.Failed, hint, "%s", why))
}

// takes reports whether the configuration has a source of this kind, and answers
// if not: what the owner has not listed is not believed.
func (h *handler) takes(w http.ResponseWriter, kind string) bool {
	if h.engine.Takes(kind) {
		return true
	}
	writeError(w, http.StatusForbidden, exit.Errorf(exit.Config, "add `- "+kind+": {}` to seen", "%s is no source of this configuration", kind))
	return false
}
