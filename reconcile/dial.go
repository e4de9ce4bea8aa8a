package reconcile

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// idleTime is below the five seconds after which common servers close an idle
// connection: a POST into a closing connection fails with unknown outcome.
const idleTime = 4 * time.Second

// newTransport is the transport of a Sender: the common one, but it refuses to
// connect to addresses where cloud machines keep their credentials.
func newTransport(u *url.URL, connections int) http.RoundTripper {
	dialer := &net.Dialer{Timeout: defaultTimeout, KeepAlive: 30 * time.Second, Control: refuseLocal(u.Hostname())}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           connections,
		MaxIdleConnsPerHost:    connections,
		IdleConnTimeout:        idleTime,
		TLSHandshakeTimeout:    defaultTimeout,
		MaxResponseHeaderBytes: answerCap,
	}
}

// refusedAddress is an address that a name led to and that is not dialled.
type refusedAddress struct{ addr netip.Addr }

func (e *refusedAddress) Error() string { return "address refused: " + e.addr.String() }

// refuseLocal checks the address really dialled, after the name was resolved:
// a name that changes to a link-local address must not reach it. A URL that
// names the address itself is meant so.
func refuseLocal(host string) func(network, address string, c syscall.RawConn) error {
	named, _ := netip.ParseAddr(host)
	return func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("address to dial: %w", err)
		}
		addr := to.Addr().Unmap()
		if !forbidden(addr) || addr.WithZone("") == named.Unmap().WithZone("") {
			return nil
		}
		return &refusedAddress{addr}
	}
}

// forbidden are link-local addresses, and the one further address at which a
// large cloud serves its metadata over IPv6.
func forbidden(a netip.Addr) bool {
	return a.IsLinkLocalUnicast() || a.WithZone("") == netip.AddrFrom16([16]byte{0xfd, 0x00, 0x0e, 0xc2, 14: 0x02, 15: 0x54})
}
