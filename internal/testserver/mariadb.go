package testserver

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// MariaDB starts a MariaDB server with the empty database test. The test skips
// where MariaDB is not installed.
func MariaDB(t testing.TB) *Server {
	t.Helper()
	install := program(t, "mariadb-install-db", "mariadb-server")
	mariadbd := program(t, "mariadbd", "mariadb-server", "/usr/sbin")
	s := newServer(t, "mysql")
	data := filepath.Join(s.dir, "data")
	s.run(install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal")
	s.argv = []string{
		mariadbd, "--no-defaults", "--datadir=" + data, "--socket=" + filepath.Join(s.dir, "socket"),
		"--bind-address=127.0.0.1", "--port=" + port(s.Addr), "--skip-name-resolve", "--init-file=" + s.write("init.sql", admin()),
		"--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0",
	}
	s.ready = "ready for connections"
	s.stop = syscall.SIGTERM
	s.DSN = "admin:" + Password + "@tcp(" + s.Addr + ")/test"
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// admin makes the superuser at the first start.
func admin() string {
	return strings.Join([]string{
		"CREATE DATABASE IF NOT EXISTS test;",
		"CREATE USER IF NOT EXISTS admin@'%' IDENTIFIED BY '" + Password + "';",
		"GRANT ALL PRIVILEGES ON *.* TO admin@'%' WITH GRANT OPTION;", "",
	}, "\n")
}
