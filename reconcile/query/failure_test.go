package query

import (
	"fmt"
	"net"
	"syscall"
	"testing"
)

// What names our end of a connection changes from one failure to the next.
func TestFailuresOfOneCauseReadTheSame(t *testing.T) {
	database, names := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 5), Port: 5432}, "10.0.0.2:53"
	for want, of := range map[string]func(port int) error{
		"read tcp 10.0.0.5:5432: connection reset by peer": func(port int) error {
			return fmt.Errorf("receive: %w", &net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: port}, Addr: database, Err: syscall.ECONNRESET})
		},
		"dial tcp 10.0.0.5:5432: connection refused": func(int) error {
			return &net.OpError{Op: "dial", Net: "tcp", Addr: database, Err: syscall.ECONNREFUSED}
		},
		"lookup db.internal: i/o timeout": func(port int) error {
			return &net.DNSError{Err: fmt.Sprintf("read udp 10.0.0.9:%d->%s: i/o timeout", port, names), Name: "db.internal", Server: names}
		},
		"lookup db.internal: no such host": func(int) error {
			return &net.DNSError{Err: "no such host", Name: "db.internal", Server: names, IsNotFound: true}
		},
	} {
		for _, port := range []int{40001, 40002} {
			if said, _ := between(of(port)); said != want {
				t.Errorf("%q, want %q", said, want)
			}
		}
	}
}
