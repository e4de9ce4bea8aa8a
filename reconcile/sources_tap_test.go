package reconcile_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/reconcile"
	"backstop/reconcile/sourcetest"
	"backstop/state"
)

// tapPartner is HeyGen in front of a tap and a receiver behind it, all on loopback. A push that finds no tap is made
// again when there is one.
type tapPartner struct {
	t         *testing.T
	receiver  *httptest.Server
	anonymous bool // pushes have no id

	tap   *reconcile.Tap // nil: backstop does not run
	front *httptest.Server
	later []heygen.Event
	full  bool // the state takes nothing
}

func newTapPartner(t *testing.T, anonymous bool) *tapPartner {
	p := &tapPartner{t: t, anonymous: anonymous}
	p.receiver = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a push that breaks off gets no answer
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(p.receiver.Close)
	return p
}

func (p *tapPartner) source(s *state.Store) reconcile.Source {
	transport := &http.Transport{}
	p.tap = reconcile.NewTap(reconcile.TapOptions{
		Target: func() string { return p.receiver.URL + "/hook" }, Transport: transport, Logger: slog.New(slog.DiscardHandler),
		Record: func(seen []state.Sighting) error {
			if p.full {
				return state.ErrFull
			}
			_, err := s.Record(time.Now(), seen)
			return err
		},
	})
	p.front = httptest.NewServer(p.tap)
	p.front.Config.RegisterOnShutdown(transport.CloseIdleConnections)
	p.take(p.later...)
	p.later = nil
	return reconcile.Source{Name: "tap", Proof: state.Tap, Recorder: p.tap}
}

// stop is the daemon's: no request any more, then what is queued is recorded.
func (p *tapPartner) stop() {
	must(p.t, p.front.Config.Shutdown(context.WithoutCancel(p.t.Context())))
	p.front.Close()
	ended, end := context.WithCancel(p.t.Context())
	end()
	must(p.t, p.tap.Run(ended))
	p.tap = nil
}

func (p *tapPartner) take(events ...heygen.Event) {
	if p.tap == nil {
		p.later = append(p.later, events...)
		return
	}
	for _, e := range events {
		p.push(e)
	}
}

func (p *tapPartner) push(e heygen.Event) {
	p.t.Helper()
	req, err := http.NewRequest(http.MethodPost, p.front.URL+"/webhooks", bytes.NewReader(heygen.Body(e.Type, e.Data)))
	must(p.t, err)
	if !p.anonymous {
		req.Header.Set("Heygen-Event-Id", e.ID)
	}
	resp, err := p.front.Client().Do(req)
	must(p.t, err)
	must(p.t, resp.Body.Close())
	if resp.StatusCode != http.StatusNoContent {
		p.t.Fatalf("push of %s: %s", e.ID, resp.Status)
	}
}

// fill has the state full, while a push of another event comes through.
func (p *tapPartner) fill() {
	p.full = true
	p.push(heygen.Event{ID: "evt_other", Type: "avatar_video.success", Data: []byte(`{"video_id":"vid_other"}`)})
}

func TestTapIsASource(t *testing.T) {
	for name, anonymous := range map[string]bool{"ids": false, "contents": true} {
		t.Run(name, func(t *testing.T) {
			p := newTapPartner(t, anonymous)
			sourcetest.Run(t, sourcetest.Partner{
				Source: p.source, Take: p.take, Stop: p.stop,
				Break: p.fill, Mend: func() { p.full = false },
			})
		})
	}
}

// A copy of each push, as the receiver forwards it after its own 2xx.
func TestMirrorIsASource(t *testing.T) {
	for name, headers := range map[string]func(heygen.Event) http.Header{
		"ids":      func(e heygen.Event) http.Header { return http.Header{"Heygen-Event-Id": {e.ID}} },
		"contents": func(heygen.Event) http.Header { return http.Header{} },
	} {
		t.Run(name, func(t *testing.T) {
			m := &told{t: t, sighting: func(e heygen.Event) state.Sighting {
				seen, ok := reconcile.Push(headers(e), heygen.Body(e.Type, e.Data), state.Mirror, time.Now())
				if !ok {
					t.Errorf("a push of %s proves nothing", e.ID)
				}
				return seen
			}}
			sourcetest.Run(t, sourcetest.Partner{Source: m.source, Take: m.take, Stop: m.stop})
		})
	}
}

// told is a receiver that tells of what it took, and tries again while nobody listens.
type told struct {
	t        *testing.T
	sighting func(heygen.Event) state.Sighting
	store    *state.Store // nil: backstop does not run
	later    []heygen.Event
}

func (m *told) source(s *state.Store) reconcile.Source {
	m.store = s
	m.take(m.later...)
	m.later = nil
	return reconcile.Source{Name: "mirror", Proof: state.Mirror}
}

func (m *told) stop() { m.store = nil }

func (m *told) take(events ...heygen.Event) {
	if m.store == nil {
		m.later = append(m.later, events...)
		return
	}
	for _, e := range events {
		_, err := m.store.Record(time.Now(), []state.Sighting{m.sighting(e)})
		must(m.t, err)
	}
}
