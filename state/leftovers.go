package state

import (
	"os"
	"path/filepath"
	"strings"
)

// What stands between the name of a file and the number of its draft.
const (
	newDraft    = ".new-"     // of a new state that is not linked yet
	copyDraft   = ".copy-"    // of a copy that is about to lose its name
	anewDraft   = ".compact-" // of a rewritten state that is not renamed yet
	backupDraft = ".backup-"  // of a backup that is not renamed yet, beside that
)

// clearLeftovers removes the drafts that killed processes left beside the state, of itself and of its side file. The caller
// holds the lock of the state, so nobody writes its side file, and no draft of a state can become the state any more. What
// can't be removed does no harm.
func clearLeftovers(path string) {
	dir, state := filepath.Dir(path), filepath.Base(path)
	clearDrafts(dir, "."+state+newDraft, "."+state+copyDraft, "."+state+anewDraft, "."+filepath.Base(sidePath(state)))
}

// clearDrafts removes the files of a directory that are named by one of the prefixes and a number.
func clearDrafts(dir string, prefixes ...string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, f := range files {
		if f.Type().IsRegular() && isDraft(f.Name(), prefixes) {
			_ = os.Remove(filepath.Join(dir, f.Name())) // it stays until the next start
		}
	}
}

// isDraft reports whether a name is one of the prefixes and a number: that is how drafts are named, by us and by renameio.
// Whoever looked at a draft of a state may have given it a side file.
func isDraft(name string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if number, ok := strings.CutPrefix(strings.TrimSuffix(name, ".side"), prefix); ok && number != "" && strings.Trim(number, "0123456789") == "" {
			return true
		}
	}
	return false
}
