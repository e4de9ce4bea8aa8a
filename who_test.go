package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backstop/internal/simulate"
)

// Whoever is not the owner of the control socket does not get in. Where an
// operator has opened it to others, what they do is told by what the kernel says
// of them, whatever they say of themselves.
func TestAnotherUserAtTheSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("another user can only be had by root: the rest is not looked at")
		return
	}
	world := simulate.New(simulate.Options{Seed: 1})
	listing := serve(t, world.Handler())
	dir := t.TempDir() // of the binary and the socket, open to all
	for open := dir; open != os.TempDir() && open != "/"; open = filepath.Dir(open) {
		if err := os.Chmod(open, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	binary, socket := filepath.Join(dir, "backstop"), filepath.Join(dir, "control.sock")
	if err := os.Rename(build(t), binary); err != nil {
		t.Fatal(err)
	}
	config := "heygen: {base_url: " + listing + "}\nstate: {path: DIR/backstop.db}\ncontrol: " + socket + "\nadmin: {listen: \"\"}\n"
	s := newSite(t, binary, config, "HEYGEN_API_KEY=key")
	p := s.start(nil, "run")
	defer p.stop()
	until(t, 20*time.Second, "the daemon answers", func() bool { _, code := s.run("", "status"); return code == 0 && exists(socket) })

	as := func(args ...string) error {
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Dir, cmd.Env = dir, append(s.env, "SUDO_USER=root", "USER=root")
		cmd.Stdout, cmd.Stderr = &s.said, &s.said
		asNobody(cmd)
		return cmd.Run()
	}
	other := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(other, []byte(strings.ReplaceAll(config, "DIR", s.dir)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(other, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := as("--config", other, "pause", "--reason", "let me"); err == nil || s.paused() != "" {
		t.Errorf("nobody may pause: %v, paused by %q\n%s", err, s.paused(), s.said.tail())
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := as("--config", other, "pause", "--reason", "let me"); err != nil || !strings.HasSuffix(s.paused(), "uid 65534)") || strings.Contains(s.paused(), "root") {
		t.Errorf("nobody pauses: %v, paused by %q\n%s", err, s.paused(), s.said.tail())
	}
	// Of root it is believed who called sudo.
	cmd := s.command("pause", "--reason", "mine")
	cmd.Env = append(cmd.Env, "SUDO_USER=ann")
	if err := cmd.Run(); err != nil || s.paused() != "ann by sudo (uid 0)" {
		t.Errorf("ann pauses: %v, paused by %q\n%s", err, s.paused(), s.said.tail())
	}
	// A request of another program, which tells what it likes.
	client := http.Client{Transport: overSocket(socket)}
	defer client.CloseIdleConnections()
	response, err := client.Post("http://backstop/v1/pause", "application/json", strings.NewReader(`{"who":"deploy bot (uid 7)","reason":"release"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if s.paused() != "deploy bot uid 7 (uid 0)" {
		t.Errorf("a program pauses: paused by %q", s.paused())
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// paused tells who has paused; "" where nobody has.
func (s *site) paused() string {
	s.t.Helper()
	var status struct {
		Receiver struct {
			By string `json:"paused_by"`
		}
	}
	if err := json.Unmarshal([]byte(s.must("", "status", "--json")), &status); err != nil {
		s.t.Fatal(err)
	}
	return status.Receiver.By
}
