package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/exit"
)

func (a *app) diffCommand() *cobra.Command {
	var since, until string
	var request engine.DiffRequest
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Show what is missed now; writes nothing",
		Long: "Walks the listing and shows every event's verdict, from the same predicate as reconcile:\n" +
			"  + missed   ~ settling   = seen   ! dead   ? listed (a source could not answer)   - seen but not listed (with --all)\n" +
			"It writes nothing, moves nothing, and needs no state file. Exit 5 when something is missed.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&since, "since", "", "from this time or age on (inclusive); default: the mark less the lookback")
	cmd.Flags().StringVar(&until, "until", "", "before this time or age (exclusive)")
	cmd.Flags().BoolVar(&request.All, "all", false, "also show what is seen but not listed")
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) (err error) {
		if request.Since, request.Until, err = period(since, until); err != nil {
			return err
		}
		return a.send(ctx, engine.Optional, func(c *api.Client) error {
			summary, err := c.Diff(ctx, request, a.printDiffRow)
			return errors.Join(a.printDiffSummary(summary, err), err)
		})
	}))
}

// period reads --since and --until against one now.
func period(since, until string) (from, to time.Time, err error) {
	now := time.Now()
	if from, err = when(since, now); err != nil {
		return from, to, exit.Errorf(exit.Usage, "", "--since: %w", err)
	}
	if to, err = when(until, now); err != nil {
		return from, to, exit.Errorf(exit.Usage, "", "--until: %w", err)
	}
	if !to.IsZero() && !from.Before(to) {
		return from, to, exit.Errorf(exit.Usage, "swap them", "--since %s is not before --until %s", stamp(from), stamp(to))
	}
	return from, to, nil
}

func (a *app) printDiffRow(row engine.DiffRow) error {
	if a.json {
		return a.printJSON(row)
	}
	links := ""
	if row.Links > 0 {
		links = fmt.Sprintf("  (%s expired)", plural(row.Links, "link"))
	}
	return a.printf("%s %-28s %-30s %s  %s%s\n", row.Sign, row.ID, row.Type, stamp(row.CreatedAt), row.Reason, links)
}

// leftListed tells how many events wait for a source, where any do.
func leftListed(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d listed: a source could not answer", n)
}

// printDiffSummary closes a diff for people, on stderr: the rows are the data.
func (a *app) printDiffSummary(s engine.DiffSummary, err error) error {
	if a.json || a.flags.quiet || err != nil && exit.CodeOf(err) != exit.Differences && s.Listed == 0 {
		return nil
	}
	fmt.Fprintf(a.Err, "%d missed, %d settling, %d seen, %d dead%s\n", s.Missed, s.Settling, s.Seen, s.Dead, leftListed(int64(s.Listed)))
	if s.Links > 0 {
		fmt.Fprintf(a.Err, "%d of the missed hold links that have expired%s\n", s.Links, freshOrNot(s.Stale))
	}
	if s == (engine.DiffSummary{Unpaired: s.Unpaired}) {
		fmt.Fprintln(a.Err, "nothing is listed in this range; `backstop diff --since 48h` looks further back")
	}
	if s.Unpaired && s.Missed > 0 {
		fmt.Fprintln(a.Err, "unpaired: nobody has told backstop yet what the receiver has, so all that is listed looks missed")
	}
	return nil
}

// freshOrNot says what becomes of links that have expired.
func freshOrNot(stale bool) string {
	if stale {
		return ", and are sent so: replay.refresh_urls is false"
	}
	return "; HeyGen is asked for fresh ones before they are sent"
}
