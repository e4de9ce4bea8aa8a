package notify

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAProgramIsCutOffWithAllThatItStarted(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "child")
	p := &program{argv: []string{"sh", "-c", `sleep 600 & echo $! > "$0"; wait`, file}, secrets: func() []string { return nil }, limit: 2 * time.Second}
	err := p.send(t.Context(), []byte("{}"))
	if err == nil || err.Error() != "sh did not end within 2s" {
		t.Fatalf("got %v", err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); alive(strings.TrimSpace(string(text))); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) { // the kill itself takes a moment
			t.Fatal("what it started lives on")
		}
	}
}

// alive reports whether a process is there and no corpse.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestWhatAProgramSaysAboutItself(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		argv []string
		want string // "": no error
	}{
		{[]string{"true"}, ""},
		{[]string{"sh", "-c", "cat >/dev/null; yes s3cret | head -c 1000000"}, ""},
		{[]string{"sh", "-c", "echo s3cret >&2; exit 3", "s3cret"}, "sh ended with exit status 3"},
		{[]string{"sh", "-c", "kill -9 $$"}, "sh was ended by a signal"},
		{[]string{"/none/s3cret/tell"}, "tell can't be started; write its full path in notify.command, and make it executable"},
		{[]string{plain}, "plain can't be started; write its full path in notify.command, and make it executable"},
	}
	for _, tt := range tests {
		p := &program{argv: tt.argv, secrets: func() []string { return nil }, limit: 20 * time.Second}
		got := ""
		if err := p.send(t.Context(), []byte(strings.Repeat("x", 1<<20))); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.argv, got, tt.want)
		}
	}
}

func TestAProgramEndsWithItsCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ready := filepath.Join(t.TempDir(), "ready")
	if err := syscall.Mkfifo(ready, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &program{argv: []string{"sh", "-c", `echo > "$0"; sleep 600`, ready}, secrets: func() []string { return nil }, limit: time.Hour}
	done := make(chan error, 1)
	go func() { done <- p.send(ctx, nil) }()
	if _, err := os.ReadFile(ready); err != nil { // until it writes
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestAProgramIsToldNoSecrets(t *testing.T) {
	ours := []string{"PATH=/bin", "HEYGEN_API_KEY=k", "NOTIFY_SOCKET=/run/x", "LISTEN_FDS=1", "DATABASE_URL=postgres://u:pass-1@db/x", "HOME=/root"}
	got := environment(ours, []string{"", "pass-1"})
	if want := []string{"PATH=/bin", "HOME=/root"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
