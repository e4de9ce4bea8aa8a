package command

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/exit"
)

func (a *app) reconcileCommand() *cobra.Command {
	var request engine.ReconcileRequest
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Make one pass: walk, judge, replay what is due",
		Long: "Makes one pass and exits: for timers and cron jobs. With --wait it ends when nothing is missed or\n" +
			"replaying, or when replaying stands still (exit 5), or after --timeout (exit 4). It does not wait\n" +
			"for events to settle.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&request.Sweep, "sweep", false, "use the long lookback")
	cmd.Flags().BoolVar(&request.Wait, "wait", false, "wait until nothing is missed or replaying")
	cmd.Flags().DurationVar(&request.Timeout, "timeout", 0, "how long to wait at most (0: for ever)")
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		if request.Timeout < 0 || (request.Timeout > 0 && !request.Wait) {
			return exit.Errorf(exit.Usage, "write --wait --timeout 5m", "--timeout is a positive time for --wait")
		}
		return a.send(ctx, engine.Create, func(c *api.Client) error {
			result, err := c.Reconcile(ctx, request)
			if result.Pass.Start.IsZero() {
				return err
			}
			return errors.Join(a.printReconciled(result), err)
		})
	}))
}

func (a *app) printReconciled(r engine.Reconciled) error {
	if a.json {
		return a.printJSON(r)
	}
	complete := "complete"
	if !r.Pass.Complete {
		complete = "incomplete"
	}
	err := a.printf("%s %s in %s: %s, %d listed, %d new\n", r.Pass.Kind, complete,
		r.Pass.End.Sub(r.Pass.Start).Round(time.Millisecond), plural(r.Pass.Pages, "page"), r.Pass.Listed, r.Pass.New)
	if err != nil {
		return err
	}
	return a.printf("%d replayed, %d still missed%s, %d dead, %d settling%s\n",
		r.Replayed, r.Missed+r.Replaying, ofThemWithheld(r.Withheld), r.Dead, r.Settling, leftListed(r.Listed))
}
