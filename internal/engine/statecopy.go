package engine

import (
	"context"
	"log/slog"
	"path/filepath"

	"backstop/internal/config"
	"backstop/state"
)

// StateBackup copies the state as of now. The caller closes the copy, which is
// gone then.
func (e *Engine) StateBackup(ctx context.Context) (*state.Backup, error) {
	b, err := e.store.Backup(ctx)
	return b, explain(err)
}

// Look tells what is wrong with a state file, which nobody has open, by the eyes
// of another process: a damaged page may end the one that reads it.
type Look func(ctx context.Context, path string) error

// CompactState writes the state of a configuration anew, without the room that
// deleted records left. whole looks at the state, draft at what is to replace it.
func CompactState(ctx context.Context, cfg *config.Config, log *slog.Logger, whole, draft Look) (Compacted, error) {
	options := StateOptions(cfg, log)
	options.Deep = whole
	c, err := state.Compact(ctx, options, draft)
	if err != nil {
		return Compacted{}, explain(err)
	}
	path, err := filepath.Abs(cfg.State.Path)
	return Compacted{Path: path, Before: c.Before, After: c.After}, explain(err)
}

// Compacted is what a compaction came to.
type Compacted struct {
	Path   string `json:"path"` // absolute
	Before int64  `json:"before_bytes"`
	After  int64  `json:"after_bytes"`
}

// CheckFile looks at a state file, or at a copy of one, in this process. It gives
// what is wrong and the number of problems.
func CheckFile(ctx context.Context, path string, isCopy bool, yield func(Problem) error) (int, error) {
	found, err := state.CheckFile(ctx, path, isCopy)
	if err != nil {
		return 0, explain(err)
	}
	return tell(found, yield)
}

func tell(found []state.Problem, yield func(Problem) error) (int, error) {
	for i, p := range found {
		if err := yield(Problem{Bucket: p.Bucket, Key: p.Key, What: p.What}); err != nil {
			return i, err
		}
	}
	return len(found), nil
}
