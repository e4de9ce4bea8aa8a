package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/exit"
)

// backfillFlags are the flags of backfill.
type backfillFlags struct {
	since, until string
	all, yes     bool
	request      engine.BackfillRequest
}

func (a *app) backfillCommand() *cobra.Command {
	var flags backfillFlags
	cmd := &cobra.Command{
		Use:   "backfill",
		Short: "Read history and send what was missed of it",
		Long: "Walks the listing back to --since, or to its end with --all, prints what was missed, asks, and sends\n" +
			"it, oldest first, beside live events and without delaying them. It judges what is older than the\n" +
			"baseline, too. Stopped at any time, it goes on where it was when it is started again.",
		Args: cobra.NoArgs,
	}
	flags.add(cmd)
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		if err := flags.read(cmd.Flags().Changed("rate")); err != nil {
			return err
		}
		if a.bars() && !a.flags.verbose && a.flags.logLevel == "" {
			a.flags.logLevel = "warn" // the bar says the rest
		}
		need := engine.Create
		if flags.request.DryRun {
			need = engine.Optional
		}
		return a.send(ctx, need, func(c *api.Client) error { return a.backfill(ctx, c, flags) })
	}))
}

func (f *backfillFlags) add(cmd *cobra.Command) {
	flags, r := cmd.Flags(), &f.request
	flags.StringVar(&f.since, "since", "", "from this time or age on (inclusive)")
	flags.BoolVar(&f.all, "all", false, "everything that HeyGen lists")
	flags.StringVar(&f.until, "until", "", "before this time or age (exclusive); default: what has settled now")
	flags.StringSliceVar(&r.Types, "event-type", nil, "only these types (repeatable)")
	flags.StringVar(&r.Entity, "entity-id", "", "only this entity (a video id, a session id …)")
	flags.BoolVar(&r.MarkOnly, "mark-only", false, "record all of it as seen, and send nothing")
	flags.BoolVar(&r.DryRun, "dry-run", false, "only show what would be sent; writes nothing")
	flags.Float64Var(&r.Rate, "rate", 0, "replays a second, at most replay.rate (0: that)")
	flags.IntVar(&r.Parallel, "parallel", 1, "how many of the named types are walked at once")
	flags.BoolVar(&r.Force, "force", false, "also what is older than the floor: it may have been seen, nobody knows any more")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
}

// read checks the flags against each other.
func (f *backfillFlags) read(rate bool) (err error) {
	r := &f.request
	switch {
	case f.all == (f.since != ""):
		return exit.Errorf(exit.Usage, "write --since 30d for a part of history, or --all for all of it", "backfill takes one of --since and --all")
	case rate && (!(r.Rate > 0) || math.IsInf(r.Rate, 0)):
		return exit.Errorf(exit.Usage, "write --rate 2 for two a second", "--rate is a positive number")
	case r.Parallel < 1:
		return exit.Errorf(exit.Usage, "write --parallel 4", "--parallel is a positive number")
	case r.Parallel > 1 && len(r.Types) == 0:
		return exit.Errorf(exit.Usage, "name them with --event-type: the set of types is open, and only the whole listing has them all",
			"--parallel walks types side by side, and none is named")
	}
	r.Words = f.words()
	slices.Sort(r.Types)
	r.Types = slices.Compact(r.Types)
	r.Who = who()
	if r.Since, r.Until, err = period(f.since, f.until); err == nil && !r.Since.Before(time.Now()) {
		err = exit.Errorf(exit.Usage, "begin in the past, as in --since 30d", "--since %s is no history", stamp(r.Since))
	}
	return err
}

// words is the range as it was written. A lower and an upper end of the same
// words are different histories.
func (f *backfillFlags) words() string {
	words := cmp.Or(f.since, "all")
	if f.until != "" {
		words += " until " + f.until
	}
	return words
}

// backfill plans, asks and sends. Both halves are one request that goes on
// where the other stopped, so that an answer may take its time.
func (a *app) backfill(ctx context.Context, c *api.Client, flags backfillFlags) error {
	shown := a.newProgress()
	found, err := c.Backfill(ctx, flags.request, shown.show)
	shown.end()
	if err != nil {
		return errors.Join(a.printFound(found.Plan), err)
	}
	if err := a.printPlan(found.Plan, flags.request); err != nil || flags.request.DryRun {
		return err
	}
	if err := a.agree(ctx, found.Plan, flags); err != nil {
		return err
	}
	flags.request.Send = true
	shown = a.newProgress()
	result, err := c.Backfill(ctx, flags.request, shown.show)
	shown.end()
	return errors.Join(a.printBackfilled(result), err)
}

// agree asks a person, unless there is nothing to send or it was agreed to
// already.
func (a *app) agree(ctx context.Context, plan engine.BackfillPlan, flags backfillFlags) error {
	if flags.yes || plan.Confirmed || plan.Missed+plan.Settling == 0 {
		return nil
	}
	if !isTerminal(a.In) {
		return exit.Errorf(exit.Usage, "run it again with --yes: it goes on from here", "nobody is there to agree: nothing was sent")
	}
	question := fmt.Sprintf("send %s to the receiver?", plural(plan.Missed, "event"))
	if plan.MarkOnly {
		question = fmt.Sprintf("record %s as seen?", plural(plan.Missed, "event"))
	}
	switch {
	case a.saysYes(ctx, question):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return exit.Errorf(exit.Usage, "run it again: it goes on from here", "not agreed: nothing was sent")
}

// printFound tells how far a walk came that did not get to its end.
func (a *app) printFound(p engine.BackfillPlan) error {
	if p.Until.IsZero() {
		return nil
	}
	if a.json {
		return a.printJSON(map[string]engine.BackfillPlan{"found": p})
	}
	fmt.Fprintf(a.Err, "%s read, %s so far\n", plural(p.Pages, "page"), plural(p.Events, "event"))
	return nil
}

func (a *app) printPlan(p engine.BackfillPlan, r engine.BackfillRequest) error {
	if a.json {
		return a.printJSON(map[string]engine.BackfillPlan{"plan": p})
	}
	since := "the very beginning"
	if !p.Since.IsZero() {
		since = stamp(p.Since)
	}
	err := a.printf("history from %s to %s: %s\n%d seen, %d missed, %d in hand already, %d ignored, %d unreadable\n",
		since, stamp(p.Until), plural(p.Events, "event"), p.Seen, p.Missed, p.InHand, p.Ignored, p.Bad)
	if err != nil {
		return err
	}
	t := newTable(a.Out)
	for _, name := range slices.Sorted(maps.Keys(p.Types)) {
		t.row("  "+a.cut(name), fmt.Sprint(p.Types[name]))
	}
	if err := t.flush(); err != nil || p.Missed == 0 || r.MarkOnly {
		return err
	}
	if p.Unpaired {
		if err := a.printf("unpaired: nobody ever said what the receiver has, so all of it counts as missed; `backstop seen import` tells\n"); err != nil {
			return err
		}
	}
	if p.Lost != nil {
		if err := a.printf("what the receiver got until %s was lost with the state, and counts as missed; `backstop seen import` tells\n", stamp(p.Lost.To)); err != nil {
			return err
		}
	}
	return a.printf("%s\n%s\n", expired(p), duration(p))
}

// expired tells of the links in what is missed.
func expired(p engine.BackfillPlan) string {
	switch p.Links {
	case 0:
		return "no pre-signed link has expired in them"
	case 1:
		return "1 pre-signed link has expired in them" + freshOrNot(p.Stale)
	}
	return fmt.Sprintf("%d pre-signed links have expired in them%s", p.Links, freshOrNot(p.Stale))
}

// duration tells how long sending takes.
func duration(p engine.BackfillPlan) string {
	if p.Seconds == 0 {
		return "sent as fast as the receiver takes them"
	}
	took := time.Duration(p.Seconds * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("sending takes %s at %.3g a second", took, float64(p.Missed)/p.Seconds)
}

func (a *app) printBackfilled(r engine.Backfilled) error {
	if r.Plan.Until.IsZero() {
		return nil
	}
	if a.json {
		return a.printJSON(map[string]engine.Backfilled{"result": r})
	}
	if r.Plan.MarkOnly {
		return a.printf("%d recorded as seen, %d left\n", r.Proven, r.Left)
	}
	return a.printf("%d sent, %d dead, %d left; %d needed no replay\n", r.Seen, r.Dead, r.Left, r.Proven)
}
