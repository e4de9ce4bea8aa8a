package simulate

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// inMemory is the way of a client to a world.
type inMemory struct{ w *World }

// RoundTrip implements http.RoundTripper.
func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	rw := httptest.NewRecorder()
	m.w.Handler().ServeHTTP(rw, r)
	return rw.Result(), nil
}

func clientOf(t *testing.T, w *World) *heygen.Client {
	t.Helper()
	c, err := heygen.New(heygen.Options{BaseURL: "http://heygen.invalid", Transport: inMemory{w}, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Of every type whose events have links each expired one is renewed, by its
// path; and the event stays the fact that it was.
func TestEveryLinkCanBeRenewed(t *testing.T) {
	w := New(Options{Seed: 1, Events: 3000, LinkLife: -time.Hour})
	c, renewed := clientOf(t, w), map[string]int{}
	for _, id := range w.Listed() {
		e, _ := w.Event(id)
		listed := heygen.Event{ID: e.ID, Type: e.Type, Data: e.Data}
		if heygen.StaleLinks(e.Data, time.Now()) == 0 || strings.HasSuffix(e.Type, ".fail") {
			continue // what failed has no fresh links
		}
		r, ok := listed.Resource()
		if !ok {
			t.Fatalf("nobody can be asked about %s", e.Type)
		}
		fresh, err := c.Fresh(t.Context(), r)
		if err != nil || !fresh.Complete() {
			t.Fatalf("%s: %+v, %v", e.Type, fresh, err)
		}
		data, did := heygen.Renew(e.Data, fresh, time.Now())
		if len(did.ByPath) == 0 || len(did.ByName)+len(did.Kept) > 0 || heygen.StaleLinks(data, time.Now()) > 0 {
			t.Errorf("%s: %+v", e.Type, did)
		}
		fact, _ := listed.Fact()
		if listed.Data = data; bytes.Equal(data, e.Data) {
			t.Errorf("%s: nothing changed", e.Type)
		}
		if now, ok := listed.Fact(); !ok || now != fact {
			t.Errorf("%s: another fact", e.Type)
		}
		renewed[e.Type] += len(did.ByPath)
	}
	for _, k := range catalogue() {
		linked := !k.failed && k.family != batch && k.family != avatar && k.family != photoAvatar && k.family != live && k.family != other
		if (renewed[k.name] > 0) != linked {
			t.Errorf("%d links of %s renewed", renewed[k.name], k.name)
		}
	}
}

func TestLinksOfAWeekAgoHaveExpired(t *testing.T) {
	w := New(Options{Seed: 1, Events: 500, Span: 20 * 24 * time.Hour})
	now := time.Now()
	for _, id := range w.Listed() {
		e, _ := w.Event(id)
		old := now.Sub(e.CreatedAt) > 7*24*time.Hour
		if n := heygen.ExpiredLinks(e.Data, now); n > 0 != (old && bytes.Contains(e.Data, []byte("?Expires="))) {
			t.Errorf("%s of %s: %d expired", e.Type, e.CreatedAt, n)
		}
	}
}

func TestLookUpFaults(t *testing.T) {
	for _, tt := range []struct {
		what   fault
		faults Faults
		check  func(heygen.Fresh, *heygen.Error) bool
	}{
		{resourceGone, Faults{ResourceGone: 1}, func(_ heygen.Fresh, e *heygen.Error) bool { return e != nil && e.Status == 404 }},
		{resourceForbidden, Faults{ResourceForbidden: 1}, func(_ heygen.Fresh, e *heygen.Error) bool { return e != nil && e.Status == 403 }},
		{resourceError, Faults{ResourceError: 1}, func(_ heygen.Fresh, e *heygen.Error) bool { return e != nil && e.Status >= 500 }},
		{resourceUnfinished, Faults{ResourceUnfinished: 1}, func(f heygen.Fresh, e *heygen.Error) bool {
			return e == nil && f.Status == "processing" && !f.Complete()
		}},
		{resourceNull, Faults{ResourceNull: 1}, func(f heygen.Fresh, e *heygen.Error) bool {
			return e == nil && f.Complete() && withoutPages(f) == 0
		}},
	} {
		w := New(Options{Seed: 1, Types: []string{baseType, "video_translate.success", "ai_clipping.success", "hyperframes_video.success"}, Events: 40, Faults: tt.faults})
		c := clientOf(t, w)
		for _, id := range w.Listed() {
			e, _ := w.Event(id)
			r, _ := heygen.Event{Type: e.Type, Data: e.Data}.Resource()
			f, err := c.Fresh(t.Context(), r)
			var refused *heygen.Error
			if errors.As(err, &refused); !tt.check(f, refused) {
				t.Errorf("%s of %s: %+v, %v", tt.what, e.Type, f, err)
			}
		}
		if s := w.Stats(); s.Faults[string(tt.what)] != 40 || s.LookUps != 40 {
			t.Errorf("%s: %d counted of %d", tt.what, s.Faults[string(tt.what)], s.LookUps)
		}
	}
}

// withoutPages counts the links to files.
func withoutPages(f heygen.Fresh) (n int) {
	for _, l := range f.Links {
		if !strings.HasPrefix(l.Name, "video_page") {
			n++
		}
	}
	return n
}
