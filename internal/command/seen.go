package command

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/internal/heygen"
)

// importBite is how many bytes of records are sent in one request.
const importBite = 1 << 20

func (a *app) seenCommand() *cobra.Command {
	return group("seen", "Tell or ask what the receiver has",
		a.seenAddCommand(), a.seenImportCommand(), a.seenExportCommand(), a.seenForgetCommand())
}

func (a *app) seenAddCommand() *cobra.Command {
	by := api.ImportRequest{Add: true}
	cmd := &cobra.Command{Use: "add ID…", Short: "Record that the receiver has these events", Args: cobra.MinimumNArgs(1)}
	reasonFlag(cmd, &by.Why)
	return a.withJSON(verb(cmd, func(ctx context.Context, args []string) error {
		var lines bytes.Buffer
		for i, id := range args {
			if !heygen.PrintableID(id) {
				return exit.Errorf(exit.Usage, "an id is 1 to 512 printable ASCII bytes; nothing was recorded", "argument %d is no event id", i+1)
			}
			line, err := idLine(id)
			if err != nil {
				return err
			}
			lines.Write(line)
		}
		return a.importSeen(ctx, &lines, "argument", by)
	}))
}

// idLine is the JSON line of a bare id.
func idLine(id string) ([]byte, error) {
	encoded, err := json.Marshal(api.ImportLine{ID: id})
	return append(encoded, '\n'), err
}

func (a *app) seenImportCommand() *cobra.Command {
	by := api.ImportRequest{}
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Record what the receiver has, from a file of ids or JSON lines (- for stdin)",
		Args:  cobra.ExactArgs(1),
	}
	reasonFlag(cmd, &by.Why)
	return a.withJSON(verb(cmd, func(ctx context.Context, args []string) error {
		if args[0] == "-" {
			return a.importSeen(ctx, a.In, "line", by)
		}
		file, err := os.Open(args[0])
		if err != nil {
			return exit.Wrap(exit.Failed, "check the path", err)
		}
		defer file.Close()
		return a.importSeen(ctx, file, "line", by)
	}))
}

// reasonFlag is --reason of a verb whose act is told of by events --acts.
func reasonFlag(cmd *cobra.Command, why *string) {
	cmd.Flags().StringVar(why, "reason", "", "why, for 'backstop events --acts'")
}

// importSeen reads ids or JSON lines and sends them in bites, which are one act.
// A line that can't be read ends the import; the bites before it stay recorded.
func (a *app) importSeen(ctx context.Context, from io.Reader, noun string, by api.ImportRequest) error {
	by.Who = who()
	return a.ask(ctx, engine.Create, func(c *api.Client) error {
		total := importTotal{}
		err := eachBite(from, noun, func(bite []byte, firstLine int) error {
			done, err := c.Import(ctx, bite, by)
			total.Recorded += done.Recorded
			total.Unmatchable += done.Unmatchable
			by.Act = done.Act
			if err != nil {
				return fmt.Errorf("from %s %d on: %w", noun, firstLine, err)
			}
			return nil
		})
		return errors.Join(a.printImported(total), err)
	})
}

type importTotal struct {
	Recorded    int `json:"recorded"`
	Unmatchable int `json:"unmatchable,omitempty"`
}

func (a *app) printImported(total importTotal) error {
	if a.json {
		return a.printJSON(total)
	}
	if err := a.printf("%d recorded\n", total.Recorded); err != nil || total.Unmatchable == 0 {
		return err
	}
	return a.printf("%d without an id name no entity, so they account for nothing\n", total.Unmatchable)
}

// eachBite turns lines into JSON lines, a bare id into an object, and gives them
// on in bites.
func eachBite(from io.Reader, noun string, send func(bite []byte, firstLine int) error) error {
	scanner := bufio.NewScanner(from)
	scanner.Buffer(nil, 8<<20)
	var bite bytes.Buffer
	first, number := 1, 0
	flush := func() error {
		if bite.Len() == 0 {
			return nil
		}
		err := send(bite.Bytes(), first)
		bite.Reset()
		first = number
		return err
	}
	for scanner.Scan() {
		number++
		line, err := seenLine(scanner.Bytes())
		if err != nil {
			return exit.Errorf(exit.Usage, "correct it and import again; known records do no harm", "%s %d: %w", noun, number, err)
		}
		if bite.Len() > 0 && bite.Len()+len(line) > importBite {
			if err := flush(); err != nil {
				return err
			}
		}
		bite.Write(line)
	}
	if err := scanner.Err(); err != nil {
		return exit.Errorf(exit.Failed, "", "%s %d: %w", noun, number+1, err)
	}
	return flush()
}

// seenLine gives the JSON line of one line of input; nothing for an empty one.
func seenLine(line []byte) ([]byte, error) {
	line = bytes.TrimSpace(line)
	switch {
	case len(line) == 0:
		return nil, nil
	case line[0] == '[' || line[0] == '{':
		if !json.Valid(line) {
			return nil, errors.New("it is no JSON")
		}
		return append(bytes.Clone(line), '\n'), nil
	}
	return idLine(string(line))
}

func (a *app) seenExportCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "export", Short: "Print what the receiver has as JSON lines, for import", Args: cobra.NoArgs}
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		return a.ask(ctx, engine.Existing, func(c *api.Client) error {
			return c.Export(ctx, func(line api.SeenLine) error { return a.printJSON(line) })
		})
	}))
}

func (a *app) seenForgetCommand() *cobra.Command {
	request := api.ForgetRequest{}
	cmd := &cobra.Command{
		Use:   "forget ID…",
		Short: "Take back that the receiver has these events",
		Long:  "Takes back that the receiver has these events. One that a walk lists again is judged again.",
		Args:  cobra.MinimumNArgs(1),
	}
	reasonFlag(cmd, &request.Why)
	return a.withJSON(verb(cmd, func(ctx context.Context, args []string) error {
		request.IDs, request.Who = args, who()
		return a.ask(ctx, engine.Existing, func(c *api.Client) error {
			found, err := c.Forget(ctx, request)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string][]string{"forgotten": found})
			}
			return a.printf("%d of %s forgotten\n", len(found), plural(len(args), "id"))
		})
	}))
}
