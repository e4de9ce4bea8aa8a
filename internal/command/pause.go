package command

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/state"
)

func (a *app) pauseCommand() *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use: "pause", Short: "Stop replaying; walks go on", Args: cobra.NoArgs,
		Long: "Stops replaying until `backstop resume`, also over a restart; walks go on. Where it is paused already,\n" +
			"a new reason replaces the old one, and the old one is told; without a new one the old one stays.",
	}
	cmd.Flags().StringVar(&why, "reason", "", "why, for status")
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		return a.ask(ctx, engine.Create, func(c *api.Client) error {
			answer, err := c.Pause(ctx, api.PauseRequest{Why: why, Who: who()})
			if err != nil {
				return err
			}
			text := "replaying is paused; `backstop resume` goes on"
			if answer.Was != nil {
				stands := "the new word stands"
				if why == "" {
					stands = "that reason stands"
				}
				text += "\nit was held already, " + heldText(*answer.Was) + "; " + stands
			}
			return a.print(pauseResult{answer.Paused, answer.Was}, text)
		})
	}))
}

// pauseResult is the JSON of pause and resume.
type pauseResult struct {
	Paused bool         `json:"paused"`
	Was    *engine.Hold `json:"was,omitempty"`
}

func (a *app) resumeCommand() *cobra.Command {
	var why string
	cmd := &cobra.Command{Use: "resume", Short: "Start replaying again", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&why, "reason", "", "why, for 'backstop events --acts'")
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		return a.ask(ctx, engine.Create, func(c *api.Client) error {
			answer, err := c.Resume(ctx, api.PauseRequest{Why: why, Who: who()})
			if err != nil {
				return err
			}
			return a.print(pauseResult{answer.Paused, answer.Was}, resumedText(answer.Was))
		})
	}))
}

// resumedText tells what was ended, and what that means.
func resumedText(was *engine.Hold) string {
	if was == nil {
		return "replaying goes on: it was not paused"
	}
	text := "replaying goes on\nit was held " + heldText(*was)
	switch {
	case was.Misconfigured:
		text += "; it is tried again at once"
	case was.Who == state.PausedByBackstop:
		text += "; it does not pause for that again"
	}
	return text
}

func heldText(h engine.Hold) string {
	who := h.Who
	if who == state.PausedByBackstop {
		who = "backstop itself"
	}
	return fmt.Sprintf("by %s since %s: %s", who, stamp(h.At), cmp.Or(h.Why, engine.NoReason))
}
