package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/state"
)

// runNumber is a flag that names a run; 0: none.
type runNumber uint64

// Set reads the flag.
func (n *runNumber) Set(text string) error {
	read, err := strconv.ParseUint(text, 10, 64)
	if err != nil || read == 0 {
		return errors.New("a run has a number, from 1 on; `backstop replay --runs` lists them")
	}
	*n = runNumber(read)
	return nil
}

// String is the flag as its default is shown: not at all.
func (n *runNumber) String() string { return "" }

// Type stands in the help where the usage names no value.
func (n *runNumber) Type() string { return "N" }

// leftBehind says what becomes of a run whose client, or daemon, was interrupted.
func (a *app) leftBehind(run uint64, kind string) error {
	hint := fmt.Sprintf("what is queued is sent all the same, by the daemon, or by a `backstop reconcile` once it is due; `backstop replay --watch %d` follows it, --cancel %d takes it back", run, run)
	if stops(kind) {
		hint = goesOn(run, kind)
	}
	return interrupted{exit.Errorf(exit.Interrupted, hint, "interrupted in run %d", run)}
}

// stops reports whether a run of the kind ends with its client or daemon.
func stops(kind string) bool {
	return kind == string(state.RunForced) || kind == string(state.RunShadow)
}

func goesOn(run uint64, kind string) string {
	return "`" + engine.ResumeCommand(run, state.RunKind(kind)) + "` goes on with it"
}

// brokeOff says how to go on with a run whose daemon ended: what stops with it must
// not be begun anew, for that sends again what was sent.
func brokeOff(shown *replayShow, err error) error {
	if !errors.Is(err, api.ErrBrokeOff) || !stops(shown.kind) {
		return err
	}
	hint := "`backstop replay --runs` lists the run, and --resume N goes on with it; a new one would send again what was sent"
	if shown.run > 0 {
		hint = goesOn(shown.run, shown.kind) + "; a new one would send again what was sent"
	}
	return exit.Errorf(exit.Failed, hint, "the daemon ended meanwhile")
}

// lookAtRuns lists, follows or cancels runs.
func (a *app) lookAtRuns(ctx context.Context, c *api.Client, flags replayFlags) error {
	switch {
	case flags.watch > 0:
		shown := a.newReplayShow(engine.ReplayRequest{})
		shown.large, shown.looks = true, true
		result, err := c.WatchRun(ctx, uint64(flags.watch), shown.row)
		return a.replayed(ctx, shown, result, err)
	case flags.cancel > 0:
		run, err := c.CancelRun(ctx, uint64(flags.cancel), api.PauseRequest{Who: who()})
		if err != nil {
			return err
		}
		return a.print(run, fmt.Sprintf("run %d is cancelled: %d seen, %d dead, %d taken back, %d in flight", run.Run, run.Seen, run.Dead, run.Left, run.Waiting))
	}
	return c.Runs(ctx, a.printRun)
}

func (a *app) printRun(run engine.RunStatus) error {
	if a.json {
		return a.printJSON(run)
	}
	what := run.Kind + " " + run.What
	if run.To != "" {
		what += " to " + run.To
	}
	return a.printf("%4d  %s  %-12s %s, by %s: %s\n", run.Run, stamp(run.Begun), run.Standing, what, run.Who, runCounts(run))
}

func runCounts(run engine.RunStatus) string {
	text := fmt.Sprintf("%d planned, %d seen, %d dead, %d waiting", run.Planned, run.Seen, run.Dead, run.Waiting)
	if run.Ignored > 0 {
		text += fmt.Sprintf(", %d ignored", run.Ignored)
	}
	return text + leftText(int(run.Left))
}
