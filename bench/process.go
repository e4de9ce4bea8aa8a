package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// site is a directory with a configuration and a state, as a user has one.
type site struct {
	binary, dir string
}

func (s site) state() string { return filepath.Join(s.dir, "backstop.db") }

// newSite makes a site that reads from a listing and has nowhere to replay to.
// More are further lines of its configuration.
func (b *bench) newSite(name, listing, more string) (site, error) {
	s := site{binary: b.binary, dir: filepath.Join(b.dir, name)}
	if err := errors.Join(os.RemoveAll(s.dir), os.MkdirAll(s.dir, 0o700)); err != nil {
		return s, err
	}
	config := fmt.Sprintf("heygen: {base_url: %q, api_key: bench, rate: 0}\nreceiver: {url: \"\"}\n"+
		"reconcile: {start: beginning}\ncontrol: %s\nstate: {path: %s, retention: 365d, max_size: 64GiB}\nlog: {level: warn}\n%s",
		listing, filepath.Join(s.dir, "sock"), s.state(), more)
	return s, os.WriteFile(filepath.Join(s.dir, "config.yaml"), []byte(config), 0o600)
}

// command prepares a verb.
func (s site) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.binary, append([]string{"--config", filepath.Join(s.dir, "config.yaml")}, args...)...)
	cmd.Dir, cmd.Env = s.dir, []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH")}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

// ran is what one process did.
type ran struct {
	out     []byte
	seconds float64 // from its start to its end
	cpu     float64 // seconds of processor time, its children's included
	memory  []memory
}

// memory is what a process held at one moment, in MiB.
type memory struct {
	Seconds   float64 `json:"seconds"`
	RSS       float64 `json:"rss"`
	Anonymous float64 `json:"anonymous"`
}

// timed runs a process to its end. An exit code among fine is no failure.
func timed(cmd *exec.Cmd, fine ...int) (ran, error) {
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return ran{}, err
	}
	done := make(chan struct{})
	watched := make(chan []memory, 1)
	go func() { watched <- watch(cmd.Process.Pid, begun, done) }()
	err := cmd.Wait()
	r := ran{out: out.Bytes(), seconds: time.Since(begun).Seconds()}
	r.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	close(done)
	r.memory = <-watched
	for _, code := range fine {
		if cmd.ProcessState.ExitCode() == code {
			err = nil
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said.String())
	}
	return r, err
}

// watch samples the memory of a process until done.
func watch(pid int, begun time.Time, done <-chan struct{}) []memory {
	var samples []memory
	for {
		select {
		case <-done:
			return samples
		case <-time.After(100 * time.Millisecond):
			if m, err := memoryOf(pid); err == nil && m.RSS > 0 {
				m.Seconds = time.Since(begun).Seconds()
				samples = append(samples, m)
			}
		}
	}
}

// memoryOf reads what a process holds from /proc.
func memoryOf(pid int) (memory, error) {
	fields, err := procFields(fmt.Sprintf("/proc/%d/status", pid))
	return memory{RSS: fields["VmRSS"] / 1024, Anonymous: fields["RssAnon"] / 1024}, err
}

// procFields reads the lines "name: number" of a file under /proc.
func procFields(path string) (map[string]float64, error) {
	text, err := os.ReadFile(path)
	fields := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if v, err := strconv.ParseFloat(strings.TrimSpace(number), 64); err == nil {
			fields[name] = v
		}
	}
	return fields, err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = out.ReadFrom(in)
	return errors.Join(err, out.Sync(), out.Close())
}

func removeState(path string) error {
	return errors.Join(os.RemoveAll(path), os.RemoveAll(path+".side"))
}
