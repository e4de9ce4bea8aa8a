package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// own is how the user of this process is named.
func own(t *testing.T) string {
	t.Helper()
	if u, err := user.Current(); err == nil && u.Username != "" {
		return fmt.Sprintf("%s (uid %d)", u.Username, os.Geteuid())
	}
	return fmt.Sprintf("uid %d", os.Geteuid())
}

func TestWhoOf(t *testing.T) {
	mine := peer(os.Geteuid()).String()
	hinted := func(name string) string { return fmt.Sprintf("%s (uid %d)", name, os.Geteuid()) }
	const stranger = 4_000_000_000
	for name, tc := range map[string]struct {
		from, hint string
		admin      bool
		token      string
		want       string
	}{
		"the same user":             {from: mine, want: own(t)},
		"by sudo":                   {from: mine, hint: "ann by sudo", want: hinted("ann by sudo")},
		"root":                      {from: "uid:0", hint: "ann by sudo", want: "ann by sudo (uid 0)"},
		"another user":              {from: peer(stranger).String(), want: "uid 4000000000"},
		"another user who pretends": {from: peer(stranger).String(), hint: "root", want: "uid 4000000000"},
		"a name that moves cursors": {from: mine, hint: "a\x1b[2J\r\nb\u202e", want: hinted("a [2J b")},
		"a name with a uid":         {from: mine, hint: "root (uid 0)", want: hinted("root uid 0")},
		"a long name":               {from: mine, hint: strings.Repeat("é", 100), want: hinted(strings.Repeat("é", 64))},
		"a name of nothing":         {from: mine, hint: " \x00()", want: own(t)},
		"not told by the kernel":    {from: "@", hint: "ann", want: "somebody at the control socket"},
		"the token":                 {from: "192.0.2.7:4711", hint: "ann", admin: true, token: "t0ken", want: "the admin token"},
		"no token":                  {from: "192.0.2.7:4711", hint: "ann", admin: true, want: "the admin listener (192.0.2.7)"},
		"no token, IPv6":            {from: "[::1]:4711", admin: true, want: "the admin listener (::1)"},
		"a socket of the admin":     {from: peer(stranger).String(), hint: "ann", admin: true, want: "the admin listener (uid 4000000000)"},
		"somewhere":                 {from: "", admin: true, want: "the admin listener"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &handler{}
			if tc.admin {
				h.guard = &guard{options: AdminOptions{Token: func() (string, error) { return tc.token, nil }}}
			}
			r := httptest.NewRequest(http.MethodPost, "/v1/pause", nil)
			r.RemoteAddr = tc.from
			if got := h.whoOf(r, tc.hint); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestCleanWhy(t *testing.T) {
	for why, want := range map[string]string{
		"":                             "",
		"  deploy\n of\tit ":           "deploy of it",
		"\x1b[31mred\u202e":            `\x1b[31mred\u202e`,
		strings.Repeat("é", 600):       strings.Repeat("é", 500) + "…",
		"x" + strings.Repeat("é", 600): "x" + strings.Repeat("é", 499) + "…",
	} {
		if got := cleanWhy(why); got != want || !utf8.ValidString(got) {
			t.Errorf("%q is told as %q, want %q", why, got, want)
		}
	}
}

// The kernel tells who connected, through whatever stands between the socket and
// the handler; a TCP connection is left as it is.
func TestPeersAreNamed(t *testing.T) {
	for network, address := range map[string]string{"unix": filepath.Join(t.TempDir(), "s"), "tcp": "127.0.0.1:0"} {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, (&handler{}).whoOf(r, ""))
		})}
		go func() { _ = server.Serve(embedded{Peers(l)}) }()
		client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, l.Addr().String())
		}}}
		response, err := client.Get("http://backstop/")
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(response.Body)
		want := map[string]string{"unix": own(t), "tcp": "somebody at the control socket"}[network]
		if err != nil || string(said) != want {
			t.Errorf("%s: %q, %v, want %q", network, said, err, want)
		}
		_ = response.Body.Close()
		client.CloseIdleConnections()
		_ = server.Close()
	}
}

// embedded hides what a connection is, as a limit on connections does.
type embedded struct{ net.Listener }

func (e embedded) Accept() (net.Conn, error) {
	c, err := e.Listener.Accept()
	return struct{ net.Conn }{c}, err
}
