package command

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
)

func (a *app) ignoreCommand() *cobra.Command {
	request := engine.IgnoreRequest{}
	cmd := &cobra.Command{Use: "ignore ID…", Short: "Give events up by hand", Args: cobra.MinimumNArgs(1)}
	cmd.Flags().StringVar(&request.Why, "reason", "", "why, for explain")
	return a.withJSON(verb(cmd, func(ctx context.Context, args []string) error {
		request.IDs, request.Who = args, who()
		return a.ask(ctx, engine.Existing, func(c *api.Client) error {
			return c.Ignore(ctx, request, a.printIgnored)
		})
	}))
}

func (a *app) printIgnored(row engine.ReplayRow) error {
	if a.json {
		return a.printJSON(row)
	}
	what := "ignored (it was " + row.Status + ")"
	if !row.Queued {
		what = "left as it is: " + row.Status
	}
	return a.printf("%s  %s\n", row.ID, strings.TrimSpace(what+"  "+row.Note))
}
