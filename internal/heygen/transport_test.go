package heygen

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestTLS: no certificate that does not fit, and no old version, is accepted.
func TestTLS(t *testing.T) {
	for _, tt := range []struct {
		name     string
		max      uint16
		trust    bool
		host     string // in place of the server's address
		requests int64
		says     string // "": accepted
	}{
		{"fine", 0, true, "", 1, ""},
		{"unknown authority", 0, false, "", 1, "certificate signed by unknown authority"},
		{"wrong host", 0, true, "localhost", 1, "certificate is valid for"},
		{"TLS 1.1", tls.VersionTLS11, true, "", 3, "protocol version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(fine())
			server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tt.max}
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			defer server.Close()
			transport := newTransport()
			transport.TLSClientConfig.RootCAs = x509.NewCertPool()
			if tt.trust {
				transport.TLSClientConfig.RootCAs.AddCert(server.Certificate())
			}
			base := server.URL
			if tt.host != "" {
				_, port, err := net.SplitHostPort(server.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				base = "https://" + net.JoinHostPort(tt.host, port)
			}
			c := client(t, base, func(o *Options) { o.Transport = transport })
			_, err := c.Page(t.Context(), PageRequest{})
			if tt.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "TLS 1.2") {
				t.Errorf("%v", err)
			}
			if c.Requests() != tt.requests {
				t.Errorf("%d requests, want %d", c.Requests(), tt.requests)
			}
		})
	}
}

func TestTransport(t *testing.T) {
	tr := newTransport()
	if tr.TLSClientConfig.MinVersion != tls.VersionTLS12 || tr.TLSClientConfig.InsecureSkipVerify || tr.MaxResponseHeaderBytes != maxHeader {
		t.Errorf("%+v", tr.TLSClientConfig)
	}
	if _, ok := withDefaults(Options{}).Transport.(*http.Transport); !ok {
		t.Error("not our transport by default")
	}
}

// TestHTTPSToPlain: https spoken to an http port is one clear failure.
func TestHTTPSToPlain(t *testing.T) {
	server := httptest.NewServer(fine())
	defer server.Close()
	c := client(t, "https"+strings.TrimPrefix(server.URL, "http"))
	_, err := c.Page(t.Context(), PageRequest{})
	if !errors.Is(err, ErrUnreachable) || c.Requests() != 1 {
		t.Errorf("%d requests, %v", c.Requests(), err)
	}
}

// TestRefused: nobody listens there.
func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := client(t, "http://"+l.Addr().String())
	if _, err := c.Page(t.Context(), PageRequest{}); !errors.Is(err, ErrUnreachable) || c.Requests() != 3 || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%d requests, %v", c.Requests(), err)
	}
}
