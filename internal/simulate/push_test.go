package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
	"backstop/internal/receiver"
)

// wire is a network in memory: a request goes straight to the handler, which can be switched
// off.
type wire struct {
	h http.Handler

	mu     sync.Mutex
	cut    bool
	bodies []string
	heads  []http.Header
}

var errCut = errors.New("connection refused")

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	cut := w.cut
	w.bodies, w.heads = append(w.bodies, string(body)), append(w.heads, r.Header)
	w.mu.Unlock()
	if cut {
		return nil, errCut
	}
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), strings.NewReader(string(body)))
	in.Header = r.Header
	rec := httptest.NewRecorder()
	w.h.ServeHTTP(rec, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

func (w *wire) setCut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

const key = "whsec_test_secret"

// pair returns a world and a receiver joined in memory.
func pair(o Options, ro receiver.Options) (*World, *receiver.Receiver, *wire) {
	ro.Secrets, ro.Strict = []string{key}, true
	r := receiver.New(ro)
	net := &wire{h: r.Handler()}
	o.PushURL, o.Secret, o.Transport = "http://receiver.test/hook", key, net
	return New(o), r, net
}

func TestKnownSignature(t *testing.T) {
	body := pushBody(baseType, []byte(`{"video_id": "vid_xyz789", "url": "https://files.heygen.com/video/vid_xyz789.mp4", "callback_id": null}`))
	if len(body) != 149 {
		t.Fatalf("%d bytes: %s", len(body), body)
	}
	if got := Sign(key, body); got != "1dd8b63e50ea7f832cd13b13dd7378277ebd314632db75bfe31b180eba8ee53c" {
		t.Errorf("signature %s", got)
	}
}

func TestPushesAreAsDocumented(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, r, net := pair(Options{Seed: 1, Legacy: legacy}, receiver.Options{NeedID: !legacy})
			e, err := w.Create(Recipe{})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Deliver(t.Context()); err != nil {
				t.Fatal(err)
			}
			log := r.Log()
			if len(log) != 1 || log[0].Status != 200 || log[0].Entity != e.Entity {
				t.Fatalf("receiver's log: %+v", log)
			}
			h := net.heads[0]
			for name, want := range map[string]bool{"Heygen-Signature": !legacy, "Heygen-Timestamp": !legacy, "Heygen-Event-Id": !legacy, "Signature": legacy} {
				if got := h.Get(name) != ""; got != want {
					t.Errorf("legacy %v: %s present is %v", legacy, name, got)
				}
			}
			if f, _ := heygen.FactOf(e.Type, e.Data); r.Facts()[f].Push != 1 {
				t.Error("the pushed content is not the listed one")
			}
			if s := w.Stats(); s.Pushed != 1 || s.Lost != 0 || s.Waiting != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestFates(t *testing.T) {
	for _, c := range []struct {
		fate    Fate
		arrives int
		lost    bool
	}{
		{Prompt, 1, false}, {Doubled, 2, false}, {Late, 1, false}, {NoPush, 0, false},
		{NeverSent, 0, true}, {Dropped, 0, true}, {Refused, 0, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, r, _ := pair(Options{Seed: 1, LateBy: time.Minute, Tries: 3}, receiver.Options{})
			e, err := w.Create(Recipe{Push: c.fate})
			if err != nil {
				t.Fatal(err)
			}
			deliverFor(t, w, 30*time.Second)
			if n := r.Accepted()[e.ID].Push; c.fate == Late && n != 0 {
				t.Errorf("late push came at once")
			}
			deliverFor(t, w, 2*time.Minute)
			if n := r.Accepted()[e.ID].Push; n != c.arrives {
				t.Errorf("%s: arrived %d times, want %d", c.fate, n, c.arrives)
			}
			got, ok := w.Event(e.ID)
			if !ok || got.Fate.Lost() != c.lost || got.Delivered.IsZero() != (c.arrives == 0) {
				t.Errorf("%s: %+v", c.fate, got)
			}
			if s := w.Stats(); (s.Lost == 1) != c.lost || (s.Pushed == 1) != (c.arrives > 0) || s.Waiting != 0 {
				t.Errorf("%s: stats %+v", c.fate, s)
			}
		})
	}
}

// deliverFor sends what is due each second for so long.
func deliverFor(t *testing.T, w *World, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		if err := w.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRetriesUntilTheReceiverIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, net := pair(Options{Seed: 1}, receiver.Options{})
		net.setCut(true)
		back, err := w.Create(Recipe{})
		if err != nil {
			t.Fatal(err)
		}
		deliverFor(t, w, 5*time.Second) // at 0, 1 and 3 s
		net.setCut(false)
		deliverFor(t, w, 10*time.Second) // at 7 s
		net.setCut(true)
		gone, err := w.Create(Recipe{})
		if err != nil {
			t.Fatal(err)
		}
		deliverFor(t, w, time.Minute)
		net.setCut(false)
		deliverFor(t, w, time.Minute)
		if a := r.Accepted(); a[back.ID].Push != 1 || a[gone.ID].Push != 0 {
			t.Errorf("accepted %v", a)
		}
		if e, _ := w.Event(gone.ID); e.Fate != GaveUp {
			t.Errorf("the push given up has fate %s", e.Fate)
		}
		if s := w.Stats(); s.Ways["gave_up"] != 1 || s.Lost != 1 || s.Tries != 10 || s.Failed != 9 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestRunMakesAndPushes(t *testing.T) {
	for _, seed := range seeds(5) {
		synctest.Test(t, func(t *testing.T) {
			o := Options{Seed: seed, Events: 20, Rate: 5, Stop: 200, Lost: 0.2, Late: 0.1, Doubled: 0.1, Faults: Faults{LateListing: 0.1}}
			w, r, _ := pair(o, receiver.Options{Work: 100 * time.Millisecond})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- w.Run(ctx) }()
			for !w.Done() {
				time.Sleep(time.Second)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			checkBooks(t, w, r)
		})
	}
}

// checkBooks compares what the world claims with what the receiver has.
func checkBooks(t *testing.T, w *World, r *receiver.Receiver) {
	t.Helper()
	s, accepted := w.Stats(), r.Accepted()
	if s.Made != 200 || s.Pushed+s.Lost != 200 || s.Pushed != len(accepted) {
		t.Errorf("stats %+v, receiver has %d", s, len(accepted))
	}
	if s.Late == 0 || s.Doubled == 0 || s.Ways["never_sent"] == 0 || s.Ways["dropped"] == 0 || s.Ways["refused"] == 0 {
		t.Errorf("not every fate was met: %+v", s)
	}
	for _, e := range w.Made() {
		if n := accepted[e.ID].Push; (n == 0) != e.Fate.Lost() || (n == 2) != (e.Fate == Doubled) {
			t.Errorf("%s with fate %s arrived %d times", e.ID, e.Fate, n)
		}
	}
	for _, d := range r.Log() {
		if !d.Accepted() {
			t.Errorf("refused: %s", d.Fault)
		}
	}
}

func TestTheEndOfARunCutsPushesOffAndKeepsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, _ := pair(Options{Seed: 1}, receiver.Options{Work: time.Hour})
		if _, err := w.Create(Recipe{Push: Prompt}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if s := w.Stats(); s.Waiting != 1 || s.Tries != 0 || len(r.Accepted()) != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestSameSeedSameFates(t *testing.T) {
	fates := func() string {
		w := New(Options{Seed: 5, PushURL: "http://127.0.0.1:1/", Lost: 0.3, Late: 0.2, Doubled: 0.2})
		var all []Event
		for range 100 {
			e, err := w.Create(Recipe{})
			if err != nil {
				t.Fatal(err)
			}
			e.CreatedAt, e.ListedAt, e.Data = time.Time{}, time.Time{}, nil
			all = append(all, e)
		}
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if first, second := fates(), fates(); first != second {
		t.Error("one seed gave two courses")
	}
}

// Through a real server: what an in-memory answer cannot show is a connection that breaks.
func TestTruncationOverTheNetwork(t *testing.T) {
	w := New(Options{Seed: 1, Events: 30, Faults: Faults{Truncated: 1}})
	server := httptest.NewServer(w.Handler())
	defer server.Close()
	broken, cut := 0, 0
	for range 20 {
		resp, err := server.Client().Get(server.URL + "/v3/webhooks/events")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			broken++
		case err == nil && !json.Valid(body):
			cut++
		default:
			t.Errorf("%v, %d bytes", err, len(body))
		}
	}
	if broken == 0 || cut == 0 {
		t.Errorf("%d broken, %d cut; want both", broken, cut)
	}
}

// Entities whose text a caller chose are ids like any other in the listing's filter, and data
// comes out as it went in, white space included.
func TestCreatedDataIsListedVerbatim(t *testing.T) {
	w := New(Options{Seed: 1, Events: 10, PushURL: "http://127.0.0.1:1/"})
	data := "{ \"video_id\" : \"mine/ü\",\n\"n\":1.50 }"
	e, err := w.Create(Recipe{Type: "brand.new", Entity: "mine/ü", Data: json.RawMessage(data), Push: NoPush})
	if err != nil {
		t.Fatal(err)
	}
	rows := walk(t, w, 5, nil, "entity_id", "mine/ü", "event_type", "brand.new")
	if len(rows) != 1 || rows[0].ID != e.ID || string(rows[0].Data) != data {
		t.Errorf("listed %+v", rows)
	}
	for _, bad := range []Recipe{{Data: json.RawMessage(`[]`)}, {Data: json.RawMessage(`{`)}, {Data: json.RawMessage{}}, {Push: GaveUp}} {
		if _, err := w.Create(bad); err == nil {
			t.Errorf("created %+v", bad)
		}
	}
	if s := w.Stats(); s.Made != 1 || s.Waiting != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Clocks differ: what HeyGen stamps and dates follows its own.
func TestSkewedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, _ := pair(Options{Seed: 1, ClockSkew: 4 * time.Minute, Rate: 1, Stop: 3}, receiver.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if len(r.Accepted()) != 3 || !w.Done() {
			t.Fatalf("accepted %v", r.Accepted())
		}
		for _, e := range w.Made() {
			if ahead := time.Until(e.CreatedAt); ahead < 2*time.Minute {
				t.Errorf("created_at is %v ahead", ahead)
			}
		}
		if s := w.Stats(); s.Listed != 3 {
			t.Errorf("stats %+v", s)
		}
	})
}
