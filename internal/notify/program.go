package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"backstop/internal/heygen"
)

const (
	programTime    = 30 * time.Second
	programLingers = time.Second // how long something that it started may hold on to it
)

// program is what is started for every notice, with the JSON on its standard
// input. What it prints is thrown away: it is not ours to log.
type program struct {
	argv    []string
	secrets func() []string
	limit   time.Duration
}

// send starts it in a process group of its own, so that what it starts ends with
// it when it is cut off.
func (p *program) send(ctx context.Context, body []byte) error {
	bounded, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	cmd := exec.CommandContext(bounded, p.argv[0], p.argv[1:]...)
	cmd.Env = environment(os.Environ(), p.secrets())
	cmd.Stdin = bytes.NewReader(body)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd) }
	cmd.WaitDelay = programLingers
	err := cmd.Run()
	if err != nil && cmd.Process != nil {
		_ = killGroup(cmd) // it may have left something behind
	}
	switch exit := (*exec.ExitError)(nil); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case bounded.Err() != nil:
		return fmt.Errorf("%s did not end within %s", p.name(), p.limit)
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return fmt.Errorf("%s ended with exit status %d", p.name(), exit.ExitCode())
	case errors.As(err, &exit):
		return fmt.Errorf("%s was ended by a signal", p.name())
	case errors.Is(err, syscall.EPIPE), errors.Is(err, exec.ErrWaitDelay):
		return nil // it ended well, without reading all or with something left running
	}
	return fmt.Errorf("%s can't be started; write its full path in notify.command, and make it executable", p.name())
}

// name leaves the arguments out: they may hold secrets.
func (p *program) name() string { return heygen.Clean(filepath.Base(p.argv[0])) }

// environment is ours without what only we need to know, and without every
// variable that holds a secret of the configuration.
func environment(ours, secrets []string) []string {
	return slices.DeleteFunc(slices.Clone(ours), func(variable string) bool {
		name, value, _ := strings.Cut(variable, "=")
		switch name {
		case "HEYGEN_API_KEY", "HEYGEN_WEBHOOK_SECRET", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID":
			return true
		}
		return strings.HasPrefix(name, "LISTEN_") ||
			slices.ContainsFunc(secrets, func(secret string) bool { return secret != "" && strings.Contains(value, secret) })
	})
}

func killGroup(cmd *exec.Cmd) error {
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
