package engine

import (
	"context"
	"time"

	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/state"
)

// RowsMost is up to how many events a replay tells of each of them. Of a larger
// one it tells how far it is, and in the end which events are dead.
const RowsMost = 100

// ReplayRequest asks for events to be sent now: named ones, or those that a
// status and a range choose.
type ReplayRequest struct {
	IDs      []string  `json:"ids,omitempty"`
	Dead     bool      `json:"dead,omitempty"`   // all dead ones
	Missed   bool      `json:"missed,omitempty"` // all missed and replaying ones
	Since    time.Time `json:"since,omitzero"`   // inclusive; zero: no bound
	Until    time.Time `json:"until,omitzero"`   // exclusive; zero: no bound
	Types    []string  `json:"event_types,omitempty"`
	Entity   string    `json:"entity_id,omitempty"`
	Limit    int       `json:"limit,omitempty"`     // the oldest ones; 0: all
	Force    bool      `json:"force,omitempty"`     // also what is finished, from the listing
	To       string    `json:"to,omitempty"`        // another receiver; "": receiver.url
	Secret   string    `json:"secret,omitempty"`    // signs what goes to it; "": unsigned. It is never stored
	What     string    `json:"what,omitempty"`      // the selection as it was written, for the list of runs
	DryRun   bool      `json:"dry_run,omitempty"`   // only plan, and change nothing
	PlanOnly bool      `json:"plan_only,omitempty"` // with Force and To: read the listing and keep what is found; the run is resumed to send it
	Who      string    `json:"who,omitempty"`
}

// ReplayPlan is what a replay would send.
type ReplayPlan struct {
	Run      uint64         `json:"run,omitempty"` // absent in a dry run
	Kind     string         `json:"kind"`          // replay, forced or shadow
	To       string         `json:"to,omitempty"`  // the other receiver, without its query
	Events   int            `json:"events"`
	Statuses map[string]int `json:"by_status,omitempty"` // unknown: the state has no record
	Types    map[string]int `json:"by_type,omitempty"`
	Oldest   time.Time      `json:"oldest,omitzero"`
	Newest   time.Time      `json:"newest,omitzero"`
	Expired  int            `json:"with_expired_links"`     // events that hold pre-signed links which have expired
	Stale    bool           `json:"sent_expired,omitempty"` // they are sent as they are: replay.refresh_urls is off
	Skipped  int            `json:"not_settled,omitempty"`  // in range, and left out: their push may be in flight
	Gone     int            `json:"gone,omitempty"`         // named, and not in the listing any more
	Seconds  float64        `json:"seconds"`                // that sending takes at replay.rate; 0: there is no limit
	Held     string         `json:"held,omitempty"`         // why nothing goes out now; "": it does
	Warning  string         `json:"warning,omitempty"`
}

// ranged reports whether a range, a type or an entity chooses.
func (r ReplayRequest) ranged() bool {
	return !r.Since.IsZero() || !r.Until.IsZero() || len(r.Types) > 0 || r.Entity != "" || r.Limit > 0
}

// Check refuses a request that does not say what it means.
func (r ReplayRequest) Check() error {
	const one = "use one or the other"
	switch byStatus := r.Dead || r.Missed; {
	case r.Limit < 0:
		return exit.Errorf(exit.Usage, "write 0 for all", "--limit is negative")
	case len(r.IDs) == 0 && !byStatus && !r.ranged():
		return exit.Errorf(exit.Usage, "name events, or use --dead or --missed, or a range such as --since 2d", "nothing to replay")
	case len(r.IDs) > 0 && byStatus:
		return exit.Errorf(exit.Usage, one, "ids and --dead or --missed do not go together")
	case len(r.IDs) > 0 && r.ranged():
		return exit.Errorf(exit.Usage, one, "ids and --since, --until, --event-type, --entity-id or --limit do not go together")
	case !r.Since.IsZero() && !r.Until.IsZero() && !r.Since.Before(r.Until):
		return exit.Errorf(exit.Usage, "swap them", "--since is not before --until")
	case r.Force && byStatus:
		return exit.Errorf(exit.Usage, "leave --force out", "--dead and --missed choose what is sent anyway")
	case r.Force && r.To != "":
		return exit.Errorf(exit.Usage, "leave --force out: --to sends whatever is chosen, seen or not", "--force and --to do not go together")
	case r.PlanOnly && r.kind() == state.RunReplay:
		return exit.Errorf(exit.Usage, "use dry_run", "plan_only is for force and to")
	case r.To == "" && r.Secret != "":
		return exit.Errorf(exit.Usage, "name it with --to", "--secret-file is for another receiver")
	}
	return nil
}

func (r ReplayRequest) selection() state.Selection {
	return state.Selection{
		Dead: r.Dead, Missed: r.Missed, Since: r.Since, Until: r.Until, Types: r.Types, Entity: r.Entity, Limit: r.Limit,
	}
}

// kind is what sort of run the request asks for.
func (r ReplayRequest) kind() state.RunKind {
	switch {
	case r.To != "":
		return state.RunShadow
	case r.Force:
		return state.RunForced
	}
	return state.RunReplay
}

// count takes one event of the plan in, which stands there.
func (p *ReplayPlan) count(event heygen.Event, status state.Status, now time.Time) {
	if p.Statuses == nil {
		p.Statuses, p.Types = map[string]int{}, map[string]int{}
	}
	word := status.String()
	if status == 0 {
		word = "unknown"
	}
	p.Events++
	p.Statuses[word]++
	p.Types[event.Type]++
	if at := event.CreatedAt; !at.IsZero() {
		if p.Oldest.IsZero() || at.Before(p.Oldest) {
			p.Oldest = at
		}
		if at.After(p.Newest) {
			p.Newest = at
		}
	}
	if heygen.ExpiredLinks(event.Data, now) > 0 {
		p.Expired++
	}
}

// foresee fills in what becomes of what is planned.
func (e *Engine) foresee(p *ReplayPlan) {
	cfg := e.current().cfg.Replay
	p.Seconds, p.Stale = e.seconds(p.Events, p.Expired, cfg.Rate), p.Expired > 0 && !cfg.RefreshURLs
	if p.Kind != string(state.RunShadow) { // what holds the receiver holds no other
		p.Held = heygen.CutURLs(e.heldNow())
	}
}

// planned is what a plain replay would queue.
type planned struct {
	plan ReplayPlan
	rows []ReplayRow // one for each named id, or the first events of a selection
}

// planReplay counts what a plain replay would queue. It writes nothing. An id that
// nobody has heard of is an error.
func (e *Engine) planReplay(ctx context.Context, r ReplayRequest) (planned, error) {
	p := planned{plan: ReplayPlan{Kind: string(state.RunReplay)}}
	var err error
	if len(r.IDs) > 0 {
		err = e.planIDs(r.IDs, &p)
	} else {
		err = e.planChosen(ctx, r.selection(), &p)
	}
	e.foresee(&p.plan)
	return p, err
}

func (e *Engine) planIDs(ids []string, p *planned) error {
	known, err := e.store.Standing(ids)
	if err != nil {
		return err
	}
	var queued []string
	for _, row := range known {
		if row.Was == 0 {
			return unknown(row.ID) // before anything is queued
		}
		if row.Queued {
			queued = append(queued, row.ID)
		}
		p.rows = append(p.rows, ReplayRow{ID: row.ID, Status: row.Was.String(), Queued: row.Queued, Note: row.Note})
	}
	rows, err := e.store.OpenRows(queued)
	now := e.Now()
	for _, row := range rows {
		p.plan.count(row.Event, row.Status, now)
	}
	return err
}

func (e *Engine) planChosen(ctx context.Context, s state.Selection, p *planned) error {
	now := e.Now()
	return e.eachUnfinished(ctx, s, func(row state.Row) error {
		p.plan.count(row.Event, row.Status, now)
		if len(p.rows) < RowsMost {
			p.rows = append(p.rows, ReplayRow{ID: row.Event.ID, Status: row.Status.String(), Queued: true})
		}
		return nil
	})
}

// eachUnfinished calls fn with the unfinished events that a selection chooses,
// oldest first, with their data.
func (e *Engine) eachUnfinished(ctx context.Context, s state.Selection, fn func(state.Row) error) error {
	left := s.Limit
	for after := []byte(nil); ; {
		rows, next, err := e.store.Unfinished(s.Filter(), after)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := fn(row); err != nil {
				return err
			}
			if left--; left == 0 {
				return nil
			}
		}
		if err := ctx.Err(); err != nil || next == nil {
			return err
		}
		after = next
	}
}
