package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
)

func (a *app) stateCommand() *cobra.Command {
	return group("state", "Look after the state file", a.stateInitCommand(), a.stateInfoCommand(), a.stateCheckCommand(),
		a.stateBackupCommand(), a.stateRestoreCommand(), a.stateCompactCommand())
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
		if err := engine.InitState(cfg, logger, force, api.Self(who())); err != nil {
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
