package heygen

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"
)

// maxHeader bounds the headers of an answer, informational ones included.
const maxHeader = 1 << 20

// newTransport returns our own transport: the system's proxy and certificates,
// TLS 1.2 at least, and no way to turn verification off. Both address families
// are tried (the dialer's fallback), so a dead IPv6 route costs 300 ms.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        90 * time.Second,
	}
}

// hopeless reports whether a connection failed for a reason that another
// attempt in a few seconds will not change: a certificate that does not fit,
// or an answer to http where https was spoken.
func hopeless(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch)
}
