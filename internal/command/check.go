package command

import (
	"context"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
)

// The hidden flags by which a process looks at a file for another one.
const (
	flagState = "--file" // of a state, with its side file
	flagCopy  = "--copy"
)

func (a *app) stateCheckCommand() *cobra.Command {
	var file, copied string
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Look at every record of the state file, or of a copy; exit 1 when something is wrong",
		Long: "Looks at every page and record of the state file; of FILE, which is a copy and nobody's state,\n" +
			"when one is named. Exit 1 when something is wrong.",
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&file, flagState[2:], "", "look at this state `FILE` in this process")
	cmd.Flags().StringVar(&copied, flagCopy[2:], "", "look at this copy `FILE` in this process")
	for _, flag := range []string{flagState, flagCopy} {
		cmd.Flags().Lookup(flag[2:]).Hidden = true
	}
	return a.withJSON(verb(cmd, func(ctx context.Context, args []string) error {
		switch {
		case file != "" || copied != "":
			return a.checkHere(ctx, file+copied, copied != "")
		case len(args) == 1:
			return a.checkElsewhere(ctx, flagCopy, args[0])
		}
		return a.checkState(ctx)
	}))
}

// checkState asks the daemon, and without one another process: a damaged page
// may end the one that reads it.
func (a *app) checkState(ctx context.Context) error {
	cfg, err := a.load("state", "control", "log")
	if err != nil {
		return err
	}
	if _, _, err := a.logger(cfg); err != nil {
		return err
	}
	c := daemonOf(ctx, cfg)
	if c == nil {
		return a.checkElsewhere(ctx, flagState, cfg.State.Path)
	}
	return use(c, func(c *api.Client) error {
		problems := 0
		err := c.StateCheck(ctx, func(p engine.Problem) error { problems++; return a.printProblem(p) })
		if err != nil {
			return err
		}
		return a.verdict(flagState, cfg.State.Path, problems)
	})
}

func (a *app) checkElsewhere(ctx context.Context, flag, path string) error {
	problems, err := examine(ctx, flag, path)
	if err != nil {
		return err
	}
	for _, p := range problems {
		if err := a.printProblem(p); err != nil {
			return err
		}
	}
	return a.verdict(flag, path, len(problems))
}

// deepestStack is far more than reading a sound file takes: pages that lead to
// each other in a circle must not fill the memory before the process ends.
const deepestStack = 32 << 20

// checkHere looks at a file in this process, which the file may end.
func (a *app) checkHere(ctx context.Context, path string, isCopy bool) error {
	debug.SetMaxStack(deepestStack)
	n, err := engine.CheckFile(ctx, path, isCopy, a.printProblem)
	if err != nil {
		return err
	}
	flag := flagState
	if isCopy {
		flag = flagCopy
	}
	return a.verdict(flag, path, n)
}

func (a *app) printProblem(p engine.Problem) error {
	if a.json {
		return a.printJSON(p)
	}
	return a.printf("%s\n", strings.TrimSpace(p.Bucket+" "+p.Key+": "+p.What))
}

// verdict ends a check.
func (a *app) verdict(flag, path string, problems int) error {
	if problems > 0 {
		return gaveUp(flag, path, plural(problems, "problem")+" found")
	}
	return a.print(map[string]int{"problems": 0}, "the state is sound")
}
