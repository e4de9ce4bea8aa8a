package command

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"backstop/internal/exit"
	"backstop/internal/heygen"
)

// printJSON prints one JSON object on one line.
func (a *app) printJSON(v any) error {
	encoder := json.NewEncoder(a.Out)
	encoder.SetEscapeHTML(false)
	return written(encoder.Encode(v))
}

// print prints a result in either form.
func (a *app) print(object any, text string) error {
	if a.json {
		return a.printJSON(object)
	}
	return a.printf("%s\n", text)
}

// printf prints data for people.
func (a *app) printf(format string, args ...any) error {
	_, err := fmt.Fprint(a.Out, a.cut(fmt.Sprintf(format, args...)))
	return written(err)
}

// cut takes the queries of URLs out of what is printed, for they carry
// signatures, unless --show-urls asks for them.
func (a *app) cut(text string) string {
	if a.flags.showURLs {
		return text
	}
	return heygen.CutURLs(text)
}

// written says that the output could not be written, for a full disk behind
// stdout must not look like success.
func written(err error) error {
	return exit.Wrap(exit.Failed, "check where stdout goes", err)
}

// table aligns columns; a row is its cells.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer) *table {
	return &table{w: tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)}
}

func (t *table) row(cells ...string) {
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t *table) flush() error { return written(t.w.Flush()) }

// stamp shows a time, "-" for none.
func stamp(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}

// plural gives "1 event" and "2 events".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// saysYes asks a person; whatever is not a yes is a no, and so is an interrupt:
// the signal does not end the reading, which ends with the process.
func (a *app) saysYes(ctx context.Context, question string) bool {
	fmt.Fprint(a.Err, question+" [y/N] ")
	answers := make(chan string, 1)
	go func() {
		answer, _ := bufio.NewReader(a.In).ReadString('\n')
		answers <- answer
	}()
	select {
	case answer := <-answers:
		return strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
	case <-ctx.Done():
		fmt.Fprintln(a.Err)
		return false
	}
}
