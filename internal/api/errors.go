package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"backstop/internal/exit"
	"backstop/internal/heygen"
)

// ErrorBody is an error as users of the API and of --json read it.
type ErrorBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// BodyOf puts an error into its JSON form, without the queries of URLs.
func BodyOf(err error) ErrorBody {
	body := ErrorBody{Code: exit.CodeOf(err).String(), Message: err.Error()}
	if known := (*exit.Error)(nil); errors.As(err, &known) && known.Error() == err.Error() {
		body.Message, body.Hint = known.Message, known.Hint
	}
	body.Message, body.Hint = heygen.CutURLs(body.Message), heygen.CutURLs(body.Hint)
	return body
}

// Err is the reverse of BodyOf; nil for no body.
func (b *ErrorBody) Err() error {
	if b == nil {
		return nil
	}
	return &exit.Error{Code: exit.ParseCode(b.Code), Message: b.Message, Hint: b.Hint}
}

// writeError answers a request with an error.
func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]ErrorBody{"error": BodyOf(err)})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // the reader has gone: there is nobody to tell
}

// badRequest is an answer for a request that can't be understood.
func badRequest(w http.ResponseWriter, hint, format string, args ...any) {
	writeError(w, http.StatusBadRequest, exit.Errorf(exit.Usage, hint, format, args...))
}
