package engine

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/state"
)

// sameReceiver refuses to send the rest of a shadow run elsewhere.
func sameReceiver(run state.Run, r ReplayRequest) error {
	if run.Kind != state.RunShadow || heygen.CutURLs(r.To) == run.URL {
		return nil
	}
	given := "another URL was given"
	if r.To == "" {
		given = "no URL was given"
	}
	hint := fmt.Sprintf("use `%s`, without --secret-file where it is unsigned, or get rid of it with --cancel %d", ResumeCommand(run.ID, run.Kind), run.ID)
	return exit.Errorf(exit.Usage, hint, "run %d goes to %s, and %s", run.ID, run.URL, given)
}

// notFound explains why a run could not be filled. A type or an entity that HeyGen
// does not understand it never will: such a run is cancelled.
func (e *Engine) notFound(run state.Run, err error) error {
	if errors.Is(err, state.ErrRunCancelled) {
		return wasCancelled(run)
	}
	narrow := narrowed(run.Chosen, err)
	if narrow == nil {
		return explain(err)
	}
	_, failed := e.store.CancelRun(e.Now(), run.ID, run.Who)
	return errors.Join(narrow, explain(failed))
}

// narrowed is the error of a request that HeyGen does not understand, with the flags
// that made it; nil where none did.
func narrowed(s state.Selection, err error) error {
	refused := (*heygen.Error)(nil)
	if !errors.As(err, &refused) || refused.Kind != heygen.ErrRequest || refused.Status == http.StatusNotFound {
		return nil
	}
	var flags []string
	if len(s.Types) > 0 {
		flags = append(flags, "--event-type")
	}
	if s.Entity != "" {
		flags = append(flags, "--entity-id")
	}
	if len(flags) == 0 {
		return nil
	}
	plain := *refused
	plain.Hint = "" // it is about the configured queries
	return exit.Wrap(exit.Failed, "check "+strings.Join(flags, " and "), &plain)
}
