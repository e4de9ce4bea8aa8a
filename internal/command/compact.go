package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"backstop/internal/engine"
	"backstop/internal/exit"
)

func (a *app) stateCompactCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Write the state file anew, without the room that deleted records left",
		Long: "Writes the state file anew, without the room that deleted records left in it; backstop uses that\n" +
			"room again by itself, so this is for a disk that needs it back. The daemon must be stopped. The new\n" +
			"file is checked before it takes the place of the old one.",
		Args: cobra.NoArgs,
	}
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		cfg, err := a.load("state", "control", "log")
		if err != nil {
			return err
		}
		logger, _, err := a.logger(cfg)
		if err != nil {
			return err
		}
		if c := daemonOf(ctx, cfg); c != nil {
			_ = c.Close()
			return exit.Errorf(exit.Held, "stop it first, and start it again when this is done", "the daemon uses %s", cfg.State.Path)
		}
		done, err := engine.CompactState(ctx, cfg, logger, looksSound(flagState), looksSound(flagCopy))
		if err != nil {
			return err
		}
		return a.print(done, fmt.Sprintf("%s: %d bytes, before %d", done.Path, done.After, done.Before))
	}))
}
