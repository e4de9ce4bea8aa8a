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

type failure struct {
	Error struct {
		Code    string  `json:"code"`
		Message string  `json:"message"`
		Param   *string `json:"param"`
	} `json:"error"`
}

func TestBadParameters(t *testing.T) {
	w := New(Options{Seed: 1, Events: 50})
	other := New(Options{Seed: 2, Events: 50})
	filtered := *listing(t, w, 3, "", "event_type", baseType).Token
	good := *listing(t, w, 3, "").Token
	tampered := []byte(good)
	tampered[5] ^= 1
	for _, c := range []struct {
		name, param string
		values      url.Values
	}{
		{"limit 0", "limit", url.Values{"limit": {"0"}}},
		{"limit 101", "limit", url.Values{"limit": {"101"}}},
		{"limit -1", "limit", url.Values{"limit": {"-1"}}},
		{"limit ten", "limit", url.Values{"limit": {"ten"}}},
		{"unknown type", "event_type", url.Values{"event_type": {"avatar_video.succes"}}},
		{"junk token", "token", url.Values{"token": {"junk"}}},
		{"tampered token", "token", url.Values{"token": {string(tampered)}}},
		{"token of another query", "token", url.Values{"token": {filtered}}},
		{"token of another world", "token", url.Values{"token": {*listing(t, other, 3, "").Token}}},
	} {
		rw := ask(w, http.MethodGet, "/v3/webhooks/events?"+c.values.Encode(), "")
		var f failure
		if err := json.Unmarshal(rw.Body.Bytes(), &f); err != nil {
			t.Fatalf("%s: %v in %s", c.name, err, rw.Body)
		}
		if rw.Code != 400 || f.Error.Code != "invalid_parameter" || f.Error.Param == nil || *f.Error.Param != c.param || f.Error.Message == "" {
			t.Errorf("%s: %d %s", c.name, rw.Code, rw.Body)
		}
	}
	if a := listing(t, w, 1, good); len(a.Data) != 1 {
		t.Error("a cursor must serve another limit, too")
	}
	if rw := ask(w, http.MethodGet, "/v3/webhooks/events", ""); strings.Count(rw.Body.String(), `"event_id"`) != 10 {
		t.Error("the default limit is not 10")
	}
}

func TestEveryTamperedCursorIsRefused(t *testing.T) {
	key, c := cursorKey(1), cursor{after: 77}
	token := c.encode(key, "scope")
	if got, ok := decodeCursor(key, "scope", token); !ok || got != c {
		t.Fatalf("got %+v, %v", got, ok)
	}
	for i := range token {
		for bit := range 7 {
			bad := []byte(token)
			bad[i] ^= 1 << bit
			if _, ok := decodeCursor(key, "scope", string(bad)); ok {
				t.Fatalf("byte %d, bit %d: accepted %q", i, bit, bad)
			}
		}
	}
}

func TestAuthentication(t *testing.T) {
	w := New(Options{APIKey: "key", Events: 1})
	for _, path := range []string{"/v3/webhooks/events", "/v3/webhooks/event-types", "/v3/webhooks/endpoints", "/v3/videos", "/v3/videos/x", "/elsewhere"} {
		for _, header := range [][]string{nil, {"X-Api-Key", "wrong"}, {"Authorization", "Bearer wrong"}} {
			rw := ask(w, http.MethodGet, path, "", header...)
			if rw.Code != 401 || !strings.Contains(rw.Body.String(), `"authentication_failed"`) {
				t.Errorf("%s with %v: %d", path, header, rw.Code)
			}
		}
	}
	for _, header := range [][]string{{"X-Api-Key", "key"}, {"Authorization", "Bearer key"}} {
		if rw := ask(w, http.MethodGet, "/v3/webhooks/events", "", header...); rw.Code != 200 {
			t.Errorf("%v: %d", header, rw.Code)
		}
	}
}

func TestHeaders(t *testing.T) {
	w := New(Options{ClockSkew: -48 * time.Hour})
	a, b := ask(w, http.MethodGet, "/v3/webhooks/events", ""), ask(w, http.MethodGet, "/v3/webhooks/events", "")
	if x, y := a.Header().Get("X-Request-Id"), b.Header().Get("X-Request-Id"); x == "" || x == y {
		t.Errorf("request ids %q and %q", x, y)
	}
	date, err := http.ParseTime(a.Header().Get("Date"))
	if err != nil || time.Since(date) < 47*time.Hour {
		t.Errorf("Date %v (%v) does not follow the skewed clock", date, err)
	}
	if got := a.Body.String(); got != `{"data":[],"has_more":false,"next_token":null}` {
		t.Errorf("an empty listing reads %s", got)
	}
}

// get reads a path into v.
func get(t *testing.T, w *World, path string, v any) {
	t.Helper()
	rw := ask(w, http.MethodGet, path, "")
	if rw.Code != 200 {
		t.Fatalf("%s: %d %s", path, rw.Code, rw.Body)
	}
	if err := json.Unmarshal(rw.Body.Bytes(), v); err != nil {
		t.Fatal(err)
	}
}

func TestEventTypesAndEndpoints(t *testing.T) {
	w := New(Options{PushURL: "http://127.0.0.1:1/hook?token=x"})
	var types struct {
		Data []struct {
			Type  string `json:"event_type"`
			About string `json:"description"`
		} `json:"data"`
		More bool `json:"has_more"`
	}
	get(t, w, "/v3/webhooks/event-types", &types)
	if len(types.Data) != 30 || types.More || types.Data[0].Type != baseType || types.Data[0].About == "" {
		t.Errorf("%+v", types)
	}
	var ends struct {
		Data []struct {
			ID, URL, Status string
			Events          []string
		} `json:"data"`
	}
	get(t, w, "/v3/webhooks/endpoints", &ends)
	if len(ends.Data) != 1 || ends.Data[0].URL != "http://127.0.0.1:1/hook?token=x" || ends.Data[0].Status != "enabled" || ends.Data[0].Events != nil {
		t.Errorf("%+v", ends)
	}
}

func TestVideos(t *testing.T) {
	w := New(Options{Seed: 6, Events: 400, Start: begin()})
	rows := walk(t, w, 100, nil, "event_type", baseType)
	failed := walk(t, w, 100, nil, "event_type", "avatar_video.fail")
	var data struct {
		ID   string `json:"video_id"`
		URL  string `json:"url"`
		URL2 string `json:"video_url"`
	}
	if err := json.Unmarshal(rows[0].Data, &data); err != nil {
		t.Fatal(err)
	}
	var one struct {
		Data struct {
			ID, Status string
			VideoURL   string `json:"video_url"`
			Completed  int64  `json:"completed_at"`
		} `json:"data"`
	}
	get(t, w, "/v3/videos/"+data.ID, &one)
	old, fresh := path(t, data.URL+data.URL2), path(t, one.Data.VideoURL)
	if one.Data.ID != data.ID || one.Data.Status != "completed" || old != fresh || one.Data.VideoURL == data.URL+data.URL2 || one.Data.Completed == 0 {
		t.Errorf("%+v for %+v", one, data)
	}
	if rw := ask(w, http.MethodGet, "/v3/videos/unknown", ""); rw.Code != 404 {
		t.Errorf("an unknown video: %d", rw.Code)
	}
	if n := countVideos(t, w); n != len(rows)+len(failed) {
		t.Errorf("%d videos, want %d", n, len(rows)+len(failed))
	}
}

func path(t *testing.T, link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Path == "" {
		t.Fatalf("%q is no link: %v", link, err)
	}
	return u.Path
}

func countVideos(t *testing.T, w *World) int {
	met, token := map[string]bool{}, ""
	for {
		var page struct {
			Data  []struct{ ID, Status string } `json:"data"`
			Token *string                       `json:"next_token"`
		}
		get(t, w, "/v3/videos?"+url.Values{"limit": {"33"}, "token": {token}}.Encode(), &page)
		for _, v := range page.Data {
			if met[v.ID] {
				t.Fatalf("video %s listed twice", v.ID)
			}
			met[v.ID] = true
		}
		if page.Token == nil {
			return len(met)
		}
		token = *page.Token
	}
}

func TestControls(t *testing.T) {
	w := New(Options{PushURL: "http://127.0.0.1:1/"})
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/simulate/event", `{"event_type":"brand.new","event_data":{"a": 1},"push":"lost"}`, 201, `"push":"never_sent"`},
		{"/simulate/event", ``, 201, `"event_id":"evt_`},
		{"/simulate/event", `{"event_data":[1]}`, 400, "no JSON object"},
		{"/simulate/event", `{"evnt_type":"x"}`, 400, "evnt_type"},
		{"/simulate/event", `{"push":"maybe"}`, 400, "none of"},
		{"/simulate/event", `{} {}`, 400, "not one JSON object"},
		{"/simulate/faults", `{"too_many":0.5,"slow_by":"2s"}`, 200, `"slow_by":"2s"`},
		{"/simulate/faults", `{"truncated":0.25}`, 200, `"too_many":0.5`},
		{"/simulate/faults", `{"truncated":2}`, 400, "not a share"},
		{"/simulate/faults", `{"order":"sideways"}`, 400, "sideways"},
		{"/simulate/faults", `{"order":"oldest","too_many":0}`, 200, `"order":"oldest"`},
	} {
		rw := ask(w, http.MethodPost, c.path, c.body)
		if rw.Code != c.status || !strings.Contains(rw.Body.String(), c.want) {
			t.Errorf("POST %s %s: %d %s, want %d with %s", c.path, c.body, rw.Code, rw.Body, c.status, c.want)
		}
	}
	if f := w.Faults(); f.Truncated != 0.25 || f.TooMany != 0 || f.Order != Oldest {
		t.Errorf("faults %+v", f)
	}
	var s Stats
	get(t, w, "/simulate/stats", &s)
	if s.Made != 2 || s.Types["brand.new"] != 1 || s.Lost < 1 {
		t.Errorf("stats %+v", s)
	}
	if rows := ids(walk(t, New(Options{}), 5, nil, "event_type", baseType)); len(rows) != 0 {
		t.Errorf("rows %v", rows)
	}
}

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
