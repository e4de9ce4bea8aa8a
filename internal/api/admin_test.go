package api

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// guarded is an admin listener in front of a handler that answers 204.
func guarded(token string, hosts ...string) http.Handler {
	g := &guard{
		options: AdminOptions{
			Hosts: func() []string { return hosts },
			Token: func() (string, error) { return token, nil },
		},
	}
	ok := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	return g.host(http.NewCrossOriginProtection().Handler(g.token(ok)))
}

func TestAdminGuard(t *testing.T) {
	for _, tc := range []struct {
		name, host, token, sent, origin string
		want                            int
	}{
		{name: "its own address", host: "127.0.0.1:8710", want: 204},
		{name: "localhost", host: "LOCALHOST:8710", want: 204},
		{name: "IPv6", host: "[::1]:8710", want: 204},
		{name: "an address of another machine", host: "192.0.2.1:8710", want: 403},
		{name: "no host", host: "", want: 403},
		{name: "configured name", host: "backstop.internal:8710", want: 204},
		{name: "rebound name", host: "evil.example", want: 403},
		{name: "name with an address in it", host: "127.0.0.1.evil.example", want: 403},
		{name: "no token", host: "127.0.0.1", token: "t0ken", want: 401},
		{name: "wrong token", host: "127.0.0.1", token: "t0ken", sent: "Bearer t0kem", want: 401},
		{name: "longer token", host: "127.0.0.1", token: "t0ken", sent: "Bearer t0kent0ken", want: 401},
		{name: "token", host: "127.0.0.1", token: "t0ken", sent: "Bearer t0ken", want: 204},
		{name: "from another site", host: "127.0.0.1", origin: "https://evil.example", want: 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/v1/pause", nil)
			r.Host = tc.host
			came := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8710}
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, came))
			if tc.sent != "" {
				r.Header.Set("Authorization", tc.sent)
			}
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			w := httptest.NewRecorder()
			guarded(tc.token, "backstop.internal").ServeHTTP(w, r)
			if w.Code != tc.want {
				t.Errorf("answered %d, want %d: %s", w.Code, tc.want, w.Body)
			}
			if strings.Contains(w.Body.String(), "t0ken") {
				t.Error("the answer has the token")
			}
		})
	}
}

func TestLocalTransportStreams(t *testing.T) {
	handed := make(chan struct{})
	transport := &local{handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("first\n"))
		<-handed
		_, _ = w.Write([]byte("second\n"))
	})}
	response, err := (&http.Client{Transport: transport}).Get("http://backstop/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	first := make([]byte, 6)
	if _, err := response.Body.Read(first); err != nil || string(first) != "first\n" {
		t.Fatalf("read %q, %v before the handler ended", first, err)
	}
	close(handed)
	second := make([]byte, 7)
	if _, err := response.Body.Read(second); err != nil || string(second) != "second\n" {
		t.Errorf("read %q, %v", second, err)
	}
	transport.running.Wait()
}

func TestLocalTransportEndsWithItsReader(t *testing.T) {
	transport := &local{handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			if _, err := w.Write([]byte("row\n")); err != nil {
				return
			}
		}
		t.Error("the handler wrote on although nobody reads")
	})}
	response, err := (&http.Client{Transport: transport}).Get("http://backstop/")
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	transport.running.Wait()
}
