package simulate

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// post sends the push as HeyGen does and returns the status.
func (w *World) post(ctx context.Context, e event) (int, error) {
	body := pushBody(e.kind.name, w.dataOf(e))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.o.PushURL, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("push %s: %w", w.idOf(e.at), err)
	}
	w.dress(req.Header, e, body)
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("push %s: %w", w.idOf(e.at), err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return 0, fmt.Errorf("push %s: %w", w.idOf(e.at), err)
	}
	return resp.StatusCode, nil
}

// dress sets the headers of a push: the documented ones, or those of the legacy kind.
func (w *World) dress(h http.Header, e event, body []byte) {
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "HeyGen-Simulation/1.0")
	signature := "Heygen-Signature"
	if w.o.Legacy {
		signature = "Signature"
	} else {
		h.Set("Heygen-Timestamp", strconv.FormatInt(w.now().Unix(), 10))
		h.Set("Heygen-Event-Id", w.idOf(e.at))
	}
	if w.o.Secret != "" {
		h.Set(signature, Sign(w.o.Secret, body))
	}
}

// Sign returns the signature of a body: HMAC-SHA256 in lower-case hex, keyed by the secret as
// it is written.
func Sign(secret string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// pushBody writes the body of a push: two keys, no white space. Listing and push come from two
// serialisers, so white space in the listed event_data is not in the push.
func pushBody(eventType string, data []byte) []byte {
	o := object{b: []byte{'{'}}
	o.text("event_type", eventType)
	o.key("event_data")
	packed := bytes.NewBuffer(o.b)
	if err := json.Compact(packed, data); err != nil {
		return append(append(o.b, data...), '}') // unreachable: event_data was written or checked by us
	}
	return append(packed.Bytes(), '}')
}
