package command

import (
	"context"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/state"
)

// onlyActs refuses the flags that choose events: acts have none of that.
func onlyActs(cmd *cobra.Command) error {
	for _, name := range []string{"status", "event-type", "entity-id", "proof"} {
		if cmd.Flags().Changed(name) {
			return exit.Errorf(exit.Usage, "use --since, --until and --limit", "--acts and --%s do not go together", name)
		}
	}
	return nil
}

// listActs prints what was done by hand, newest first.
func (a *app) listActs(ctx context.Context, f state.ActFilter) error {
	return a.ask(ctx, engine.Existing, func(c *api.Client) error {
		return c.Acts(ctx, f, func(act engine.Act) error {
			if a.json {
				return a.printJSON(act)
			}
			return a.printf("%s\n", actText(act))
		})
	})
}

// actText puts an act on one line.
func actText(act engine.Act) string {
	text := stamp(act.At) + "  " + act.What
	if act.Events > 0 {
		text += " (" + plural(act.Events, "event") + ")"
	}
	text += " by " + act.Who
	if act.Why != "" {
		text += ": " + act.Why
	}
	return text
}
