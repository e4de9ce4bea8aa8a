package command

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/state"
)

func (a *app) eventsCommand() *cobra.Command {
	var statuses []string
	var since, until string
	var filter state.Filter
	cmd := &cobra.Command{
		Use:   "events",
		Short: "List the events that are known, newest first",
		Args:  cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&statuses, "status", nil, "settling, listed, missed, replaying, seen, dead, ignored (repeat or separate by commas)")
	flags.StringSliceVar(&filter.Type, "event-type", nil, "only these types (repeatable)")
	flags.StringVar(&filter.Entity, "entity-id", "", "only this entity (a video id, a session id …)")
	flags.StringVar(&since, "since", "", "from this time or age on (inclusive)")
	flags.StringVar(&until, "until", "", "before this time or age (exclusive)")
	flags.IntVar(&filter.Limit, "limit", 0, "at most this many (0: all)")
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) (err error) {
		if filter.Since, filter.Until, err = period(since, until); err != nil {
			return err
		}
		if filter.Limit < 0 {
			return exit.Errorf(exit.Usage, "write 0 for all", "--limit is negative")
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

func (a *app) explainCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "explain ID", Short: "Tell all that is known of one event", Args: cobra.ExactArgs(1)}
	return a.withJSON(verb(cmd, func(ctx context.Context, args []string) error {
		return a.ask(ctx, engine.Existing, func(c *api.Client) error {
			event, err := c.Event(ctx, args[0])
			if err != nil {
				return err
			}
			return a.printExplained(event)
		})
	}))
}

func (a *app) printExplained(event engine.Event) error {
	if a.json {
		return a.printJSON(event)
	}
	var b strings.Builder
	line := func(name, value string) {
		if value != "" && value != "-" {
			fmt.Fprintf(&b, "%-14s %s\n", name, value)
		}
	}
	line("event", event.ID)
	line("type", event.Type)
	line("entity", event.Entity)
	line("created", stamp(event.CreatedAt))
	line("first listed", stamp(event.ListedAt))
	line("status", event.Status)
	line("reason", event.Reason)
	line("proof", event.Proof)
	line("since", stamp(event.ChangedAt))
	line("same fact as", event.Twin)
	line("next attempt", stamp(event.NextAt))
	line("held", event.Held)
	if event.Run > 0 {
		line("run", fmt.Sprintf("%d (`backstop replay --runs`)", event.Run))
	}
	for i, attempt := range event.Attempts {
		line(fmt.Sprintf("attempt %d", i+1), describe(attempt))
	}
	return a.printf("%s", b.String())
}

// describe puts an attempt on one line.
func describe(attempt engine.Attempt) string {
	outcome := fmt.Sprintf("HTTP %d", attempt.Status)
	switch {
	case attempt.Open:
		outcome = "no outcome known"
	case attempt.Status == 0:
		outcome = cmp.Or(attempt.Error, "no answer")
	case attempt.Error != "":
		outcome += ", " + attempt.Error
	}
	if !attempt.Open {
		outcome += " in " + attempt.Latency.Round(time.Microsecond).String()
	}
	return stamp(attempt.At) + "  " + outcome
}
