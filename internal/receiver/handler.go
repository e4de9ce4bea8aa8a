package receiver

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"backstop/internal/heygen"
)

// maxBody is the largest body that is read.
const maxBody = 64 << 20

// envelope is the body of a push.
type envelope struct {
	Type string          `json:"event_type"`
	Data json.RawMessage `json:"event_data"`
	ID   *string         `json:"event_id"`
}

// refusal is an answer that accepts nothing.
type refusal struct {
	status int
	why    string
}

// Handler serves the webhook at every path.
func (r *Receiver) Handler() http.Handler { return http.HandlerFunc(r.serve) }

func (r *Receiver) serve(rw http.ResponseWriter, req *http.Request) {
	now := time.Now()
	if req.Method == http.MethodOptions {
		rw.WriteHeader(http.StatusNoContent) // the probe of a registration
		return
	}
	d := deliveryOf(req, now)
	if r.isDown(now) {
		r.note(d)
		breakOff(rw)
		return
	}
	body, bad := r.read(req)
	var e envelope
	if bad == nil {
		d.Body = sha256.Sum256(body)
		e, bad = r.check(req.Header, body, now)
	}
	if bad != nil {
		r.refuse(rw, d, *bad)
		return
	}
	r.work(rw, req, d, e)
}

// work handles a well-formed delivery: it takes its time, settles the answer, writes the
// delivery down, and only then answers and reports.
func (r *Receiver) work(rw http.ResponseWriter, req *http.Request, d Delivery, e envelope) {
	d.Type, d.Entity = e.Type, heygen.Event{Data: e.Data}.Entity()
	d.Fact, _ = heygen.FactOf(e.Type, e.Data)
	if !pause(req, r.o.Work) {
		d.Fault = "the sender went away"
		r.note(d)
		breakOff(rw)
		return
	}
	d.Status = r.status(d)
	r.note(d)
	if d.Accepted() && r.reporter != nil && (r.o.Unsaid == nil || !r.o.Unsaid(d)) {
		r.reporter.add(itemOf(d, e))
	}
	r.o.Logger.Debug("received", "event_id", d.ID, "event_type", d.Type, "replay", d.Replay, "status", d.Status)
	rw.WriteHeader(d.Status)
}

func (r *Receiver) status(d Delivery) int {
	n := r.next()
	if r.o.Answer != nil {
		if status := r.o.Answer(d, n); status != 0 {
			return status
		}
	}
	return http.StatusOK
}

func (r *Receiver) refuse(rw http.ResponseWriter, d Delivery, bad refusal) {
	d.Status, d.Fault = bad.status, bad.why
	r.note(d)
	r.o.Logger.Debug("refused", "event_id", d.ID, "replay", d.Replay, "status", d.Status, "why", d.Fault)
	http.Error(rw, bad.why, bad.status)
}

func deliveryOf(req *http.Request, now time.Time) Delivery {
	attempt, err := strconv.Atoi(req.Header.Get("X-Backstop-Attempt"))
	if err != nil {
		attempt = 0
	}
	return Delivery{
		At: now, ID: req.Header.Get("Heygen-Event-Id"),
		Replay: req.Header.Get("X-Backstop-Replay") != "", Attempt: attempt, Reason: req.Header.Get("X-Backstop-Reason"),
	}
}

// breakOff ends the connection without an answer; where the server cannot, a 503 stands for it.
func breakOff(rw http.ResponseWriter) {
	conn, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		rw.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	_ = conn.Close() // the sender is to see a broken connection, and does either way
}

func (r *Receiver) read(req *http.Request) ([]byte, *refusal) {
	if req.Method != http.MethodPost {
		return nil, &refusal{http.StatusMethodNotAllowed, "only POST"}
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxBody+1))
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, "the body broke off"}
	}
	if len(body) > maxBody {
		return nil, &refusal{http.StatusRequestEntityTooLarge, "the body is too large"}
	}
	return body, nil
}

// check is everything that public receivers demand of a request.
func (r *Receiver) check(h http.Header, body []byte, now time.Time) (envelope, *refusal) {
	if bad := r.checkSignature(h, body, now); bad != nil {
		return envelope{}, bad
	}
	if h.Get("Content-Type") != "application/json" {
		return envelope{}, &refusal{http.StatusUnsupportedMediaType, "Content-Type is not application/json"}
	}
	id := h.Get("Heygen-Event-Id")
	if id == "" && r.o.NeedID {
		return envelope{}, &refusal{http.StatusBadRequest, "no Heygen-Event-Id"}
	}
	return r.checkBody(body, id)
}

func (r *Receiver) checkSignature(h http.Header, body []byte, now time.Time) *refusal {
	if len(r.o.Secrets) == 0 {
		return nil
	}
	documented, legacy := h.Get("Heygen-Signature"), h.Get("Signature")
	if documented == "" && legacy == "" {
		return &refusal{http.StatusUnauthorized, "no signature"}
	}
	for _, given := range []string{documented, legacy} {
		if given != "" && !r.signed(given, body) {
			return &refusal{http.StatusUnauthorized, "the signature does not fit"}
		}
	}
	if documented == "" {
		return nil // a legacy push has no timestamp
	}
	return r.checkAge(h.Get("Heygen-Timestamp"), now)
}

// signed verifies one signature with every secret.
func (r *Receiver) signed(given string, body []byte) bool {
	sum, err := hex.DecodeString(given)
	if err != nil {
		return false
	}
	for _, secret := range r.o.Secrets {
		h := hmac.New(sha256.New, []byte(secret))
		h.Write(body)
		if hmac.Equal(sum, h.Sum(nil)) {
			return true
		}
	}
	return false
}

func (r *Receiver) checkAge(stamp string, now time.Time) *refusal {
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return &refusal{http.StatusUnauthorized, "Heygen-Timestamp is no number of seconds"}
	}
	limit := r.o.MaxAge
	if limit == 0 {
		limit = 300 * time.Second
	}
	if age := now.Sub(time.Unix(seconds, 0)).Abs(); age > limit {
		return &refusal{http.StatusUnauthorized, "Heygen-Timestamp is too far from now"}
	}
	return nil
}

func (r *Receiver) checkBody(body []byte, id string) (envelope, *refusal) {
	var e envelope
	d := json.NewDecoder(bytes.NewReader(body))
	if r.o.Strict {
		d.DisallowUnknownFields()
	}
	if !json.Valid(body) || d.Decode(&e) != nil {
		return e, &refusal{http.StatusBadRequest, "the body is not a push"}
	}
	switch {
	case e.Type == "":
		return e, &refusal{http.StatusBadRequest, "no event_type"}
	case len(e.Data) == 0 || e.Data[0] != '{':
		return e, &refusal{http.StatusBadRequest, "event_data is no object"}
	case e.ID != nil && r.o.Strict:
		return e, &refusal{http.StatusBadRequest, "the body has more than two keys"}
	case e.ID != nil && *e.ID != id:
		return e, &refusal{http.StatusBadRequest, "event_id differs from Heygen-Event-Id"}
	}
	return e, nil
}

// pause waits as long as the work takes; false when the sender went away.
func pause(req *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-req.Context().Done():
		return false
	case <-t.C:
		return true
	}
}
