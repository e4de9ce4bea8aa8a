package simulate

import (
	"encoding/json"
	"net/http"
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
			ID          string `json:"endpoint_id"`
			URL, Status string
			Events      []string
		} `json:"data"`
	}
	get(t, w, "/v3/webhooks/endpoints", &ends)
	if len(ends.Data) != 1 || ends.Data[0].URL != "http://127.0.0.1:1/hook?token=x" || ends.Data[0].Status != "enabled" || ends.Data[0].Events != nil {
		t.Errorf("%+v", ends)
	}
	first := ends.Data[0].ID
	if rw := ask(w, http.MethodPost, "/simulate/endpoints", `{"endpoints":[{"url":"a"},{"url":"b","events":["x"],"disabled":true}]}`); rw.Code != 200 {
		t.Fatalf("%d %s", rw.Code, rw.Body)
	}
	get(t, w, "/v3/webhooks/endpoints", &ends)
	if len(ends.Data) != 2 || ends.Data[0].ID != first || ends.Data[1].ID == first || ends.Data[1].Status != "disabled" || len(ends.Data[1].Events) != 1 {
		t.Errorf("%+v", ends)
	}
	if rw := ask(w, http.MethodPost, "/simulate/endpoints", `{"endpoint":[]}`); rw.Code != 400 {
		t.Errorf("an unknown key: %d", rw.Code)
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
