package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"backstop/internal/simulate"
)

// authority is one that this machine trusts as far as SSL_CERT_FILE says so.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(1000 * 24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.cert.Raw = a.sign(a.cert, &a.key.PublicKey)
	return a
}

func (a *authority) sign(cert *x509.Certificate, public any) []byte {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, public, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// file has the authority's own certificate.
func (a *authority) file() string {
	a.t.Helper()
	name := filepath.Join(a.t.TempDir(), "ca.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return name
}

// serve serves a receiver over TLS with a certificate for a name that ends after a
// time.
func (a *authority) serve(name string, left time.Duration) (port string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: time.Now().Add(-20 * 24 * time.Hour), NotAfter: time.Now().Add(left),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are refused on purpose
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{a.sign(cert, &key.PublicKey)}, PrivateKey: key}}}
	server.StartTLS()
	a.t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		a.t.Fatal(err)
	}
	return u.Port()
}

// TestDoctorLooksAtCertificates: the real program at real TLS servers whose
// certificates are good, about to end, over, another host's and a stranger's.
func TestDoctorLooksAtCertificates(t *testing.T) {
	api := serve(t, simulate.New(simulate.Options{Seed: 1, Events: 3}).Handler())
	known, stranger, binary := newAuthority(t), newAuthority(t), build(t)
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name string
		port string
		code int
		want []string
	}{
		{"good", known.serve("localhost", 60*day+time.Hour), 0, []string{`ok +receiver +localhost:\d+ \(this machine\) answers OPTIONS with 200 .* good for 60 days`}},
		{"about to end", known.serve("localhost", 10*day+time.Hour), 0, []string{`warn +receiver .* its certificate ends in 10 days`, `→ renew the certificate`}},
		{"over", known.serve("localhost", -time.Hour), 5, []string{`fail +receiver .*: tls: the certificate is out of date`, `→ renew the receiver's certificate`}},
		{"another host's", known.serve("other.example", 60*day), 5, []string{`fail +receiver .*: tls: the certificate is for another host`, `→ write the name into receiver.url`}},
		{"a stranger's", stranger.serve("localhost", 60*day), 5, []string{`fail +receiver .*: tls: the certificate's authority is unknown`, `→ let the receiver send its whole chain`}},
		{"plain", strings.TrimPrefix(api, "http://127.0.0.1:"), 5, []string{`fail +receiver .*: tls: the other side does not speak it`, `→ check that the port`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, binary, "heygen: {base_url: '"+api+"'}\nreceiver: {url: 'https://localhost:"+tt.port+"/hook'}\n", "SSL_CERT_FILE="+known.file(), "HEYGEN_API_KEY=k")
			out, code := s.run("", "doctor", "--send-test")
			if code != tt.code {
				t.Errorf("exit %d, want %d", code, tt.code)
			}
			for _, line := range tt.want {
				if !regexp.MustCompile(`(?m)^\s*` + line).MatchString(out) {
					t.Errorf("no line %q", line)
				}
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}
