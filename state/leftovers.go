package state

import (
	"os"
	"path/filepath"
	"strings"
)

// clearLeftovers removes the drafts that killed processes left beside the state: of a new state that was not linked yet, of
// a side file that was not renamed yet. The caller holds the lock of the state, so nobody writes its side file, and no
// draft of a state can become the state any more. What can't be removed does no harm.
func clearLeftovers(path string) {
	dir := filepath.Dir(path)
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, f := range files {
		if f.Type().IsRegular() && isLeftover(f.Name(), filepath.Base(path)) {
			_ = os.Remove(filepath.Join(dir, f.Name())) // it stays until the next start
		}
	}
}

// isLeftover reports whether a file has the name of a draft: that of create and Restore, which whoever looked at it may have
// given a side file, or that of renameio for the side file.
func isLeftover(name, state string) bool {
	for _, prefix := range []string{"." + state + ".new-", "." + filepath.Base(sidePath(state))} {
		if number, ok := strings.CutPrefix(strings.TrimSuffix(name, ".side"), prefix); ok && number != "" && strings.Trim(number, "0123456789") == "" {
			return true
		}
	}
	return false
}
