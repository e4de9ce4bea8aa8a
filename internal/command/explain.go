package command

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/state"
)

const (
	explainName = 14  // columns for what a line is about
	explainWide = 100 // columns of a line of text that others wrote
)

func (a *app) explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain ID", Short: "Tell all that is known of one event", Args: cobra.ExactArgs(1),
		Long: "Tells all that is known of one event: the verdict and why, the proof, what persons did to it, and every\n" +
			"attempt to send it: when, what was answered and how it begins, whether it counts, and what was done to\n" +
			"the event before. What a receiver answers is made printable; secrets and the queries of URLs are left out.",
	}
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
			fmt.Fprintf(&b, "%-*s %s\n", explainName, name, value)
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
	if event.Status == state.Dead.String() {
		line("to do", fmt.Sprintf("`backstop replay %s` sends it again, `backstop ignore %s` gives it up", event.ID, event.ID))
	}
	if event.Run > 0 {
		line("run", fmt.Sprintf("%d (`backstop replay --runs`)", event.Run))
	}
	for _, act := range event.Acts {
		line("by hand", actText(act))
	}
	explainAttempts(event, line)
	return a.printf("%s", b.String())
}

func explainAttempts(event engine.Event, line func(name, value string)) {
	number := 0
	for _, attempt := range event.Attempts {
		if attempt.Number > number+1 && event.Lost > 0 {
			line("", plural(event.Lost, "attempt")+" between are no longer kept")
		}
		number = attempt.Number
		line(fmt.Sprintf("attempt %d", number), describe(attempt)+uncounted(event, attempt))
		line("", indented("note: ", attempt.Note))
		line("", indented("answer: ", attempt.Answer))
	}
}

// describe puts an attempt on one line.
func describe(attempt engine.Attempt) string {
	outcome := fmt.Sprintf("HTTP %d", attempt.Status)
	switch {
	case attempt.Open:
		return stamp(attempt.At) + "  no outcome known"
	case attempt.Status == 0:
		outcome = cmp.Or(attempt.Error, "no answer")
	case attempt.Error != "":
		outcome += ", " + attempt.Error
	}
	outcome += " in " + attempt.Latency.Round(time.Microsecond).String()
	switch {
	case attempt.Counted:
		outcome += ", counted"
	}
	if attempt.RetryAfter > 0 {
		outcome += ", asked to wait " + (time.Duration(attempt.RetryAfter * float64(time.Second))).Round(time.Second).String()
	}
	return stamp(attempt.At) + "  " + outcome
}

// uncounted says that a failed attempt does not count, and why where that is known;
// "" where it does.
func uncounted(event engine.Event, attempt engine.Attempt) string {
	if attempt.Open || attempt.Counted || attempt.Status/100 == 2 {
		return ""
	}
	// A replay of what is dead begins the count anew: then nobody can tell.
	byHand := func(act engine.Act) bool { return act.At.After(attempt.At) && strings.HasPrefix(act.What, "replay") }
	why := "no other event was taken meanwhile"
	switch refused := attempt.Status/100 == 4; {
	case slices.ContainsFunc(event.Acts, byHand):
		return ", not counted"
	case attempt.Status == http.StatusRequestTimeout || attempt.Status == http.StatusTooEarly || attempt.Status == http.StatusTooManyRequests:
	case refused:
		why = "the receiver looked misconfigured"
	}
	return ", not counted: " + why
}

// indented puts a text of others under the line that it belongs to, in columns
// of its own; "" where there is none.
func indented(name, text string) string {
	if text == "" {
		return ""
	}
	margin := explainName + 1 + len(name)
	return name + strings.Join(wrapped(text, explainWide-margin), "\n"+strings.Repeat(" ", margin))
}

// wrapped breaks a text of one line at its spaces, and words that are wider than
// a line where that ends.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		runes := []rune(word)
		for len(runes) > width {
			lines = append(lines, string(runes[:width]))
			runes = runes[width:]
		}
		line = string(runes)
	}
	return append(lines, line)
}
