package testserver

import (
	"net/url"
	"path/filepath"
	"syscall"
	"testing"
)

// Postgres starts a PostgreSQL server with the empty database postgres. Users
// need a password. The test skips where PostgreSQL is not installed.
func Postgres(t testing.TB) *Server {
	t.Helper()
	const folder = "/usr/lib/postgresql/*/bin"
	initdb := program(t, "initdb", "postgresql", folder)
	postgres := program(t, "postgres", "postgresql", folder)
	s := newServer(t, "postgres")
	data := filepath.Join(s.dir, "data")
	s.run(initdb, "-D", data, "-U", "admin", "--auth=scram-sha-256", "--pwfile="+s.write("password", Password),
		"--no-locale", "--encoding=UTF8", "--no-sync")
	s.argv = []string{postgres, "-D", data, "-h", "127.0.0.1", "-p", port(s.Addr), "-k", s.dir, "-F"}
	s.ready = "database system is ready to accept connections"
	s.stop = syscall.SIGINT // fast: it waits for nobody
	s.DSN = (&url.URL{Scheme: "postgres", User: url.UserPassword("admin", Password), Host: s.Addr, Path: "/postgres"}).String()
	s.Start()
	t.Cleanup(s.Stop)
	return s
}
