package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"backstop/internal/api"
	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/state"
)

func (a *app) stateBackupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the state to a file, also while the daemon runs (- for stdout)",
		Long: "Copies the state as of now to FILE, also while the daemon runs. The copy is checked before it takes\n" +
			"FILE's place; when anything fails, what was there stays. With - it goes to stdout unchecked: look\n" +
			"at it with `backstop state check FILE` once it is a file.",
		Args: cobra.ExactArgs(1),
	}
	return a.withJSON(verb(cmd, func(ctx context.Context, args []string) error {
		if args[0] == "-" {
			return a.backupOut(ctx)
		}
		path, err := filepath.Abs(args[0])
		if err != nil {
			return exit.Wrap(exit.Failed, "name FILE by its full path", err)
		}
		return a.ask(ctx, engine.Existing, func(c *api.Client) error { return a.backup(ctx, c, path) })
	}))
}

// backupOut writes a copy to stdout, which can't be taken back.
func (a *app) backupOut(ctx context.Context) error {
	if isTerminal(a.Out) {
		return exit.Errorf(exit.Usage, "name a FILE, or send stdout to one", "a copy of the state is nothing for a terminal")
	}
	if a.json {
		return exit.Errorf(exit.Usage, "name a FILE, or leave out --json", "stdout can't hold the copy and --json")
	}
	return a.ask(ctx, engine.Existing, func(c *api.Client) error {
		_, err := c.StateBackup(ctx, a.Out)
		return err
	})
}

func (a *app) backup(ctx context.Context, c *api.Client, path string) error {
	own, err := c.StatePath(ctx)
	if err != nil {
		return err
	}
	if err := backupMayBe(path, own); err != nil {
		return err
	}
	var b api.Backup
	fill := func(w io.Writer) (err error) {
		b, err = c.StateBackup(ctx, w)
		return err
	}
	if err := state.SaveCopy(ctx, path, fill, looksLikeACopy); err != nil {
		return exit.Wrap(exit.Failed, "", err)
	}
	return a.print(backedUp{path, b}, fmt.Sprintf("%s: %d bytes, generation %d", path, b.Size, b.Generation))
}

type backedUp struct {
	Path string `json:"path"` // absolute
	api.Backup
}

// looksLikeACopy says of a copy that is not sound what it is: the state itself is
// damaged, for the copy came whole.
func looksLikeACopy(ctx context.Context, draft string) error {
	err := looksSound(flagCopy)(ctx, draft)
	if err == nil || ctx.Err() != nil || errors.Is(err, errNoLook) {
		return err
	}
	return exit.Errorf(exit.Failed, "stop the daemon if one runs, and look at the state with `backstop state check`",
		"the copy came whole and is not sound, so the state itself is damaged; the copy was thrown away")
}

// backupMayBe refuses a path that holds what must not be replaced by a copy.
func backupMayBe(path, own string) error {
	for _, used := range []string{own, own + ".side"} {
		if path == used || sameFile(path, used) {
			return exit.Errorf(exit.Usage, "name another file", "%s is what is to be copied", path)
		}
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return exit.Wrap(exit.Failed, "name a file in a directory that can be read", err)
	case info.IsDir():
		return exit.Errorf(exit.Usage, "name a file in it", "%s is a directory", path)
	case !info.Mode().IsRegular():
		return exit.Errorf(exit.Usage, "name the file itself", "%s is not a regular file", path)
	}
	return nil
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}
