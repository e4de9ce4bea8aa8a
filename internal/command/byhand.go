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

func (a *app) pauseCommand() *cobra.Command {
	var why string
	cmd := &cobra.Command{Use: "pause", Short: "Stop replaying; walks go on", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&why, "reason", "", "why, for status")
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		return a.ask(ctx, engine.Create, func(c *api.Client) error {
			if err := c.Pause(ctx, api.PauseRequest{Why: why, Who: who()}); err != nil {
				return err
			}
			return a.print(map[string]bool{"paused": true}, "replaying is paused; `backstop resume` goes on")
		})
	}))
}

func (a *app) resumeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "resume", Short: "Start replaying again", Args: cobra.NoArgs}
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		return a.ask(ctx, engine.Create, func(c *api.Client) error {
			if err := c.Resume(ctx, api.PauseRequest{Who: who()}); err != nil {
				return err
			}
			return a.print(map[string]bool{"paused": false}, "replaying goes on")
		})
	}))
}
