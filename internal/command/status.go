package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/notify"
)

func (a *app) statusCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "Tell how things stand, in words", Args: cobra.NoArgs}
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		return a.ask(ctx, engine.Existing, func(c *api.Client) error {
			status, err := c.Status(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(status)
			}
			return a.printf("%s", statusText(status, time.Now()))
		})
	}))
}

// statusText is a status for people: the verdict first, then what it rests on.
func statusText(s engine.Status, now time.Time) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s\n\n", s.Verdict)
	line("daemon", "%s", map[bool]string{true: "running, version " + s.Version, false: "not running; this is the state file"}[s.Daemon])
	line("mark", "%s", stamp(s.Mark))
	if s.Lag >= 0 {
		line("lag", "%s since the last complete walk began", (time.Duration(s.Lag) * time.Second))
	}
	if p := s.LastPass; p != nil {
		line("last pass", "%s at %s: %s, %d listed, %d new, %d missed", p.Kind, stamp(p.Start), plural(p.Pages, "page"), p.Listed, p.New, p.Missed)
	}
	line("events", "%s", countsText(s.Counts))
	if !s.OldestMissed.IsZero() {
		line("oldest", "missed since %s (%s)", stamp(s.OldestMissed), now.Sub(s.OldestMissed).Round(time.Second))
	}
	line("receiver", "%s", receiverText(s.Receiver))
	if pace := paceText(s.Receiver); pace != "" {
		line("pace", "%s", pace)
	}
	for _, source := range s.Sources {
		line("source", "%s: %s", sourceName(source), sourceText(source))
	}
	for _, one := range s.Backfills {
		line("backfill", "%d of %s, begun %s, %s", one.ID, one.Words, stamp(one.Begun), backfillText(one))
	}
	if s.Notices != nil {
		line("notices", "%s", noticesText(*s.Notices))
	}
	if s.Ping != nil {
		line("ping", "%s", pingText(*s.Ping))
	}
	for _, one := range s.Runs {
		line("run", "%d, %s, begun %s by %s, %s: %s", one.Run, one.Kind+" "+one.What, stamp(one.Begun), one.Who, one.Standing, runCounts(one))
	}
	if s.Daemon {
		line("next", "poll %s, sweep %s", stamp(s.NextPoll), stamp(s.NextSweep))
	}
	line("state", "%s, %d bytes", s.State.Path, s.State.Size)
	return b.String()
}

func noticesText(h notify.Health) string {
	text := "by " + strings.Join(h.Channels, " and ")
	switch {
	case h.Failing != "":
		text += fmt.Sprintf(", can't be delivered since %s: %s", stamp(h.FailingSince), h.Failing)
	case !h.LastAt.IsZero():
		text += ", last at " + stamp(h.LastAt)
	}
	if len(h.Open) > 0 {
		text += "; told, and not over: " + strings.Join(h.Open, ", ")
	}
	return text
}

func pingText(h notify.PingHealth) string {
	switch {
	case h.Failing != "":
		return fmt.Sprintf("not taken since %s: %s", stamp(h.FailingSince), h.Failing)
	case h.LastAt.IsZero():
		return "none yet in this process"
	}
	return "last at " + stamp(h.LastAt)
}

func sourceName(s engine.SourceStatus) string {
	if s.What == "" {
		return s.Name
	}
	return s.Name + " (" + s.What + ")"
}

func sourceText(s engine.SourceStatus) string {
	text := "has spoken"
	switch {
	case s.Failing != "":
		text = fmt.Sprintf("can't answer since %s: %s", stamp(s.FailingSince), s.Failing)
	case !s.Spoken:
		text = "has not spoken yet"
	case !s.LastAt.IsZero():
		text += ", last at " + stamp(s.LastAt)
	}
	if s.Notice != "" {
		text += "; " + s.Notice
	}
	return text
}

func countsText(counts map[string]int64) string {
	var parts []string
	for _, word := range []string{"settling", "listed", "missed", "replaying", "seen", "dead", "ignored"} {
		text := fmt.Sprintf("%d %s", counts[word], word)
		if word == "seen" && counts["baseline"] > 0 {
			text += fmt.Sprintf(" (%d of them baseline)", counts["baseline"])
		}
		if word == "missed" {
			text += ofThemWithheld(counts["withheld"])
		}
		parts = append(parts, text)
	}
	for _, word := range []string{"quarantined", "unlisted"} {
		if counts[word] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[word], word))
		}
	}
	return strings.Join(parts, ", ")
}

func backfillText(b engine.BackfillStatus) string {
	switch {
	case b.UnderWay:
		return "under way"
	case b.Confirmed:
		return "stopped: start it again, it goes on"
	}
	return "waits for somebody to agree: start it again"
}

func receiverText(r engine.ReceiverStatus) string {
	switch {
	case r.URL == "":
		return "none: watching only (set receiver.url)"
	case r.Paused != "":
		return fmt.Sprintf("%s, paused by %s at %s: %s", r.URL, r.PausedBy, stamp(r.PausedAt), r.Paused)
	case r.Misconfigured != "":
		return fmt.Sprintf("%s looks misconfigured: %s; next probe %s", r.URL, r.Misconfigured, stamp(r.NextProbe))
	case r.Failing != "":
		return fmt.Sprintf("%s fails since %s: %s; tried again at %s", r.URL, stamp(r.FailingSince), r.Failing, stamp(r.NextProbe))
	case r.LastAccepted.IsZero():
		return r.URL + ", nothing replayed yet"
	}
	return fmt.Sprintf("%s, last replay accepted at %s", r.URL, stamp(r.LastAccepted))
}

// paceText tells that less is sent than is configured, and why; "" when it is not.
func paceText(r engine.ReceiverStatus) string {
	var parts []string
	if r.Slower != "" {
		configured := fmt.Sprintf("of %.3g a second", r.Configured)
		if r.Configured == 0 {
			configured = "a second instead of without a limit"
		}
		parts = append(parts, fmt.Sprintf("sending %.3g %s since %s: %s", r.Rate, configured, stamp(r.SlowSince), r.Slower))
	}
	if !r.Rests.IsZero() {
		parts = append(parts, "the receiver asked to be let alone until "+stamp(r.Rests))
	}
	return strings.Join(parts, "; ")
}
