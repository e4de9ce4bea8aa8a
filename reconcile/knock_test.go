package reconcile

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// TestKnock: an OPTIONS to the very URL, with the configured headers, and nothing of
// an event.
func TestKnock(t *testing.T) {
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.WriteHeader(http.StatusMethodNotAllowed)
	}))
	defer server.Close()
	s := newTestSender(t, SenderOptions{URL: server.URL + "/hook?token=1", Headers: map[string]string{"X-Auth": "x", "Host": "public.example"}})
	k := s.Knock(t.Context())
	if k.Status != 405 || k.Err != "" || !k.Expires.IsZero() || k.Latency <= 0 {
		t.Errorf("got %+v", k)
	}
	if got.Method != http.MethodOptions || got.RequestURI != "/hook?token=1" || got.Host != "public.example" || got.Header.Get("X-Auth") != "x" {
		t.Errorf("sent %s %s to %s with %v", got.Method, got.RequestURI, got.Host, got.Header)
	}
	for _, name := range []string{"Heygen-Event-Id", "Heygen-Signature", "Signature", "X-Backstop-Replay"} {
		if got.Header.Get(name) != "" {
			t.Errorf("%s was sent", name)
		}
	}
}

func TestKnockShowsTheCertificate(t *testing.T) {
	server := httptest.NewTLSServer(http.RedirectHandler("https://elsewhere.example/?token=1", http.StatusFound))
	defer server.Close()
	s := newTestSender(t, SenderOptions{URL: server.URL, Transport: server.Client().Transport})
	if k := s.Knock(t.Context()); !k.Expires.Equal(server.Certificate().NotAfter) || k.String() != "302, redirect to elsewhere.example" {
		t.Errorf("got %+v", k)
	}
}

func TestKnockAtNobody(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	if k := newTestSender(t, SenderOptions{URL: server.URL}).Knock(t.Context()); k.Status != 0 || k.Err != "refused" {
		t.Errorf("got %+v", k)
	}
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hangs.Close()
	if k := newTestSender(t, SenderOptions{URL: hangs.URL, Timeout: 50 * time.Millisecond}).Knock(t.Context()); k.Err != "timeout" {
		t.Errorf("got %+v", k)
	}
}

// TestChosenTimestamp: a message may say another time of itself; its signature is
// that of the body all the same.
func TestChosenTimestamp(t *testing.T) {
	s := newTestSender(t, SenderOptions{URL: "http://receiver.example/"})
	at := time.Unix(1_700_000_000, 0)
	r, err := s.Request(t.Context(), Message{Event: heygen.Event{ID: "evt_1", Type: "a", Data: []byte("{}")}, Secrets: []string{testSecret}, At: at})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Header.Get("Heygen-Timestamp"); got != strconv.FormatInt(at.Unix(), 10) {
		t.Errorf("the timestamp is %s", got)
	}
	if got := r.Header.Get("Heygen-Signature"); got != heygen.Sign(testSecret, heygen.Body("a", []byte("{}"))) {
		t.Errorf("the signature is %s", got)
	}
}
