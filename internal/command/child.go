package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/state"
)

// How long a look at a file may take before it counts as hanging: reading a sound
// one is many times faster.
const (
	lookAtLeast   = time.Minute
	lookPerSecond = 8 << 20 // bytes
)

// errNoLook says that it is not known whether a file is sound.
var errNoLook = errors.New("another process must look at the state first, and can't be started; run backstop by its full path, and let it start processes")

// examine looks at a state file, or at a copy of one, through another process of
// this program, because a damaged page may end whoever reads it, or never let go.
// That is then the answer, as an error.
func examine(ctx context.Context, flag, path string) ([]engine.Problem, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errNoLook, path, err)
	}
	limit := lookAtLeast
	if info, err := os.Stat(path); err == nil {
		limit += time.Duration(info.Size()/lookPerSecond) * time.Second
	}
	return examineBy(ctx, limit, flag, path, self, "state", "check", "--json", flag, path)
}

// examineBy is examine with the command line that looks.
func examineBy(ctx context.Context, limit time.Duration, flag, path string, argv ...string) ([]engine.Problem, error) {
	looking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(looking, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &said
	// What ends the child with its parent ends it with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dieWithParent(cmd)
	err := cmd.Run()
	switch ended := (*exec.ExitError)(nil); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err == nil:
		return nil, nil
	case looking.Err() != nil:
		return nil, gaveUp(flag, path, fmt.Sprintf("looking at it did not end within %s", limit))
	case !errors.As(err, &ended):
		return nil, fmt.Errorf("%w: %s: %w", errNoLook, path, err)
	case ended.ExitCode() == int(exit.Usage): // also a panic of Go
		return nil, gaveUp(flag, path, "the process that looked at it broke down")
	case ended.ExitCode() < 0:
		return nil, gaveUp(flag, path, "the process that looked at it was ended by "+strings.TrimPrefix(ended.String(), "signal: "))
	}
	if problems := problemsOf(&out); len(problems) > 0 {
		return problems, nil
	}
	return nil, errorOf(flag, path, &said)
}

// gaveUp is the error for a file that can't be read to its end, or is not sound.
func gaveUp(flag, path, what string) error {
	if flag == flagCopy {
		return exit.Wrap(exit.Failed, "", state.DamagedCopy(path, what))
	}
	return exit.Wrap(exit.Failed, "", state.Damaged(path, what))
}

// problemsOf reads what a check printed with --json.
func problemsOf(out *bytes.Buffer) (all []engine.Problem) {
	for decoder := json.NewDecoder(out); ; {
		var p engine.Problem
		if err := decoder.Decode(&p); err != nil {
			return all
		}
		if p.What != "" {
			all = append(all, p)
		}
	}
}

// errorOf reads the error that a verb printed with --json.
func errorOf(flag, path string, said *bytes.Buffer) error {
	var answer struct {
		Error *api.ErrorBody `json:"error"`
	}
	if err := json.Unmarshal(said.Bytes(), &answer); err != nil || answer.Error == nil {
		return gaveUp(flag, path, "the process that looked at it ended without an answer")
	}
	return answer.Error.Err()
}

// lookThrough looks at a state file that is about to be opened. What a sound look
// at it says besides, this process will find itself.
func lookThrough(ctx context.Context, path string) error {
	problems, err := examine(ctx, flagState, path)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(problems) > 0:
		return firstOf(flagState, path, problems)
	case errors.Is(err, state.ErrDamaged), errors.Is(err, errNoLook):
		return err
	}
	return nil
}

// firstOf is the error for a file in which problems were found.
func firstOf(flag, path string, problems []engine.Problem) error {
	p := problems[0]
	what := strings.TrimSpace(p.Bucket + " " + p.Key + ": " + p.What)
	if n := len(problems) - 1; n > 0 {
		what += fmt.Sprintf(" (and %s more)", plural(n, "problem"))
	}
	return gaveUp(flag, path, strings.TrimPrefix(what, ": "))
}

// looksSound is a look that lets nothing pass.
func looksSound(flag string) engine.Look {
	return func(ctx context.Context, path string) error {
		problems, err := examine(ctx, flag, path)
		if err == nil && len(problems) > 0 {
			err = firstOf(flag, path, problems)
		}
		return err
	}
}
