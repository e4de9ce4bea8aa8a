package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"backstop/internal/exit"
	"backstop/state"
)

// ReplayRow is a line of what a replay tells: what becomes of one event that was
// asked for, or the plan, or how far it is.
type ReplayRow struct {
	ID     string `json:"event_id,omitempty"`
	Status string `json:"status,omitempty"`
	Queued bool   `json:"queued"` // of an event
	Note   string `json:"note,omitempty"`

	HTTP    int           `json:"http_status,omitempty"` // of a shadow run: what the other receiver answered; 0: nothing
	Latency time.Duration `json:"latency_ns,omitempty"`  // and after which time

	Plan     *ReplayPlan       `json:"plan,omitempty"`
	Progress *BackfillProgress `json:"progress,omitempty"`
}

// Replayed counts what a replay asked for by hand came to.
type Replayed struct {
	Planned int           `json:"planned"`
	Seen    int           `json:"seen"`
	Ignored int           `json:"ignored,omitempty"` // given up by a person meanwhile
	Dead    int           `json:"dead"`
	Waiting int           `json:"waiting"`
	Held    string        `json:"held,omitempty"`
	Left    int           `json:"left,omitempty"` // taken back, or taken over by a later run
	Gone    int           `json:"gone,omitempty"` // named, and not in the listing any more
	Shadow  *ShadowReport `json:"shadow,omitempty"`
	Run     uint64        `json:"run,omitempty"` // absent where there was nothing to send
}

// Replay queues events as a run and waits until each is sent or dead. With DryRun
// it only says what it would queue. The plan is yielded first. Of up to a hundred
// events each is yielded once when it is queued, and once more when it is
// finished; of more, the dead ones are in the end. When ctx ends, the run goes on
// as far as it is queued.
func (e *Engine) Replay(ctx context.Context, r ReplayRequest, yield func(ReplayRow) error) (Replayed, error) {
	if err := r.Check(); err != nil {
		return Replayed{}, err
	}
	r.IDs = unique(r.IDs)
	if r.kind() != state.RunReplay {
		return e.resend(ctx, r, yield)
	}
	p, err := e.planReplay(ctx, r)
	result := Replayed{Planned: p.plan.Events}
	if err != nil {
		return result, explain(err)
	}
	if r.DryRun || p.plan.Events == 0 {
		return result, explain(tellPlan(p.plan, p.rows, yield))
	}
	if err := e.mayReplay(); err != nil {
		return Replayed{}, err
	}
	run, err := e.store.BeginRun(e.Now(), state.Run{
		Kind: state.RunReplay, Who: r.Who, What: r.words(), Chosen: r.selection(), Planned: int64(p.plan.Events),
	}, r.IDs)
	if err != nil {
		return result, explain(err)
	}
	p.plan.Run = run.ID
	_ = tellPlan(p.plan, nil, yield) // nobody hears it: send notices
	return e.send(ctx, run, yield)
}

func tellPlan(plan ReplayPlan, rows []ReplayRow, yield func(ReplayRow) error) error {
	if plan.Events > 0 {
		if err := yield(ReplayRow{Plan: &plan}); err != nil {
			return err
		}
	}
	if len(rows) > RowsMost || plan.Events > RowsMost {
		return nil
	}
	for _, row := range rows {
		if err := yield(row); err != nil {
			return err
		}
	}
	return nil
}

// unique drops repeated ids and keeps their order.
func unique(ids []string) []string {
	met := make(map[string]bool, len(ids))
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		again := met[id]
		met[id] = true
		return again
	})
}

// words says what was chosen, where the request does not.
func (r ReplayRequest) words() string {
	switch n := len(r.IDs); {
	case r.What != "":
		return r.What
	case n == 1:
		return printable(r.IDs[0])
	case n > 1:
		return fmt.Sprintf("%d named events", n)
	case r.Dead && r.Missed:
		return "--dead --missed"
	case r.Dead:
		return "--dead"
	case r.Missed:
		return "--missed"
	}
	return "a range"
}

// mayReplay refuses before a run is begun that could send nothing.
func (e *Engine) mayReplay() error {
	if e.current().cfg.Receiver.URL != "" {
		return nil
	}
	return exit.Errorf(exit.Config, "set it, or name another receiver with --to", "receiver.url is empty: there is nowhere to send to")
}

// stopTime is how long a run is still queued for a client that has gone away, or
// in a process that is about to stop.
const stopTime = 2 * time.Second

// send queues what is left of a plain run, and follows it to its end. A client
// that goes away early leaves a whole run: only what takes too long to be queued
// without a daemon is left to be resumed.
func (e *Engine) send(ctx context.Context, run state.Run, yield func(ReplayRow) error) (Replayed, error) {
	defer e.runs.take(run.ID)()
	follow := e.newFollowing(run, yield)
	var gone error
	var since time.Time
	for done := false; !done; {
		var queued []state.Requeued
		var err error
		if queued, done, err = e.store.QueueRun(e.Now(), run.ID); err != nil {
			return resultOf(run), explain(err)
		}
		e.current().replayer.Wake()
		if gone == nil {
			gone, since = cmp.Or(follow.queued(queued), ctx.Err()), time.Now()
		}
		if gone != nil && time.Since(since) > stopTime && !e.scheduled.Load() {
			break
		}
	}
	if gone != nil {
		return follow.result(), explain(gone)
	}
	result, err := follow.toEnd(ctx)
	return result, explain(err)
}

// resumeVerb is what ends a pause.
const resumeVerb = "`backstop resume`"

// manualHeld tells why even a replay asked for by hand does not go out.
func (e *Engine) manualHeld() string {
	if e.current().cfg.Receiver.URL == "" {
		return "receiver.url is empty: there is nowhere to send to"
	}
	if paused := e.store.Receiver().Paused; paused != "" {
		return "replaying is paused (" + paused + "): run " + resumeVerb
	}
	return ""
}

// standsStill tells why nothing goes out until somebody acts, "" when it does.
func (e *Engine) standsStill() string {
	return cmp.Or(e.manualHeld(), e.misconfigured(), e.current().replayer.Hold())
}

// heldNow tells why nothing goes out at this moment, be it that it is tried again;
// "" where it does.
func (e *Engine) heldNow() string { return cmp.Or(e.standsStill(), e.outage(), e.rest()) }

// misconfigured tells that the receiver refuses everything, "" when it does not.
func (e *Engine) misconfigured() string {
	if why := e.store.Receiver().Misconfigured; why != "" {
		return "the receiver is misconfigured: " + why
	}
	return ""
}

func (r Replayed) differences() error {
	if r.Dead == 0 {
		return nil
	}
	return exit.Errorf(exit.Differences, "`backstop explain ID` says why", "%d of %d are dead", r.Dead, r.Planned)
}

// IgnoreRequest gives events up.
type IgnoreRequest struct {
	IDs []string `json:"ids"`
	Why string   `json:"reason,omitempty"`
	Who string   `json:"who,omitempty"`
}

// Ignore gives events up by hand. An id that is not known is an error before
// anything is changed.
func (e *Engine) Ignore(r IgnoreRequest) ([]ReplayRow, error) {
	known, err := e.store.Standing(r.IDs)
	if err != nil {
		return nil, explain(err)
	}
	for _, row := range known {
		if row.Was == 0 {
			return nil, unknown(row.ID)
		}
	}
	done, err := e.store.Ignore(e.Now(), r.IDs, r.Why, r.Who)
	if err != nil {
		return nil, explain(err)
	}
	rows := make([]ReplayRow, 0, len(done))
	for _, row := range done {
		rows = append(rows, ReplayRow{ID: row.ID, Status: row.Was.String(), Queued: row.Queued, Note: row.Note})
	}
	return rows, nil
}

// Now is the time of a transaction: the smaller of the local clock and the
// API's.
func (e *Engine) Now() time.Time { return e.current().client.Now() }
