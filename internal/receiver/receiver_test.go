package receiver

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"backstop/internal/heygen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret = "whsec_test_secret"
	body   = `{"event_type":"avatar_video.success","event_data":{"video_id":"vid_xyz789","url":"https://files.heygen.com/video/vid_xyz789.mp4","callback_id":null}}`
	known  = "1dd8b63e50ea7f832cd13b13dd7378277ebd314632db75bfe31b180eba8ee53c"
)

func signature(secret, body string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(body))
	return hex.EncodeToString(h.Sum(nil))
}

// post sends one signed request; headers given as "" are left out.
func post(r *Receiver, body string, header ...string) int {
	req := httptest.NewRequest(http.MethodPost, "/hook?token=x", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Heygen-Signature", signature(secret, body))
	req.Header.Set("Heygen-Timestamp", strconv.FormatInt(time.Now().Unix(), 10))
	req.Header.Set("Heygen-Event-Id", "evt_1")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Del(header[i])
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	rw := httptest.NewRecorder()
	r.Handler().ServeHTTP(rw, req)
	return rw.Code
}

func ago(d time.Duration) string { return strconv.FormatInt(time.Now().Add(-d).Unix(), 10) }

func TestWhatIsRefused(t *testing.T) {
	withID := strings.TrimSuffix(body, "}") + `,"event_id":"evt_1"}`
	for _, c := range []struct {
		name   string
		o      Options
		body   string
		header []string
		want   int
	}{
		{"as HeyGen sends it", Options{NeedID: true, Strict: true}, body, []string{"Heygen-Signature", known}, 200},
		{"legacy", Options{}, body, []string{"Heygen-Signature", "", "Signature", known, "Heygen-Timestamp", "", "Heygen-Event-Id", ""}, 200},
		{"legacy where an id is needed", Options{NeedID: true}, body, []string{"Heygen-Event-Id", ""}, 400},
		{"both signatures", Options{}, body, []string{"Signature", known}, 200},
		{"both, one wrong", Options{}, body, []string{"Signature", signature("x", body)}, 401},
		{"no signature", Options{}, body, []string{"Heygen-Signature", ""}, 401},
		{"another secret", Options{}, body, []string{"Heygen-Signature", signature("x", body)}, 401},
		{"no hex", Options{}, body, []string{"Heygen-Signature", "zz"}, 401},
		{"an old secret", Options{Secrets: []string{"new", secret}}, body, nil, 200},
		{"no timestamp", Options{}, body, []string{"Heygen-Timestamp", ""}, 401},
		{"299 s old", Options{}, body, []string{"Heygen-Timestamp", ago(299 * time.Second)}, 200},
		{"302 s old", Options{}, body, []string{"Heygen-Timestamp", ago(302 * time.Second)}, 401},
		{"from the future", Options{}, body, []string{"Heygen-Timestamp", ago(-302 * time.Second)}, 401},
		{"milliseconds", Options{}, body, []string{"Heygen-Timestamp", ago(0) + "000"}, 401},
		{"not JSON", Options{}, `{"event_type":`, nil, 400},
		{"trailing garbage", Options{}, body + "x", nil, 400},
		{"no type", Options{}, `{"event_data":{}}`, nil, 400},
		{"data no object", Options{}, `{"event_type":"a","event_data":[]}`, nil, 400},
		{"the same id in the body", Options{}, withID, nil, 200},
		{"another id in the body", Options{}, withID, []string{"Heygen-Event-Id", "evt_2"}, 400},
		{"a third key", Options{Strict: true}, withID, nil, 400},
		{"form", Options{}, body, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
	} {
		if c.o.Secrets == nil {
			c.o.Secrets = []string{secret}
		}
		r := New(c.o)
		if got := post(r, c.body, c.header...); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
		d := r.Log()[0]
		if d.Status != c.want || d.Accepted() != (len(r.Bodies()) == 1) || (d.Fault == "") != d.Accepted() {
			t.Errorf("%s: log %+v", c.name, d)
		}
	}
}

func TestBooks(t *testing.T) {
	r := New(Options{Secrets: []string{secret}, Answer: func(d Delivery, n int) int {
		return map[int]int{1: 500, 4: 204}[n]
	}})
	post(r, body)
	post(r, body) // 500
	post(r, body, "X-Backstop-Replay", "1", "X-Backstop-Attempt", "3", "X-Backstop-Reason", "missed")
	post(r, body, "Heygen-Event-Id", "")
	post(r, strings.Replace(body, "files.heygen.com/video", "elsewhere.test", 1), "Heygen-Event-Id", "evt_2")
	if a := r.Accepted(); len(a) != 2 || a["evt_1"] != (Count{1, 1}) || a["evt_2"] != (Count{1, 0}) || a["evt_1"].Total() != 2 {
		t.Errorf("accepted %v", a)
	}
	fact, ok := heygen.FactOf("avatar_video.success", []byte(`{"callback_id":null,"video_id":"vid_xyz789"}`))
	if f := r.Facts(); !ok || len(f) != 1 || f[fact] != (Count{3, 1}) {
		t.Errorf("facts %v", f)
	}
	if b := r.Bodies(); b[sha256.Sum256([]byte(body))] != (Count{2, 1}) {
		t.Errorf("bodies %v", b)
	}
	log := r.Log()
	var status []int
	for _, d := range log {
		status = append(status, d.Status)
	}
	if d := log[2]; len(log) != 5 || status[1] != 500 || status[4] != 204 || !d.Replay || d.Attempt != 3 || d.Reason != "missed" || d.Entity != "vid_xyz789" {
		t.Errorf("status %v, replay %+v", status, d)
	}
}

func TestDown(t *testing.T) {
	r := New(Options{Secrets: []string{secret}, Down: []Window{{time.Now().Add(-time.Hour), time.Now().Add(time.Hour)}}})
	server := httptest.NewServer(r.Handler())
	defer server.Close()
	if resp, err := server.Client().Post(server.URL, "application/json", strings.NewReader(body)); err == nil {
		resp.Body.Close()
		t.Errorf("a receiver that is down answered %d", resp.StatusCode)
	}
	if log := r.Log(); len(log) == 0 || log[0].Status != 0 || log[0].Accepted() {
		t.Errorf("log %+v", log)
	}
	up := New(Options{Secrets: []string{secret}})
	up.SetDown(true)
	if got := post(up, body); got != http.StatusServiceUnavailable {
		t.Errorf("down: %d", got)
	}
	up.SetDown(false)
	if got := post(up, body); got != 200 {
		t.Errorf("up again: %d", got)
	}
}

func TestProbe(t *testing.T) {
	rw := httptest.NewRecorder()
	New(Options{}).Handler().ServeHTTP(rw, httptest.NewRequest(http.MethodOptions, "/", nil))
	if rw.Code/100 != 2 {
		t.Errorf("OPTIONS: %d", rw.Code)
	}
	rw = httptest.NewRecorder()
	New(Options{}).Handler().ServeHTTP(rw, httptest.NewRequest(http.MethodGet, "/", nil))
	if rw.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", rw.Code)
	}
}

// recorder stands for POST /v1/seen in memory: it keeps items, and fails as its answers say.
type recorder struct {
	mu      sync.Mutex
	answers []int // by request; 200 from then on
	poison  string
	items   []string
	asked   int
	auth    string
}

func (b *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	b.auth = req.Header.Get("Authorization")
	status := 200
	if b.asked <= len(b.answers) {
		status = b.answers[b.asked-1]
	}
	if b.poison != "" && bytes.Contains(text, []byte(b.poison)) {
		status = 400
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	if status == 200 {
		b.items = append(b.items, strings.Split(string(text), "\n")...)
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("{}")), Header: http.Header{}}, nil
}

func reporting(b *recorder) Options {
	return Options{Secrets: []string{secret}, Report: "http://backstop.test/v1/seen", Token: "tok", Client: &http.Client{Transport: b}}
}

func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &recorder{answers: []int{503, 0, 429}}
		o := reporting(b)
		o.Unsaid = func(d Delivery) bool { return d.ID == "evt_unsaid" }
		r := New(o)
		post(r, body)
		post(r, body, "Heygen-Event-Id", "")
		post(r, body, "Heygen-Event-Id", "evt_unsaid")
		post(r, body, "Heygen-Signature", "00") // refused, so never reported
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if len(b.items) != 2 || b.auth != "Bearer tok" {
			t.Fatalf("reported %q with %q", b.items, b.auth)
		}
		var byID, byContent map[string]json.RawMessage
		if err := errors.Join(json.Unmarshal([]byte(b.items[0]), &byID), json.Unmarshal([]byte(b.items[1]), &byContent)); err != nil {
			t.Fatal(err)
		}
		if string(byID["event_id"]) != `"evt_1"` || byID["received_at"] == nil || byID["event_data"] != nil {
			t.Errorf("by id: %s", b.items[0])
		}
		if byContent["event_id"] != nil || string(byContent["event_type"]) != `"avatar_video.success"` || byContent["event_data"] == nil {
			t.Errorf("by content: %s", b.items[1])
		}
	})
}

func TestOneRefusedItemHidesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &recorder{poison: "evt_bad", answers: []int{500}}
		r := New(reporting(b))
		for _, id := range []string{"evt_first", "evt_2", "evt_bad", "evt_3"} {
			post(r, body, "Heygen-Event-Id", id)
		}
		err := r.Close()
		if err == nil || !strings.Contains(err.Error(), "1 of 4") {
			t.Errorf("Close: %v", err)
		}
		if len(b.items) != 3 {
			t.Errorf("reported %q", b.items)
		}
	})
}

func TestCloseGivesUpInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := make([]int, 10_000)
		b := &recorder{answers: down}
		r := New(reporting(b))
		for range 500 {
			post(r, body)
		}
		start := time.Now()
		if err := r.Close(); err == nil || !strings.Contains(err.Error(), "500 of 500") {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestWorkIsDoneBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{Secrets: []string{secret}, Work: 3 * time.Second})
		start := time.Now()
		if got := post(r, body); got != 200 || time.Since(start) != 3*time.Second {
			t.Errorf("%d after %v", got, time.Since(start))
		}
	})
}
