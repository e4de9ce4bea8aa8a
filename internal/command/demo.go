package command

import (
	"context"
	"math/rand/v2"

	"github.com/spf13/cobra"

	"backstop/internal/config"
	"backstop/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	var seed uint64
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show lost pushes being found and repaired, in this process",
		Long: "Runs a stand-in for HeyGen that loses pushes, a small receiver, and the real daemon, on real files\n" +
			"in a temporary directory. It ends by itself, leaves nothing behind, and exits 0 only if every event\n" +
			"arrived.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().Uint64Var(&seed, "seed", 0, "of the stand-in's fortune (0: another one each time)")
	return verb(cmd, func(ctx context.Context, _ []string) error {
		if seed == 0 {
			seed = rand.Uint64N(1_000_000) + 1
		}
		options := demo.Options{Out: a.Out, Terminal: isTerminal(a.Out), Seed: seed, Version: version()}
		if a.flags.verbose {
			logger, _, err := a.logger(config.Default())
			if err != nil {
				return err
			}
			options.Logger, options.Terminal = logger, false
		}
		err := demo.Run(ctx, options)
		if ctx.Err() != nil {
			return context.Canceled // a signal ended it: what did not arrive by then says nothing
		}
		return err
	})
}
