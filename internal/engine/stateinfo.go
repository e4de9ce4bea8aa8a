package engine

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"backstop/internal/config"
	"backstop/state"
)

// StateInfo describes the state file as users read it.
type StateInfo struct {
	Path       string           `json:"path"` // absolute
	Size       int64            `json:"size_bytes"`
	Used       int64            `json:"used_bytes"`
	Format     int              `json:"format"`
	Generation uint64           `json:"generation"` // commits since creation
	Created    time.Time        `json:"created"`
	Committed  time.Time        `json:"last_commit,omitzero"`
	LostFrom   time.Time        `json:"lost_from,omitzero"` // with LostTo: the time that the last restore lost
	LostTo     time.Time        `json:"lost_to,omitzero"`
	APIBase    string           `json:"base_url,omitempty"`
	Baseline   time.Time        `json:"baseline,omitzero"`
	Floor      time.Time        `json:"floor,omitzero"`
	Records    map[string]int64 `json:"records"`
}

// Problem is one thing that is wrong in the state file.
type Problem struct {
	Bucket string `json:"bucket,omitempty"`
	Key    string `json:"key,omitempty"`
	What   string `json:"what"`
}

// StateInfo describes the state file.
func (e *Engine) StateInfo() (StateInfo, error) {
	info, err := e.store.Info()
	if err != nil {
		return StateInfo{}, explain(err)
	}
	path, err := e.StatePath()
	return StateInfo{
		Path: path, Size: info.Size, Used: info.Used, Format: info.Format, Generation: info.Generation, Created: info.Created,
		Committed: info.Committed, LostFrom: info.Lost.From, LostTo: info.Lost.To,
		APIBase: info.APIBase, Baseline: info.Baseline, Floor: info.Floor, Records: info.Records,
	}, err
}

// StatePath is where the state file lies; absolute.
func (e *Engine) StatePath() (string, error) {
	path, err := filepath.Abs(e.store.Path())
	return path, explain(err)
}

// StateCheck looks at every record and gives what is wrong; the number of
// problems comes back.
func (e *Engine) StateCheck(ctx context.Context, yield func(Problem) error) (int, error) {
	problems, err := e.store.Check(ctx, true)
	if err != nil {
		return 0, explain(err)
	}
	return tell(problems, yield)
}

// InitState makes a new, empty state file for the configuration, whose first act
// says who made it.
func InitState(cfg *config.Config, log *slog.Logger, force bool, who string) error {
	if err := state.Init(StateOptions(cfg, log), force); err != nil {
		return explain(err)
	}
	store, err := state.OpenExisting(StateOptions(cfg, log))
	if err != nil {
		return explain(err)
	}
	what := "state init"
	if force {
		what += " --force"
	}
	return explain(errors.Join(store.Act(time.Now(), who, what, 0), store.Close()))
}
