package command

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/state"
)

func (a *app) eventsCommand() *cobra.Command {
	var statuses []string
	var since, until, proof string
	var filter state.Filter
	var acts bool
	cmd := &cobra.Command{
		Use:   "events",
		Short: "List the events that are known, newest first",
		Long: "Lists the events that are known, newest first. With --acts it lists what persons did by hand instead:\n" +
			"when, what, to how many events, who, and why.",
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&statuses, "status", nil, "settling, listed, missed, replaying, seen, dead, ignored (repeat or separate by commas)")
	flags.StringSliceVar(&filter.Type, "event-type", nil, "only these types (repeatable)")
	flags.StringVar(&filter.Entity, "entity-id", "", "only this entity (a video id, a session id …)")
	flags.StringVar(&proof, "proof", "", "only events seen because of this: replay are those that backstop delivered; else query, tap, report, command, log, mirror, import, baseline")
	flags.StringVar(&since, "since", "", "from this time or age on (inclusive)")
	flags.StringVar(&until, "until", "", "before this time or age (exclusive)")
	flags.IntVar(&filter.Limit, "limit", 0, "at most this many (0: all)")
	flags.BoolVar(&acts, "acts", false, "list what persons did by hand instead (with --since, --until, --limit)")
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) (err error) {
		if acts {
			if err := onlyActs(cmd); err != nil {
				return err
			}
		}
		if filter.Since, filter.Until, err = period(since, until); err != nil {
			return err
		}
		if filter.Limit < 0 {
			return exit.Errorf(exit.Usage, "write 0 for all", "--limit is negative")
		}
		if acts {
			return a.listActs(ctx, state.ActFilter{Since: filter.Since, Until: filter.Until, Limit: filter.Limit})
		}
		if err := filter.Proof.UnmarshalText([]byte(proof)); err != nil {
			return exit.Wrap(exit.Usage, "see `backstop events --help`", fmt.Errorf("--proof: %w", err))
		}
		for _, word := range statuses {
			status, err := state.ParseStatus(word)
			if err != nil {
				return exit.Wrap(exit.Usage, "see `backstop events --help`", err)
			}
			filter.Status = append(filter.Status, status)
		}
		return a.ask(ctx, engine.Existing, func(c *api.Client) error { return c.Events(ctx, filter, a.printEvent) })
	}))
}

func (a *app) printEvent(event engine.Event) error {
	if a.json {
		return a.printJSON(event)
	}
	return a.printf("%-28s %-30s %-20s  %-9s %s\n", event.ID, cmp.Or(event.Type, "-"), stamp(event.CreatedAt), event.Status, event.Reason)
}
