package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"backstop/internal/heygen"
)

const (
	commandTimeout = 5 * time.Second

	// commandSays is how much a command may print: 500 ids of 512 bytes are a
	// quarter of it. A command that says more answers another question.
	commandSays = 1 << 20

	// commandFails is how much of its standard error is kept.
	commandFails = 4 << 10

	// commandLingers is how long after its end something that it started may
	// keep its output open.
	commandLingers = time.Second
)

// CommandOptions say which program is asked.
type CommandOptions struct {
	Argv    []string      // the program and its arguments; no shell reads them
	Dir     string        // where it runs; "": where backstop does
	Timeout time.Duration // of one question; 0: 5 s
}

// Command is a program that knows what the receiver has. It is started for
// every question, reads event ids from its standard input, one a line, prints
// those that the receiver has, and exits with 0.
type Command struct {
	argv    []string
	dir     string
	timeout time.Duration

	matched  atomic.Bool  // an id that was asked for came back, in this process
	stranger atomic.Int64 // how many came back that were not
}

// NewCommand checks that there is a program to start; whether it can be started
// shows at the first question.
func NewCommand(o CommandOptions) (*Command, error) {
	if len(o.Argv) == 0 || o.Argv[0] == "" {
		return nil, errors.New("argv is empty; write the program and its arguments: [./have, --ids]")
	}
	c := &Command{argv: o.Argv, dir: o.Dir, timeout: o.Timeout}
	if c.timeout <= 0 {
		c.timeout = commandTimeout
	}
	return c, nil
}

// Have implements [Oracle]. With no events it runs the program all the same, with
// empty input: so it can be tried. A command that fails, is too slow or says too much
// gives no answer at all, whatever it printed before.
func (c *Command) Have(ctx context.Context, events []heygen.Event) (map[string]bool, error) {
	had := map[string]bool{}
	asked := make(map[string]bool, len(events))
	var ids strings.Builder
	for _, e := range events {
		asked[e.ID] = true
		ids.WriteString(e.ID + "\n")
	}
	said, err := c.run(ctx, ids.String())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", heygen.Clean(filepath.Base(c.argv[0])), err)
	}
	for line := range strings.Lines(said) {
		switch id := strings.TrimRight(line, "\r\n"); {
		case asked[id]:
			had[id] = true
			c.matched.Store(true)
		case id != "" && len(asked) > 0:
			c.stranger.Add(1)
		}
	}
	return had, nil
}

// Notice is what a person should know although nothing failed; "" when there is
// nothing to say. It counts over the life of the process, and may be called at
// any time.
func (c *Command) Notice() string {
	n := c.stranger.Load()
	if n == 0 || c.matched.Load() {
		return ""
	}
	what := "ids"
	if n == 1 {
		what = "id"
	}
	return fmt.Sprintf("it answered with %d %s that it was not asked for, and with none that it was: check what it prints", n, what)
}

// run starts the program in a process group of its own, so that what it starts
// ends with it when it is cut off.
func (c *Command) run(ctx context.Context, ids string) (string, error) {
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	out, failure := &head{most: commandSays, full: cancel}, &head{most: commandFails}
	cmd := exec.CommandContext(bounded, c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env = c.dir, commandEnv(os.Environ())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(ids), out, failure
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd) }
	cmd.WaitDelay = commandLingers
	err := cmd.Run()
	if err != nil && cmd.Process != nil {
		_ = killGroup(cmd) // it may have left something behind
	}
	switch {
	case out.over:
		return "", errors.New("it printed more than 1 MiB, which is no answer; let it print only ids that it was asked for")
	case err == nil:
		return out.text.String(), nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case bounded.Err() != nil:
		return "", fmt.Errorf("no answer within %s; make it faster, or raise timeout", c.timeout)
	}
	return "", c.explain(err, failure.line())
}

// commandEnv is what the program sees of our environment: not our own secrets,
// and nothing that is between systemd and us.
func commandEnv(ours []string) []string {
	return slices.DeleteFunc(slices.Clone(ours), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "HEYGEN_API_KEY", "HEYGEN_WEBHOOK_SECRET", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID":
			return true
		}
		return strings.HasPrefix(name, "LISTEN_")
	})
}

func killGroup(cmd *exec.Cmd) error {
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// explain says why the program gave no answer. Its arguments are left out: they
// may hold secrets.
func (c *Command) explain(err error, said string) error {
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		if said != "" {
			said = ": " + said
		}
		return errors.New(ended(exit) + said + c.hint(exit))
	case errors.Is(err, exec.ErrWaitDelay):
		return errors.New("it ended, but something that it started keeps its output open; let it wait for that, or send that output elsewhere")
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return errors.New(c.absent())
	case errors.Is(err, fs.ErrPermission):
		return errors.New("this user may not execute it; chmod +x it")
	case errors.Is(err, syscall.ENOEXEC):
		return errors.New("it is no program; let it begin with #!/bin/sh or the like")
	}
	return errors.New(heygen.Clean(err.Error()))
}

// absent says which program was looked for, and where.
func (c *Command) absent() string {
	program := heygen.Clean(c.argv[0])
	switch {
	case !strings.Contains(c.argv[0], "/"):
		return fmt.Sprintf("there is no program %s in PATH; write its full path in argv", program)
	case filepath.IsAbs(c.argv[0]):
		return fmt.Sprintf("there is no program %s, or not the one that its first line names; correct argv", program)
	}
	return fmt.Sprintf("there is no program %s, or not the one that its first line names; "+
		"a relative path is relative to the working directory of backstop: write its full path in argv", program)
}

func ended(exit *exec.ExitError) string {
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return "it was ended by a signal: " + status.Signal().String()
	}
	return fmt.Sprintf("exit %d", exit.ExitCode())
}

// hint helps with the program that is at hand first.
func (c *Command) hint(exit *exec.ExitError) string {
	if exit.ExitCode() == 1 && filepath.Base(c.argv[0]) == "grep" {
		return "; grep exits 1 when nothing matches: [sh, -c, 'grep -Fxf - FILE || [ $? -eq 1 ]']"
	}
	return ""
}
