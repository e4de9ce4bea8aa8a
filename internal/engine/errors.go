package engine

import (
	"context"
	"errors"
	"os"

	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/state"
)

// explain gives an error of the lower floors its exit code and its remedy. An
// error that has both already is left alone.
func explain(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range remedies() {
		if errors.Is(err, known.target) {
			return exit.Wrap(known.code, known.hint, err)
		}
	}
	return exit.Wrap(exit.Failed, "", err)
}

type remedy struct {
	target error
	code   exit.Code
	hint   string
}

// remedies lists what the lower floors can say, the most telling first. What
// heygen and the state say mostly ends with its own remedy.
func remedies() []remedy {
	return []remedy{
		{heygen.ErrCredentials, exit.Credentials, ""},
		{heygen.ErrUnreachable, exit.Timeout, ""},
		{heygen.ErrRequest, exit.Failed, ""},
		{heygen.ErrUnreadable, exit.Failed, ""},
		{heygen.ErrCursor, exit.Failed, "run it again; the walk starts anew"},
		{state.ErrHeld, exit.Held, ""},
		{state.ErrFull, exit.Failed, ""},
		{state.ErrDamaged, exit.Failed, ""},
		{state.ErrLatched, exit.Failed, "start backstop again; it goes on from the last commit"},
		{state.ErrMissing, exit.Failed, ""},
		{state.ErrForeign, exit.Config, ""},
		{context.DeadlineExceeded, exit.Timeout, "run it again with more time"},
		{context.Canceled, exit.Interrupted, "run it again; it goes on from where it stopped"},
		{os.ErrPermission, exit.Failed, "run it as the owner of the state, or as root"},
	}
}
