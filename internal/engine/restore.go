package engine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"backstop/internal/config"
	"backstop/state"
)

// Restored is what a restore did, as users read it.
type Restored struct {
	Path     string    `json:"path"`
	From     string    `json:"from"`
	Aside    []string  `json:"kept,omitempty"` // what was there before
	LostFrom time.Time `json:"lost_from,omitzero"`
	LostTo   time.Time `json:"lost_to,omitzero"` // zero: nothing was lost
	Withheld int       `json:"withheld"`
	Begun    bool      `json:"begun"` // the copy had its first run, and a baseline
}

// RestoreState puts a copy in the place of the state of the configuration. deep
// looks at the copy in a process of its own. The file "-" is what in gives.
func RestoreState(ctx context.Context, cfg *config.Config, log *slog.Logger, deep func(context.Context, string) error, file string, in io.Reader, who string) (Restored, error) {
	options := StateOptions(cfg, log)
	options.Deep = deep
	from := state.Copy{Name: file}
	if file == "-" {
		from = state.Copy{Name: "standard input", From: in}
	}
	done, err := state.Restore(ctx, options, from, who)
	return Restored{
		Path: done.Path, From: from.Name, Aside: done.Aside, LostFrom: done.Lost.From, LostTo: done.Lost.To,
		Withheld: done.Withheld, Begun: done.Begun,
	}, explain(err)
}

// withheldHint says how many events are withheld and what to do about them; ""
// when there are none.
func (e *Engine) withheldHint(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d withheld since the restore of %s: import what the receiver has (`backstop seen import FILE`), "+
		"then `backstop replay --missed` sends the rest, or `backstop ignore ID` gives it up", n, e.store.Lost().To.UTC().Format(time.RFC3339))
}
