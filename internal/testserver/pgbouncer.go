package testserver

import (
	"fmt"
	"net/url"
	"syscall"
	"testing"
)

// PgBouncer starts a pooler before a PostgreSQL server: each transaction may
// run in another session. Its DSN is the server's but for the address, and user
// is one more that it lets in with password. The test skips where PgBouncer is
// not installed.
func PgBouncer(t testing.TB, behind *Server, user, password string) *Server {
	t.Helper()
	pgbouncer := program(t, "pgbouncer", "pgbouncer", "/usr/sbin")
	s := newServer(t, "postgres")
	users := s.write("users", fmt.Sprintf("\"admin\" \"%s\"\n\"%s\" \"%s\"\n", Password, user, password))
	config := fmt.Sprintf(`[databases]
postgres = host=127.0.0.1 port=%s dbname=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = transaction
`, port(behind.Addr), port(s.Addr), users)
	s.argv = []string{pgbouncer, s.write("pgbouncer.ini", config)}
	s.ready = "process up"
	s.stop = syscall.SIGTERM // at once
	u, err := url.Parse(behind.DSN)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = s.Addr
	s.DSN = u.String()
	s.Start()
	t.Cleanup(s.Stop)
	return s
}
