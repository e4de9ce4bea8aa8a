package state

import (
	"os"
	"path/filepath"
	"testing"
)

// A process that is killed while it makes a state, or writes the side file,
// leaves a draft, which the next start removes, and nothing else.
func TestLeftoversOfAKillAreCleared(t *testing.T) {
	o := optionsIn(t)
	mustClose(t, mustOpen(t, o))
	dir := filepath.Dir(o.Path)
	drafts := []string{".backstop.db.new-2626284784", ".backstop.db.side2236894340"}
	others := []string{".backstop.db.new-", ".backstop.db.side", ".backstop.db.side12.old", ".other.db.new-12", "backstop.db.new-12", ".backstop.db.sidecar"}
	for _, name := range append(drafts, others...) {
		replaceFile(t, filepath.Join(dir, name), []byte("draft"))
	}
	s := mustOpen(t, o)
	mustBeClean(t, s)
	for _, name := range drafts {
		if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
	for _, name := range others {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s is no draft of this state: %v", name, err)
		}
	}
}
