package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/exit"
)

// askAbove is how many events are replayed without asking, on a terminal.
const askAbove = 20

func (a *app) replayCommand() *cobra.Command {
	var request engine.ReplayRequest
	var yes bool
	cmd := &cobra.Command{
		Use:   "replay [ID…]",
		Short: "Send events to the receiver now",
		Long: "Sends events to the receiver now and waits until each is sent or dead: the named ones, all dead\n" +
			"ones (--dead), or all missed ones (--missed). What is seen already is not sent again.",
	}
	cmd.Flags().BoolVar(&request.Dead, "dead", false, "all dead events")
	cmd.Flags().BoolVar(&request.Missed, "missed", false, "all missed events")
	cmd.Flags().BoolVar(&request.DryRun, "dry-run", false, "only show what would be sent")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return a.withJSON(verb(cmd, func(ctx context.Context, args []string) error {
		if len(args) == 0 && !request.Dead && !request.Missed {
			return exit.Errorf(exit.Usage, "name events, or use --dead or --missed", "nothing to replay")
		}
		if len(args) > 0 && (request.Dead || request.Missed) {
			return exit.Errorf(exit.Usage, "use one or the other", "ids and --dead or --missed do not go together")
		}
		request.IDs, request.Who = args, who()
		return a.send(ctx, engine.Existing, func(c *api.Client) error { return a.replay(ctx, c, request, yes) })
	}))
}

func (a *app) replay(ctx context.Context, c *api.Client, request engine.ReplayRequest, yes bool) error {
	if !request.DryRun && !yes && isTerminal(a.In) {
		if err := a.confirm(ctx, c, request); err != nil {
			return err
		}
	}
	result, err := c.Replay(ctx, request, func(row engine.ReplayRow) error { return a.printReplayRow(row, request.DryRun) })
	if a.json {
		return errors.Join(a.printJSON(map[string]engine.Replayed{"result": result}), err)
	}
	if err == nil || result.Planned > 0 {
		fmt.Fprintf(a.Err, "%d planned, %d seen, %d dead, %d waiting\n", result.Planned, result.Seen, result.Dead, result.Waiting)
	}
	return err
}

func (a *app) printReplayRow(row engine.ReplayRow, dryRun bool) error {
	if a.json {
		return a.printJSON(row)
	}
	what := row.Status
	switch {
	case row.Queued && dryRun:
		what = "would be sent (it is " + row.Status + ")"
	case row.Queued:
		what = "queued (it was " + row.Status + ")"
	case row.Note == "":
		what = "nothing to do: it is " + row.Status
	}
	return a.printf("%s  %s\n", row.ID, strings.TrimSpace(what+"  "+row.Note))
}

// confirm asks before more than a handful of events is sent.
func (a *app) confirm(ctx context.Context, c *api.Client, request engine.ReplayRequest) error {
	request.DryRun = true
	plan, err := c.Replay(ctx, request, func(engine.ReplayRow) error { return nil })
	if err != nil || plan.Planned <= askAbove {
		return err
	}
	if a.saysYes(fmt.Sprintf("send %d events to the receiver?", plan.Planned)) {
		return nil
	}
	return exit.Errorf(exit.Usage, "answer y, or use --yes", "not confirmed: nothing was sent")
}

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
