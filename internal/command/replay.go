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
	"backstop/internal/secret"
)

// askAbove is how many events are replayed without asking, on a terminal.
const askAbove = 20

// replayFlags are the flags of replay.
type replayFlags struct {
	since, until, secretFile string
	yes, runs                bool
	watch, cancel, resume    runNumber
	request                  engine.ReplayRequest
}

func (a *app) replayCommand() *cobra.Command {
	var flags replayFlags
	cmd := &cobra.Command{
		Use:   "replay [ID…]",
		Short: "Send events to the receiver now",
		Long: "Sends events to the receiver now and waits until each is sent or dead: the named ones, all dead\n" +
			"ones (--dead), all missed ones (--missed), or those of a range. A range alone means missed, replaying\n" +
			"and dead events; those that settle or wait for a source are left out, for their push may be in\n" +
			"flight. What is seen already is sent again only with --force, which reads it from the listing, as\n" +
			"--to does, which sends to another receiver and leaves the events as they are.\n\n" +
			"Each replay is a run with a number, which --runs lists. When the client goes away, what is queued is\n" +
			"sent all the same; a run with --force or --to stops, and --resume goes on with it.",
		Example: "  backstop replay --since 2d --event-type avatar_video.success\n" +
			"  backstop replay --dead --dry-run\n" +
			"  backstop replay --force --since 6h --yes\n" +
			"  backstop replay --since 1h --to https://staging.example.com/webhook --secret-file staging.secret",
	}
	flags.add(cmd)
	return a.withJSON(verb(cmd, func(ctx context.Context, args []string) error {
		flags.request.IDs = args
		if err := flags.read(); err != nil {
			return err
		}
		if a.bars() && !a.flags.verbose && a.flags.logLevel == "" {
			a.flags.logLevel = "warn" // the bar says the rest
		}
		if flags.runs || flags.watch+flags.cancel > 0 {
			return a.ask(ctx, engine.Existing, func(c *api.Client) error { return a.lookAtRuns(ctx, c, flags) })
		}
		return a.send(ctx, engine.Existing, func(c *api.Client) error { return a.replay(ctx, c, flags) })
	}))
}

func (f *replayFlags) add(cmd *cobra.Command) {
	flags, r := cmd.Flags(), &f.request
	flags.BoolVar(&r.Dead, "dead", false, "all dead events")
	flags.BoolVar(&r.Missed, "missed", false, "all missed events")
	flags.StringVar(&f.since, "since", "", "from this time or age on (inclusive)")
	flags.StringVar(&f.until, "until", "", "before this time or age (exclusive)")
	flags.StringSliceVar(&r.Types, "event-type", nil, "only these types (repeatable)")
	flags.StringVar(&r.Entity, "entity-id", "", "only this entity (a video id, a session id …)")
	flags.IntVar(&r.Limit, "limit", 0, "at most this many, the oldest ones (0: all)")
	flags.BoolVar(&r.Force, "force", false, "also what is seen, ignored or older than the baseline or the floor: sends it again")
	flags.StringVar(&r.To, "to", "", "send to this `URL` in the receiver's place, and leave the events as they are")
	flags.StringVar(&f.secretFile, "secret-file", "", "with --to: the secret that signs is in `FILE` (else unsigned)")
	flags.BoolVar(&r.DryRun, "dry-run", false, "only show what would be sent; changes nothing")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	flags.BoolVar(&f.runs, "runs", false, "list the runs")
	flags.Var(&f.watch, "watch", "follow run `N` until it ends")
	flags.Var(&f.cancel, "cancel", "take back what run `N` has not sent")
	flags.Var(&f.resume, "resume", "go on with run `N`, which was cancelled or stopped")
}

// read checks the flags against each other.
func (f *replayFlags) read() (err error) {
	r := &f.request
	r.Who = who()
	if f.secretFile != "" {
		if r.Secret, err = secret.File(f.secretFile).Value(); err != nil {
			return exit.Errorf(exit.Usage, "", "--secret-file: %w", err)
		}
	}
	if r.Since, r.Until, err = period(f.since, f.until); err != nil {
		return err
	}
	if n := f.aboutRuns(); n > 0 {
		chosen := len(r.IDs) > 0 || r.Dead || r.Missed || f.words() != "" || r.Force || r.DryRun
		if n > 1 || chosen || r.To != "" && f.resume == 0 {
			return exit.Errorf(exit.Usage, "use one alone; --resume takes --to and --secret-file too", "--runs, --watch, --cancel and --resume do not go with each other or with a selection")
		}
		return nil
	}
	if len(r.IDs) != 1 {
		r.What = f.words()
	}
	return r.Check()
}

func (f *replayFlags) aboutRuns() (n int) {
	for _, asked := range []bool{f.runs, f.watch > 0, f.cancel > 0, f.resume > 0} {
		if asked {
			n++
		}
	}
	return n
}

// words are the selection as it was written.
func (f *replayFlags) words() string {
	r := f.request
	var words []string
	add := func(when bool, format string, args ...any) {
		if when {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	add(len(r.IDs) > 1, "%d named events", len(r.IDs))
	add(r.Dead, "--dead")
	add(r.Missed, "--missed")
	add(f.since != "", "--since %s", f.since)
	add(f.until != "", "--until %s", f.until)
	for _, name := range r.Types {
		add(true, "--event-type %s", name)
	}
	add(r.Entity != "", "--entity-id %s", r.Entity)
	add(r.Limit > 0, "--limit %d", r.Limit)
	return strings.Join(words, " ")
}

// ranged reports whether what is chosen is not named.
func (f *replayFlags) ranged() bool { return len(f.request.IDs) == 0 }

// replay plans, asks where somebody is there to answer, and sends.
func (a *app) replay(ctx context.Context, c *api.Client, flags replayFlags) error {
	r := flags.request
	shown := a.newReplayShow(r)
	if flags.resume > 0 {
		shown.large = true
		result, err := c.ResumeRun(ctx, uint64(flags.resume), r, shown.row)
		return a.replayed(ctx, shown, result, err)
	}
	terminal := isTerminal(a.In)
	if r.Force && flags.ranged() && !r.DryRun && !flags.yes && !terminal {
		return exit.Errorf(exit.Usage, "look at it with --dry-run, and run it with --yes", "--force sends a whole range again, and nobody is there to agree")
	}
	if r.DryRun || flags.yes || !terminal || len(r.IDs) > 0 && len(r.IDs) <= askAbove {
		result, err := c.Replay(ctx, r, shown.row)
		return a.replayed(ctx, shown, result, err)
	}
	return a.askAndReplay(ctx, c, r, shown)
}

// askAndReplay shows a person the plan before anything is sent.
func (a *app) askAndReplay(ctx context.Context, c *api.Client, r engine.ReplayRequest, shown *replayShow) error {
	first, listed := r, r.Force || r.To != ""
	first.DryRun, first.PlanOnly = !listed, listed
	shown.quiet = true
	plan, err := c.Replay(ctx, first, shown.row)
	if err != nil || plan.Planned == 0 {
		return a.replayed(ctx, shown, plan, err)
	}
	shown.end()
	if plan.Planned > askAbove && !a.saysYes(ctx, fmt.Sprintf("send %s to %s?", plural(plan.Planned, "event"), shown.where())) {
		if listed { // an interrupt is a no, too: what was found does not lie about
			_, err = c.CancelRun(context.WithoutCancel(ctx), plan.Run, api.PauseRequest{Who: r.Who})
		}
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		return errors.Join(err, exit.Errorf(exit.Usage, "answer y, or use --yes", "not confirmed: nothing was sent"))
	}
	shown.quiet = false
	var result engine.Replayed
	if listed {
		result, err = c.ResumeRun(ctx, plan.Run, r, shown.row)
	} else {
		result, err = c.Replay(ctx, r, shown.row)
	}
	return a.replayed(ctx, shown, result, err)
}

// replayed prints what a replay came to.
func (a *app) replayed(ctx context.Context, shown *replayShow, result engine.Replayed, err error) error {
	shown.end()
	err = brokeOff(shown, err)
	ended := ctx.Err() != nil || exit.CodeOf(err) == exit.Interrupted // this process, or the daemon that sends
	switch run := max(result.Run, shown.run); {
	case ended && shown.looks:
		return interrupted{exit.Errorf(exit.Interrupted, "the run is as it was, and goes on without this", "interrupted")}
	case ended && run > 0:
		return a.leftBehind(run, shown.kind)
	}
	if a.json {
		return errors.Join(a.printJSON(map[string]engine.Replayed{"result": result}), err)
	}
	if s := result.Shadow; s != nil {
		if err := a.printf("%s\n", shadowText(*s)); err != nil {
			return err
		}
	}
	if err == nil && result.Planned == 0 && !shown.looks {
		fmt.Fprintln(a.Err, "nothing to send: "+shown.nothing())
		return nil
	}
	if err == nil || result.Planned > 0 {
		fmt.Fprintf(a.Err, "%d planned, %d seen, %d dead, %d waiting%s\n", result.Planned, result.Seen, result.Dead, result.Waiting, leftText(result.Left))
	}
	return err
}

func leftText(left int) string {
	if left == 0 {
		return ""
	}
	return fmt.Sprintf(", %d left", left)
}
