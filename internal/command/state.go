package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/state"
)

func (a *app) stateCommand() *cobra.Command {
	return group("state", "Look after the state file", a.stateInitCommand(), a.stateInfoCommand(), a.stateCheckCommand(), a.stateRestoreCommand())
}

func (a *app) stateInitCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a new, empty state file",
		Long: "Makes a new, empty state file. It refuses where there is one, or where one was lost; --force moves\n" +
			"the old one aside and accepts that what it knew is gone.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&force, "force", false, "move an old file aside and accept the loss of what it knew")
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		cfg, err := a.load("state")
		if err != nil {
			return err
		}
		logger, _, err := a.logger(cfg)
		if err != nil {
			return err
		}
		if err := engine.InitState(cfg, logger, force); err != nil {
			return err
		}
		return a.print(map[string]string{"path": cfg.State.Path}, cfg.State.Path+" is ready; the first `backstop run` sets its baseline")
	}))
}

func (a *app) stateInfoCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "info", Short: "Describe the state file", Args: cobra.NoArgs}
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		return a.ask(ctx, engine.Existing, func(c *api.Client) error {
			info, err := c.StateInfo(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(info)
			}
			return a.printInfo(info)
		})
	}))
}

func (a *app) printInfo(info engine.StateInfo) error {
	t := newTable(a.Out)
	t.row("path", info.Path)
	t.row("size", fmt.Sprintf("%d bytes, %d used", info.Size, info.Used))
	t.row("format", fmt.Sprint(info.Format))
	t.row("generation", fmt.Sprint(info.Generation))
	t.row("created", stamp(info.Created))
	t.row("last commit", stamp(info.Committed))
	if !info.LostTo.IsZero() {
		t.row("restored", stamp(info.LostTo)+", lost since "+stamp(info.LostFrom))
	}
	t.row("listing", info.APIBase)
	t.row("baseline", stamp(info.Baseline))
	t.row("floor", stamp(info.Floor))
	return t.flush()
}

func (a *app) stateCheckCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look at every record of the state file; exit 1 when something is wrong",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().StringVar(&file, "file", "", "look at this `FILE`, without a configuration")
	cmd.Flags().Lookup("file").Hidden = true // how the daemon looks at a file that may kill whoever reads it
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		if file != "" {
			return checkFile(ctx, file)
		}
		return a.ask(ctx, engine.Existing, func(c *api.Client) error { return a.stateCheck(ctx, c) })
	}))
}

func (a *app) stateCheck(ctx context.Context, c *api.Client) error {
	problems := 0
	err := c.StateCheck(ctx, func(p engine.Problem) error {
		problems++
		if a.json {
			return a.printJSON(p)
		}
		return a.printf("%s\n", strings.TrimSpace(p.Bucket+" "+p.Key+": "+p.What))
	})
	if err != nil {
		return err
	}
	if problems > 0 {
		return exit.Errorf(exit.Failed, "damaged records are read again from the listing; damaged pages need `backstop state init --force`",
			"%s found", plural(problems, "problem"))
	}
	return a.print(map[string]int{"problems": 0}, "the state is sound")
}

// checkFile looks at a state file in this process, which a damaged one may end.
func checkFile(ctx context.Context, path string) error {
	s, err := state.OpenExisting(state.Options{Path: path})
	if err != nil {
		return err
	}
	problems, err := s.Check(ctx, true)
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("%s %s: %s", problems[0].Bucket, problems[0].Key, problems[0].What)
	}
	return errors.Join(err, s.Close())
}

// checkInChild looks at a state file in a process of its own: the daemon does so
// after an unclean stop, before it trusts the file.
func checkInChild(ctx context.Context, path string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	out, err := exec.CommandContext(ctx, self, "state", "check", "--file", path).CombinedOutput()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("look at %s: %w: %s", path, err, bytes.TrimSpace(out[:min(len(out), 500)]))
	}
	return ctx.Err()
}
