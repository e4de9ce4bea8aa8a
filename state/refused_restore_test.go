package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func TestARestoreRefuses(t *testing.T) {
	broken := errors.New("exit status 2")
	cases := map[string]struct {
		arrange func(t *testing.T, y *past)
		want    error
		words   []string
	}{
		"a state in use":       {func(t *testing.T, y *past) { mustOpen(t, y.o) }, ErrHeld, []string{"stop it first"}},
		"a copy in use":        {func(t *testing.T, y *past) { mustOpen(t, Options{Path: y.copy}) }, ErrHeld, []string{"copy.db", "stop it first"}},
		"no copy":              {func(t *testing.T, y *past) { mustDo(t, os.Remove(y.copy)) }, os.ErrNotExist, []string{"copy.db", "name the file"}},
		"a directory":          {func(t *testing.T, y *past) { y.copy = filepath.Dir(y.copy) }, nil, []string{"not a regular file"}},
		"an empty copy":        {func(t *testing.T, y *past) { replaceFile(t, y.copy, nil) }, ErrDamaged, []string{"copy.db", "it is empty"}},
		"a copy cut off":       {func(t *testing.T, y *past) { mustDo(t, os.Truncate(y.copy, 9000)) }, ErrDamaged, []string{"copy.db", "cut off"}},
		"another program's":    {func(t *testing.T, y *past) { replaceFile(t, y.copy, otherFile(t)) }, ErrDamaged, []string{"copy.db", "another program"}},
		"another API":          {func(_ *testing.T, y *past) { y.o.APIBase = "https://other.example.com" }, ErrForeign, []string{"copy.db", base}},
		"a damaged page":       {func(_ *testing.T, y *past) { y.o.Deep = func(context.Context, string) error { return broken } }, ErrDamaged, []string{"copy.db", "another copy"}},
		"an open directory":    {func(t *testing.T, y *past) { mustDo(t, os.Chmod(filepath.Dir(y.o.Path), 0o777)) }, nil, []string{"writable for everybody"}},
		"a newer side file":    {func(t *testing.T, y *past) { replaceFile(t, sidePath(y.o.Path), []byte(`{"format":9,"state":"x"}`)) }, ErrVersion, nil},
		"another user's":       {func(t *testing.T, y *past) { giveAway(t, y.o.Path) }, nil, []string{"backstop.db", "belongs to user id 1234"}},
		"another user's, lost": {func(t *testing.T, y *past) { mustDo(t, os.Remove(y.o.Path)); giveAway(t, sidePath(y.o.Path)) }, nil, []string{"backstop.db.side", "belongs to user id 1234"}},
		"a link in its path":   {func(t *testing.T, y *past) { mustDo(t, os.Remove(y.o.Path), os.Symlink(y.copy, y.o.Path)) }, nil, []string{"not a regular file"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			y := oldCopy(t)
			c.arrange(t, &y)
			before := contents(t, filepath.Dir(y.o.Path))
			_, err := Restore(t.Context(), y.o, Copy{Name: y.copy}, "ann")
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("restore says %v, want %v", err, c.want)
			}
			mustName(t, err, c.words...)
			if strings.Contains(err.Error(), ".new-") {
				t.Errorf("%q names the draft", err)
			}
			if after := contents(t, filepath.Dir(y.o.Path)); !slices.Equal(after, before) {
				t.Errorf("the directory was %v and is %v", before, after)
			}
		})
	}
}

func TestAnInterruptedRestoreChangesNothing(t *testing.T) {
	y := oldCopy(t)
	before := contents(t, filepath.Dir(y.o.Path))
	ctx, cancel := context.WithCancel(t.Context())
	y.o.Deep = func(context.Context, string) error { cancel(); return errors.New("killed") }
	if _, err := Restore(ctx, y.o, Copy{Name: y.copy}, "ann"); !errors.Is(err, context.Canceled) {
		t.Errorf("in the look: %v", err)
	}
	if _, err := Restore(ctx, y.o, Copy{Name: y.copy}, "ann"); !errors.Is(err, context.Canceled) {
		t.Errorf("in the copying: %v", err)
	}
	if after := contents(t, filepath.Dir(y.o.Path)); !slices.Equal(after, before) {
		t.Errorf("the directory was %v and is %v", before, after)
	}
}

// contents are the names of a directory, each with a checksum.
func contents(t *testing.T, dir string) (list []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	mustDo(t, err)
	for _, f := range files {
		text, _ := os.ReadFile(filepath.Join(dir, f.Name()))
		list = append(list, fmt.Sprintf("%s %x", f.Name(), checksum(nil, text)))
	}
	return list
}

// giveAway makes a file another user's.
func giveAway(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	mustDo(t, os.Chown(path, 1234, -1))
}

// otherFile is a sound file of bbolt's that holds no state.
func otherFile(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other.db")
	db, err := bbolt.Open(path, 0o600, nil)
	mustDo(t, err, db.Close())
	return readAll(t, path)
}
