package engine

import (
	"cmp"
	"context"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// Act is something that a person did by hand, as users read it.
type Act struct {
	Number uint64    `json:"act"`
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	What   string    `json:"what"`
	Events int       `json:"events,omitempty"`
	Why    string    `json:"reason,omitempty"`
	IDs    []string  `json:"event_ids,omitempty"` // where they are few
}

func actOf(a state.ManualAct) Act {
	return Act{Number: a.Seq, At: a.At, Who: a.Who, What: a.What, Events: a.N, Why: given(heygen.CutURLs(a.Why)), IDs: a.IDs}
}

// Acts gives what was done by hand, newest first. They are kept as long as
// finished events are.
func (e *Engine) Acts(ctx context.Context, f state.ActFilter, yield func(Act) error) error {
	return explain(e.store.EachAct(ctx, f, func(a state.ManualAct) error { return yield(actOf(a)) }))
}

// actsOf is what was done by hand to one event, oldest first.
func (e *Engine) actsOf(row state.Row) (acts []Act, err error) {
	all, err := e.store.ActsOf(row.Event.ID, row.Acts)
	for _, a := range all {
		acts = append(acts, actOf(a))
	}
	return acts, err
}

// Hold is what held replaying.
type Hold struct {
	Why string    `json:"reason,omitempty"` // absent: none was given
	Who string    `json:"who"`              // backstop itself: see state.PausedByBackstop
	At  time.Time `json:"at,omitzero"`

	Misconfigured bool `json:"misconfigured,omitempty"` // the receiver refused everything, and nobody had paused
}

// NoReason stands for the reason of a pause that nobody gave one for.
const NoReason = "no reason given"

// given is a reason that somebody gave; "" for none.
func given(why string) string {
	if why == NoReason {
		return ""
	}
	return why
}

func holdOf(r state.Receiver) *Hold {
	switch {
	case r.Paused != "":
		return &Hold{Why: given(heygen.CutURLs(r.Paused)), Who: r.PausedBy, At: r.PausedAt}
	case r.Misconfigured != "":
		return &Hold{Why: "the receiver is misconfigured: " + r.Misconfigured, Who: state.PausedByBackstop, At: r.Since, Misconfigured: true}
	}
	return nil
}

// Pause stops replaying until Resume; walks go on. It tells what held it
// before, nil where nothing did. The newest reason stands.
func (e *Engine) Pause(why, who string) (*Hold, error) {
	why = cmp.Or(why, e.store.Receiver().Paused, NoReason)
	was, err := e.store.Pause(e.Now(), why, who)
	if err != nil {
		return nil, explain(err)
	}
	e.heldOtherwise() // the replayer says in the log what holds it
	return holdOf(was), nil
}

// Resume starts replaying again, and tells what held it; nil where nothing
// did.
func (e *Engine) Resume(why, who string) (*Hold, error) {
	was, err := e.store.Resume(e.Now(), why, who)
	if err != nil {
		return nil, explain(err)
	}
	e.heldOtherwise()
	return holdOf(was), nil
}

// heldOtherwise has those look again who care what holds replaying back.
func (e *Engine) heldOtherwise() {
	p := e.current()
	p.replayer.Wake()
	p.teller.Wake(false)
}
