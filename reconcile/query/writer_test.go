package query_test

import (
	"bufio"
	"cmp"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// Set in a copy of this program that writes to a database of SQLite, as the
// receiver does.
const (
	writerOf = "BACKSTOP_TEST_WRITER_OF" // the dsn
	halfway  = "BACKSTOP_TEST_HALFWAY"   // set: it stays in the middle of a transaction
)

// write adds one id after the other until its standard input ends, and says
// each when it is committed.
func write(dsn string) error {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	stop := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		stop <- err
	}()
	if os.Getenv(halfway) != "" {
		return stay(db, stop)
	}
	for i := 0; ; i++ {
		select {
		case err := <-stop:
			return cmp.Or(err, db.Close())
		default:
		}
		id := fmt.Sprintf("evt_other_%d", i)
		if _, err := db.Exec("INSERT INTO inbox (event_id) VALUES (?)", id); err != nil {
			return err
		}
		fmt.Println(id)
	}
}

// stay writes more than the cache holds, so that pages of an open transaction
// are in the file and the journal has what they were.
func stay(db *sql.DB, stop <-chan error) error {
	for _, statement := range []string{
		"PRAGMA cache_size = 2",
		"BEGIN IMMEDIATE",
		"WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO inbox (event_id) SELECT 'evt_half_' || i FROM n",
	} {
		if _, err := db.Exec(statement); err != nil {
			return err
		}
	}
	fmt.Println("halfway")
	return <-stop
}

// writer is another process that writes.
type writer struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	stop  func() // lets it end by itself
}

func startWriter(t *testing.T, w *world, env ...string) *writer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), writerOf+"=file:"+uriPath(w.dsn)+"?_pragma=busy_timeout(60000)")
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &writer{cmd: cmd, lines: bufio.NewScanner(out)}
	p.stop = func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}
	return p
}

// besideProcess asks while another process writes: what it says to have
// committed is found.
func besideProcess(t *testing.T, w *world) {
	p := startWriter(t, w)
	defer p.stop()
	q := w.query(t, nil)
	for range 200 {
		if !p.lines.Scan() {
			t.Fatal("the writer ended")
		}
		want(t, q, []string{p.lines.Text(), "evt_other_x"}, p.lines.Text())
	}
}

// crashedWriter: a journal that is left holds what must be put back before
// anything is read, and that is a write. In WAL mode there is nothing to put
// back.
func crashedWriter(t *testing.T, w *world, mode string) {
	p := startWriter(t, w, halfway+"=1")
	if !p.lines.Scan() {
		t.Fatal("the writer ended")
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
	q := w.query(t, nil)
	if mode != "wal" {
		says(t, refused(t, t.Context(), q), "readonly", "; what writes to it died; start that again: it puts the database in order")
		w.count(t, "SELECT count(*) FROM inbox")
	}
	want(t, q, []string{"evt_half_1", "evt_0001"}, "evt_0001")
}
