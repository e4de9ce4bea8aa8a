package simulate

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// With a share of one each fault is all there is; what a client then sees is named here.
func TestEveryFault(t *testing.T) {
	fresh := New(Options{Seed: 1, Events: 30})
	token := *listing(t, fresh, 5, "").Token
	for _, c := range []struct {
		what   fault
		faults Faults
		check  func(*httptest.ResponseRecorder) bool
	}{
		{tooMany, Faults{TooMany: 1, RetryAfter: "7"}, func(r *httptest.ResponseRecorder) bool {
			return r.Code == 429 && r.Header().Get("Retry-After") == "7" && strings.Contains(r.Body.String(), "rate_limit_exceeded")
		}},
		{serverError, Faults{ServerError: 1}, func(r *httptest.ResponseRecorder) bool { return r.Code >= 500 }},
		{htmlPage, Faults{HTML: 1}, func(r *httptest.ResponseRecorder) bool {
			return r.Code == 200 && strings.HasPrefix(r.Header().Get("Content-Type"), "text/html")
		}},
		{truncated, Faults{Truncated: 1}, func(r *httptest.ResponseRecorder) bool {
			return r.Code == 200 && !json.Valid(r.Body.Bytes())
		}},
		{expiredCursor, Faults{ExpiredCursors: 1}, func(r *httptest.ResponseRecorder) bool {
			return r.Code == 400 && strings.Contains(r.Body.String(), `"param":"token"`)
		}},
		{emptyPage, Faults{EmptyPages: 1}, func(r *httptest.ResponseRecorder) bool {
			return r.Code == 200 && strings.Contains(r.Body.String(), `"data":[]`) && strings.Contains(r.Body.String(), `"has_more":true`)
		}},
	} {
		w := New(Options{Seed: 1, Events: 30, Faults: c.faults})
		for range 20 {
			rw := ask(w, http.MethodGet, "/v3/webhooks/events?token="+url.QueryEscape(token), "")
			if !c.check(rw) {
				t.Errorf("%s: %d %s", c.what, rw.Code, rw.Body)
			}
		}
		if n := w.Stats().Faults[string(c.what)]; n != 20 {
			t.Errorf("%s counted %d times", c.what, n)
		}
	}
	calm := New(Options{Events: 30, Faults: Faults{ExpiredCursors: 1}})
	if rw := ask(calm, http.MethodGet, "/v3/webhooks/events", ""); rw.Code != 200 {
		t.Error("a request without a cursor met an expired one")
	}
}

func TestAnEmptyPageGoesOn(t *testing.T) {
	w := New(Options{Seed: 1, Events: 5, Faults: Faults{EmptyPages: 1}})
	a := listing(t, w, 5, "")
	b := listing(t, w, 5, *a.Token)
	if *a.Token == *b.Token {
		t.Error("two empty pages in a row have one cursor: a client must take that for a loop")
	}
	if err := w.SetFaults(Faults{}); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, w, 5, *b.Token); len(got.Data) != 5 {
		t.Errorf("%d events behind the empty pages, want 5", len(got.Data))
	}
}

// A mild world shows each of its faults in the long run, and mostly answers.
func TestMildFaultsAreAllMet(t *testing.T) {
	f := Mild()
	f.SlowBy = time.Nanosecond
	w := New(Options{Seed: 1, Events: 200, Faults: f})
	good := 0
	token := url.QueryEscape(*listing(t, New(Options{Seed: 1, Events: 200}), 1, "").Token)
	for range 2500 {
		if rw := ask(w, http.MethodGet, "/v3/webhooks/events?limit=1&token="+token, ""); rw.Code == 200 {
			good++
		}
	}
	s := w.Stats()
	for _, name := range []fault{tooMany, serverError, htmlPage, truncated, expiredCursor, emptyPage, "slow"} {
		if s.Faults[string(name)] == 0 {
			t.Errorf("%s never happened", name)
		}
	}
	if good < 2300 {
		t.Errorf("only %d of 2500 answers were 200; that is not mild", good)
	}
}

func TestValidate(t *testing.T) {
	for _, o := range []Options{
		{Lost: 0.6, Late: 0.6}, {Doubled: -1}, {Twins: 2}, {Events: -1}, {Rate: -1}, {Span: -1},
		{PushURL: "ftp://x"}, {PushURL: "localhost:80"}, {Faults: Faults{HTML: 1.5}}, {Faults: Faults{Order: "x"}}, {Faults: Faults{SlowBy: -1}},
	} {
		if o.Validate() == nil {
			t.Errorf("%+v is taken as valid", o)
		}
	}
	if err := (Options{Lost: MildLost, Late: MildLate, Doubled: MildDoubled, Faults: Mild(), PushURL: "http://127.0.0.1:1/x"}).Validate(); err != nil {
		t.Error(err)
	}
}
