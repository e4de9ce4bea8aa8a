package engine

import (
	"log/slog"

	"backstop/internal/config"
	"context"

	"backstop/state"
)

// StateInfo describes the state file.
type StateInfo = state.Info

// Problem is one thing that is wrong in the state file.
type Problem = state.Problem

// StateInfo describes the state file.
func (e *Engine) StateInfo() (StateInfo, error) {
	info, err := e.store.Info()
	return info, explain(err)
}

// StateCheck looks at every record and gives what is wrong; the number of
// problems comes back.
func (e *Engine) StateCheck(ctx context.Context, yield func(Problem) error) (int, error) {
	problems, err := e.store.Check(ctx, true)
	if err != nil {
		return 0, explain(err)
	}
	for i, problem := range problems {
		if err := yield(problem); err != nil {
			return i, err
		}
	}
	return len(problems), nil
}

// InitState makes a new, empty state file for the configuration.
func InitState(cfg *config.Config, log *slog.Logger, force bool) error {
	return explain(state.Init(StateOptions(cfg, log), force))
}
