package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/state"
)

// Event is one event as users read it.
type Event struct {
	ID        string    `json:"event_id"`
	Type      string    `json:"event_type,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Status    string    `json:"status"`
	Reason    string    `json:"reason"`
	Proof     string    `json:"proof,omitempty"`
	Entity    string    `json:"entity_id,omitempty"`
	ListedAt  time.Time `json:"listed_at,omitzero"`
	ChangedAt time.Time `json:"changed_at,omitzero"`
	NextAt    time.Time `json:"next_attempt_at,omitzero"`
	Twin      string    `json:"same_fact_as,omitempty"`
	Withheld  bool      `json:"withheld,omitempty"` // a person must say replay or ignore
	Held      string    `json:"held,omitempty"`     // why it is not sent now, although it is due
	Attempts  []Attempt `json:"attempts,omitempty"`
	Lost      int       `json:"attempts_not_kept,omitempty"` // between the first few and the others
	Acts      []Act     `json:"acts,omitempty"`              // of persons, oldest first; told of one event alone
	Run       uint64    `json:"run,omitempty"`               // the replay run that it was queued with last, while it is unfinished
}

// Attempt is one POST of an event as users read it.
type Attempt struct {
	At      time.Time     `json:"at"`
	Status  int           `json:"status,omitempty"` // HTTP; absent: there was no answer
	Error   string        `json:"error,omitempty"`
	Latency time.Duration `json:"latency_ns"`
	Counted bool          `json:"counted"`        // towards the attempts after which an event is dead
	Open    bool          `json:"open,omitempty"` // its outcome is not known

	Number     int     `json:"attempt"`                       // among all that were made, from 1 on
	RetryAfter float64 `json:"retry_after_seconds,omitempty"` // as the receiver asked
	Answer     string  `json:"answer,omitempty"`              // how its body begins, printable; told of one event alone
	Note       string  `json:"note,omitempty"`                // what was done to the event before it was sent
}

func eventOf(row state.Row) Event {
	event := Event{
		ID: row.Event.ID, Type: row.Event.Type, CreatedAt: row.Event.CreatedAt, Status: row.Status.String(),
		Reason: heygen.CutURLs(row.Why), Entity: row.Entity, ListedAt: row.Listed, ChangedAt: row.At, NextAt: row.Due, Twin: row.Twin,
		Withheld: row.Withheld, Lost: row.AttemptsLost(), Run: row.Run,
	}
	if row.Proof != state.None {
		event.Proof = row.Proof.String()
	}
	for i, a := range row.Attempts {
		event.Attempts = append(event.Attempts, Attempt{
			At: a.At, Status: a.Status, Error: a.Error, Latency: a.Latency, Counted: a.Counted, Open: a.Open,
			Number: row.AttemptNumber(i), RetryAfter: a.RetryAfter.Seconds(), Note: heygen.CutURLs(a.Note),
		})
	}
	return event
}

// Events gives the known events that the filter chooses, newest first.
func (e *Engine) Events(ctx context.Context, f state.Filter, yield func(Event) error) error {
	return explain(e.store.Events(ctx, f, func(row state.Row) error { return yield(e.told(row)) }))
}

// told is a stored event with the reason that the state does not keep: how long
// an event settles follows from the configuration.
func (e *Engine) told(row state.Row) Event {
	if row.Why == "" && row.Status == state.Settling {
		row.Why = settlingWhy(row, e.Now(), e.current().cfg.Reconcile.Settle)
	}
	event := eventOf(row)
	if open := row.Status == state.Missed || row.Status == state.Replaying; open && event.NextAt.Before(e.Now()) && e.held() != "" {
		event.NextAt = time.Time{} // it is due, and nothing goes out
	}
	return event
}

func settlingWhy(row state.Row, now time.Time, settle time.Duration) string {
	born := row.Event.CreatedAt
	if born.IsZero() {
		born = row.Listed
	}
	if settled := born.Add(settle); now.Before(settled) {
		return "settling until " + settled.UTC().Format(time.RFC3339)
	}
	return "settled, and judged by the next pass"
}

// Event gives all that is known of one event.
func (e *Engine) Event(id string) (Event, error) {
	row, err := e.store.Event(id)
	if err != nil {
		return Event{}, explain(err)
	}
	if row == nil {
		return Event{}, unknown(id)
	}
	event := e.told(*row)
	for i := range event.Attempts { // they may be long, and are not for listings
		event.Attempts[i].Answer = heygen.CutURLs(row.Attempts[i].Answer)
	}
	if event.Acts, err = e.actsOf(*row); err != nil {
		return Event{}, explain(err)
	}
	if row.Withheld {
		event.Held = "it waits for `backstop replay " + printable(id) + "` or `backstop ignore " + printable(id) + "`"
	} else if row.Status == state.Missed || row.Status == state.Replaying {
		if event.Held = cmp.Or(e.held(), e.outage(), e.rest()); event.Held != "" && event.NextAt.Before(e.Now()) {
			event.NextAt = time.Time{}
		}
	} else if err := e.sourceError(); err != nil && row.Status == state.Listed {
		event.Held = heygen.CutURLs(err.Error())
	}
	return event, nil
}

// outage tells that the receiver fails, and that nothing but a probe is sent
// now; "" when it does not.
func (e *Engine) outage() string {
	o := e.current().replayer.Outage()
	if o.Answer == "" {
		return ""
	}
	return fmt.Sprintf("the receiver fails since %s (%s): one event at a time is tried", o.Since.UTC().Format(time.RFC3339), o)
}

// rest tells that the receiver asked to be let alone, "" when it did not.
func (e *Engine) rest() string {
	held := e.current().replayer.Pace().Held
	if held.IsZero() {
		return ""
	}
	return "the receiver asked to be let alone until " + held.UTC().Format(time.RFC3339)
}

// ErrUnknown is in the error of an id that the state has never heard of.
var ErrUnknown = errors.New("no such event is known")

// unknown is the answer for an id that the state has never heard of.
func unknown(id string) error {
	return exit.Wrap(exit.Failed, "check the id; `backstop reconcile` reads the newest part of the listing", unknownError(printable(id)))
}

type unknownError string // the id

func (e unknownError) Error() string        { return fmt.Sprintf("no event %q is known", string(e)) }
func (e unknownError) Is(target error) bool { return target == ErrUnknown }

// printable cuts what is no id to something that can be shown.
func printable(id string) string {
	if heygen.PrintableID(id) {
		return id
	}
	return "?"
}
