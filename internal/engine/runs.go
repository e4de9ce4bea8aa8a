package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"backstop/internal/exit"
	"backstop/state"
)

// RunStatus is a replay run as users read it.
type RunStatus struct {
	Run       uint64    `json:"run"`
	Kind      string    `json:"kind"` // replay, forced or shadow
	Who       string    `json:"who"`
	What      string    `json:"what"`         // what was chosen, in words
	To        string    `json:"to,omitempty"` // the other receiver, without its query
	Begun     time.Time `json:"begun"`
	Ended     time.Time `json:"ended,omitzero"`
	Cancelled time.Time `json:"cancelled,omitzero"`
	Planned   int64     `json:"planned"`
	Seen      int64     `json:"seen"`
	Dead      int64     `json:"dead"`
	Ignored   int64     `json:"ignored"`
	Waiting   int64     `json:"waiting"`
	Left      int64     `json:"left"`
	Standing  string    `json:"standing"` // in words: under way, ended, stopped …
	Stopped   bool      `json:"stopped"`  // a person agreed to it, and it does not go on by itself
}

func (e *Engine) runStatus(r state.Run) RunStatus {
	s := RunStatus{
		Run: r.ID, Kind: string(r.Kind), Who: r.Who, What: r.What, To: r.URL, Begun: r.Begun, Ended: r.Ended, Cancelled: r.Cancelled,
		Planned: r.Planned, Seen: r.Seen, Dead: r.Dead, Ignored: r.Ignored, Waiting: r.Waiting, Left: r.Left,
	}
	switch byItself := r.Kind == state.RunReplay && !r.Ready.IsZero(); {
	case !r.Cancelled.IsZero():
		s.Standing = "cancelled"
	case !r.Ended.IsZero():
		s.Standing = "ended"
	case e.runs.has(r.ID):
		s.Standing = "under way"
	case byItself:
		s.Standing = "queued"
	case r.Kind != state.RunReplay && !r.Walked.IsZero() && r.Confirmed.IsZero():
		s.Standing = "waits for somebody to agree"
	default:
		s.Standing, s.Stopped = "stopped", true
	}
	return s
}

// Runs gives the replay runs, oldest first; ended ones are kept for retention.
func (e *Engine) Runs(yield func(RunStatus) error) error {
	all, err := e.store.Runs()
	if err != nil {
		return explain(err)
	}
	for _, r := range all {
		if err := yield(e.runStatus(r)); err != nil {
			return explain(err)
		}
	}
	return nil
}

// run reads a run; that there is none is an error for people.
func (e *Engine) run(id uint64) (state.Run, error) {
	r, err := e.store.Run(id)
	if errors.Is(err, state.ErrNoRun) {
		return r, exit.Wrap(exit.Failed, "`backstop replay --runs` lists them", fmt.Errorf("run %d: %w", id, err))
	}
	return r, err
}

// WatchRun follows a run to its end, and helps to send a plain one.
func (e *Engine) WatchRun(ctx context.Context, id uint64, yield func(ReplayRow) error) (Replayed, error) {
	run, err := e.run(id)
	if err != nil {
		return Replayed{}, explain(err)
	}
	f := e.newFollowing(run, yield)
	f.each = false
	switch {
	case !run.Ended.IsZero():
		result, err := f.ended(ctx, run)
		return e.reported(run, result), explain(err)
	case run.Kind != state.RunReplay || run.Ready.IsZero():
		f.work = func(ctx context.Context, _ bool) error { return pause(ctx, time.Second) } // another request sends it
		f.held = func() string {
			if e.runs.has(id) {
				return ""
			}
			return fmt.Sprintf("nobody sends run %d", id)
		}
		f.shut, f.stays = f.held, resumeHint(run)
	}
	result, err := f.toEnd(ctx)
	return e.reported(run, result), explain(err)
}

// CancelRun takes back what a run has not sent.
func (e *Engine) CancelRun(id uint64, who string) (RunStatus, error) {
	before, err := e.run(id)
	if err != nil {
		return RunStatus{}, explain(err)
	}
	if !before.Ended.IsZero() && before.Cancelled.IsZero() {
		return e.runStatus(before), exit.Errorf(exit.Failed, "what it has sent can't be taken back", "run %d has ended", id)
	}
	run, err := e.store.CancelRun(e.Now(), id, who)
	e.current().replayer.Wake()
	return e.runStatus(run), explain(err)
}

// ResumeRun takes up a run that was cancelled or interrupted, and follows it to
// its end. Of the request it takes Who, and for a shadow run To and Secret.
func (e *Engine) ResumeRun(ctx context.Context, id uint64, r ReplayRequest, yield func(ReplayRow) error) (Replayed, error) {
	run, err := e.run(id)
	if err != nil {
		return Replayed{}, explain(err)
	}
	if run.Kind != state.RunReplay {
		return e.resumeResend(ctx, run, r, yield)
	}
	if err := e.mayReplay(); err != nil {
		return resultOf(run), err
	}
	run, resumed, err := e.store.ResumeRun(e.Now(), id, r.Who)
	if err != nil {
		return Replayed{Run: id}, explain(err)
	}
	if !resumed {
		return resultOf(run), nothingLeft(id)
	}
	return e.send(ctx, run, yield)
}

func nothingLeft(id uint64) error {
	return exit.Errorf(exit.Failed, "`backstop events --status dead` shows what was given up", "nothing is left of run %d", id)
}

// wasCancelled says that a run was cancelled before all that was chosen for it was found, or queued.
func wasCancelled(run state.Run) error {
	return exit.Errorf(exit.Differences, "`"+ResumeCommand(run.ID, run.Kind)+"` goes on with it", "run %d was cancelled", run.ID)
}

// resumeHint says how what is left of a run is sent.
func resumeHint(run state.Run) string {
	return "`" + ResumeCommand(run.ID, run.Kind) + "` sends them" + orCancel(run)
}

// ResumeCommand is the command line that goes on with a run. The URL of a shadow
// run may have had a query, and its secret was never stored: both are given again.
func ResumeCommand(id uint64, kind state.RunKind) string {
	command := fmt.Sprintf("backstop replay --resume %d", id)
	if kind == state.RunShadow {
		command += " --to URL --secret-file FILE"
	}
	return command
}

// orCancel says how to get rid of a shadow run, which may have served its purpose;
// "" for others.
func orCancel(run state.Run) string {
	if run.Kind != state.RunShadow || !run.Cancelled.IsZero() {
		return ""
	}
	return fmt.Sprintf(", --cancel %d gets rid of it", run.ID)
}

// stoppedRuns names the runs that have not ended and don't go on by themselves. A
// shadow run keeps nothing from the receiver: it is only listed.
func (s Status) stoppedRuns() (stopped []RunStatus) {
	for _, r := range s.Runs {
		if r.Stopped && r.Kind != string(state.RunShadow) {
			stopped = append(stopped, r)
		}
	}
	return stopped
}

// fillRuns fills in the runs that have not ended.
func (e *Engine) fillRuns(s *Status) error {
	return e.Runs(func(r RunStatus) error {
		if r.Ended.IsZero() {
			s.Runs = append(s.Runs, r)
		}
		return nil
	})
}
