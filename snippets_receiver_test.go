package main_test

import (
	"errors"
	"fmt"
	"net"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// snippetPorts hands out ports from below those that the system gives to outgoing
// connections: what is free stays free until it is used.
type snippetPorts struct{ next atomic.Int64 }

func (p *snippetPorts) free(t *testing.T) (port string) {
	t.Helper()
	for range 1000 {
		port = fmt.Sprint(10000 + (int64(os.Getpid())*20+p.next.Add(1))%10000)
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close() // it took no connection
			return port
		}
	}
	t.Fatal("no free port between 10000 and 20000")
	return ""
}

// startReceiver starts a receiver with the snippet in it, which reports to that
// port, for as long as the test runs.
func startReceiver(t *testing.T, s snippet, admin string, ports *snippetPorts) (url string) {
	t.Helper()
	for command, packages := range s.needs {
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			missing(t, fmt.Sprintf("%s: apt-get install %s\n%s", s.name, packages, out))
		}
	}
	dir, port := layOut(t, s, admin), ports.free(t)
	env := append(os.Environ(), "PORT="+port, "SECRET="+hookSecret, "WORK="+dir, "SNIPPET="+filepath.Join(dir, filepath.Base(s.file)),
		"NODE_PATH=/usr/share/nodejs", "PYTHONDONTWRITEBYTECODE=1")
	if s.run == nil {
		return serve(t, &cgi.Handler{Path: "/bin/sh", Args: []string{"server.sh"}, Dir: dir, Env: env}) + "/webhooks/heygen"
	}
	program := &said{}
	cmd := exec.CommandContext(t.Context(), s.run[0], s.run[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, program, program
	runWhile(t, cmd, program)
	until(t, 60*time.Second, "the receiver listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		return err == nil && c.Close() == nil
	})
	return "http://127.0.0.1:" + port + "/webhooks/heygen"
}

// runWhile runs a program until the test ends, and shows what it said if that failed.
func runWhile(t *testing.T, cmd *exec.Cmd, program *said) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the context has done so, or it has ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the receiver said:\n%s", program.tail())
		}
	})
}

// layOut puts the snippet and the receiver around it in a directory, with another port of backstop's.
func layOut(t *testing.T, s snippet, admin string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata/snippets", s.name))); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Base(s.file), strings.ReplaceAll(read(t, "docs/snippets/"+s.file), "8710", admin))
	switch s.name {
	case "nextjs":
		write("package.json", `{"type":"module"}`)
		write("node_modules/next/package.json", `{"type":"module","exports":{"./server":"./server.js"}}`)
		write("node_modules/next/server.js", read(t, "testdata/snippets/nextjs/after.mjs"))
	case "go":
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", "receiver", "report.go", "main.go")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	return dir
}
