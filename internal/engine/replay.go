package engine

import (
	"cmp"
	"context"
	"time"

	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/state"
)

// ReplayRequest asks for events to be sent now.
type ReplayRequest struct {
	IDs    []string `json:"ids,omitempty"`
	Dead   bool     `json:"dead,omitempty"`   // all dead ones
	Missed bool     `json:"missed,omitempty"` // all missed and replaying ones
	DryRun bool     `json:"dry_run,omitempty"`
	Who    string   `json:"who,omitempty"`
}

// ReplayRow is what becomes of one event that was asked for.
type ReplayRow struct {
	ID     string `json:"event_id"`
	Status string `json:"status"`
	Queued bool   `json:"queued"`
	Note   string `json:"note,omitempty"`
}

// Replayed counts what a replay asked for by hand came to.
type Replayed struct {
	Planned int    `json:"planned"`
	Seen    int    `json:"seen"`
	Ignored int    `json:"ignored,omitempty"` // given up by a person meanwhile
	Dead    int    `json:"dead"`
	Waiting int    `json:"waiting"`
	Held    string `json:"held,omitempty"`
}

// Replay queues events and waits until each is sent or dead. With DryRun it only
// says what it would queue. Every row is yielded once when it is planned, and
// once more when it is finished.
func (e *Engine) Replay(ctx context.Context, r ReplayRequest, yield func(ReplayRow) error) (Replayed, error) {
	ids, err := e.chosen(ctx, r)
	if err != nil {
		return Replayed{}, explain(err)
	}
	planned, err := e.plan(ids, r, yield)
	result := Replayed{Planned: len(planned)}
	if err != nil || r.DryRun || len(planned) == 0 {
		return result, explain(err)
	}
	if held := e.manualHeld(); held != "" {
		result.Waiting, result.Held = len(planned), held
		return result, exit.Errorf(exit.Differences, "they are queued and go out once replaying goes on", "%s", held)
	}
	return e.follow(ctx, planned, result, yield)
}

// chosen gives the ids that the request means, oldest first where it chooses by
// status.
func (e *Engine) chosen(ctx context.Context, r ReplayRequest) ([]string, error) {
	var filter state.Filter
	if r.Dead {
		filter.Status = append(filter.Status, state.Dead)
	}
	if r.Missed {
		filter.Status = append(filter.Status, state.Missed, state.Replaying)
	}
	ids := r.IDs
	if len(filter.Status) == 0 {
		return ids, nil
	}
	err := e.store.Events(ctx, filter, func(row state.Row) error {
		ids = append(ids, row.Event.ID)
		return nil
	})
	return ids, err
}

// plan queues the events, or with DryRun says what it would do, and gives the
// ids that are to be waited for.
func (e *Engine) plan(ids []string, r ReplayRequest, yield func(ReplayRow) error) ([]string, error) {
	rows, err := e.requeue(ids, r)
	if err != nil {
		return nil, err
	}
	var planned []string
	for _, row := range rows {
		if row.Was == 0 {
			return nil, unknown(row.ID)
		}
		if row.Queued {
			planned = append(planned, row.ID)
		}
		if err := yield(ReplayRow{ID: row.ID, Status: row.Was.String(), Queued: row.Queued, Note: row.Note}); err != nil {
			return nil, err
		}
	}
	return planned, nil
}

func (e *Engine) requeue(ids []string, r ReplayRequest) ([]state.Requeued, error) {
	known, err := e.statuses(ids)
	if err != nil {
		return nil, err
	}
	for _, row := range known {
		if row.Was == 0 {
			return nil, unknown(row.ID) // before anything is queued
		}
	}
	if r.DryRun {
		return known, nil
	}
	return e.store.Requeue(e.current().client.Now(), ids, "", r.Who)
}

// statuses tells what the ids are now, as Requeue would find them.
func (e *Engine) statuses(ids []string) ([]state.Requeued, error) {
	rows := make([]state.Requeued, 0, len(ids))
	for _, id := range ids {
		row, err := e.store.Event(id)
		if err != nil {
			return nil, err
		}
		found := state.Requeued{ID: id}
		if row != nil {
			found.Was = row.Status
			found.Queued = row.Status != state.Seen && row.Status != state.Ignored
		}
		rows = append(rows, found)
	}
	return rows, nil
}

// manualHeld tells why even a replay asked for by hand does not go out.
func (e *Engine) manualHeld() string {
	if e.current().cfg.Receiver.URL == "" {
		return "receiver.url is empty: there is nowhere to send to"
	}
	if paused := e.store.Receiver().Paused; paused != "" {
		return "replaying is paused (" + paused + "): run `backstop resume`"
	}
	return ""
}

// standsStill tells why nothing goes out until somebody acts, "" when it does.
func (e *Engine) standsStill() string {
	return cmp.Or(e.manualHeld(), e.misconfigured(), e.current().replayer.Hold())
}

// misconfigured tells that the receiver refuses everything, "" when it does not.
func (e *Engine) misconfigured() string {
	if why := e.store.Receiver().Misconfigured; why != "" {
		return "the receiver is misconfigured: " + why
	}
	return ""
}

// follow sends and waits until every planned event is seen, dead or ignored.
func (e *Engine) follow(ctx context.Context, planned []string, result Replayed, yield func(ReplayRow) error) (Replayed, error) {
	open := planned
	for probe := true; ; probe = false {
		if _, err := e.current().replayer.DrainManual(ctx, probe); err != nil {
			return result, explain(err)
		}
		var err error
		if open, err = e.finished(open, &result, yield); err != nil {
			return result, explain(err)
		}
		result.Waiting = len(open)
		if len(open) == 0 {
			return result, result.differences()
		}
		if result.Held = e.standsStill(); result.Held != "" {
			return result, exit.Errorf(exit.Differences, "they stay queued", "%s", result.Held)
		}
		if err := e.store.Err(); err != nil { // the daemon's replayer may have met it: nothing more will be sent
			return result, explain(err)
		}
		if err := pause(ctx, e.untilDue()); err != nil {
			return result, explain(err)
		}
	}
}

// finished yields the events that ended since the last look and gives the rest.
func (e *Engine) finished(open []string, result *Replayed, yield func(ReplayRow) error) ([]string, error) {
	var rest []string
	for _, id := range open {
		row, err := e.store.Event(id)
		if err != nil {
			return nil, err
		}
		switch {
		case row == nil, row.Status == state.Ignored:
			result.Ignored++
		case row.Status == state.Seen:
			result.Seen++
		case row.Status == state.Dead:
			result.Dead++
		default:
			rest = append(rest, id)
			continue
		}
		if row == nil {
			continue
		}
		if err := yield(ReplayRow{ID: id, Status: row.Status.String(), Note: heygen.CutURLs(row.Why)}); err != nil {
			return nil, err
		}
	}
	return rest, nil
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
	known, err := e.statuses(r.IDs)
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

// Pause stops replaying until Resume; walks go on.
func (e *Engine) Pause(why, who string) error {
	err := e.store.Pause(e.Now(), why, who)
	e.current().teller.Wake(false)
	return explain(err)
}

// Resume starts replaying again.
func (e *Engine) Resume(who string) error {
	if err := e.store.Resume(e.Now(), who); err != nil {
		return explain(err)
	}
	p := e.current()
	p.replayer.Wake()
	p.teller.Wake(false)
	return nil
}

// Now is the time of a transaction: the smaller of the local clock and the
// API's.
func (e *Engine) Now() time.Time { return e.current().client.Now() }
