package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/exit"
)

func (a *app) stateRestoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE|-",
		Short: "Put a copy of the state in the place of a damaged, lost or rolled back one",
		Long: "Puts a copy of the state in its place, and accepts that what came after the copy is lost. FILE stays as\n" +
			"it is, and may be the state file itself, where an older copy was refused. What was there is kept beside\n" +
			"it; - reads the copy from stdin. Events of the lost time that nothing proves are missed, but withheld: none of them is sent before\n" +
			"you say replay or ignore. The daemon must be stopped.",
		Args: cobra.ExactArgs(1),
	}
	return a.withJSON(verb(cmd, func(ctx context.Context, args []string) error {
		cfg, err := a.load("state", "control", "log", "heygen.base_url")
		if err != nil {
			return err
		}
		logger, _, err := a.logger(cfg)
		if err != nil {
			return err
		}
		if daemon := daemonOf(ctx, cfg); daemon != nil {
			_ = daemon.Close() // it has answered
			return exit.Errorf(exit.Held, "stop it first, and start it again after", "the daemon uses the state")
		}
		done, err := engine.RestoreState(ctx, cfg, logger, looksSound(flagCopy), args[0], a.In, api.Self(who()))
		if err != nil {
			return err
		}
		return a.print(done, restoredText(done))
	}))
}

// restoredText says what was done, what was lost and what to do now.
func restoredText(r engine.Restored) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is restored from %s", r.Path, r.From)
	if len(r.Aside) > 0 {
		fmt.Fprintf(&b, "; what was there is kept as %s", strings.Join(r.Aside, " and "))
	}
	if r.LostTo.IsZero() {
		b.WriteString("\nit is the newest copy: nothing is lost")
		return b.String()
	}
	since := "all that came after the copy"
	if !r.LostFrom.IsZero() {
		since = "what came between " + stamp(r.LostFrom) + " and " + stamp(r.LostTo)
	}
	fmt.Fprintf(&b, "\nlost is %s: its events are read again from the listing and withheld, as is what the copy was to send (%s)\n", since, plural(r.Withheld, "event"))
	if !r.Begun {
		b.WriteString("the copy is from before the first run: the next one sets the baseline, and does not judge what is older\n")
	}
	b.WriteString("now: `backstop seen import FILE` with the ids that the receiver has, start backstop, then\n" +
		"`backstop events --status missed`, and `backstop replay --missed` or `backstop ignore ID`")
	return b.String()
}

// ofThemWithheld is put behind a number of missed events.
func ofThemWithheld(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d of them withheld)", n)
}
