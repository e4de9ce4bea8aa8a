package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"backstop/state"
)

const (
	// freshFor is how old an answer may be when an event is sent: what the
	// receiver took in meanwhile is sent twice.
	freshFor = 10 * time.Second

	// askAgain is after how long a source that failed is asked again.
	askAgain = 10 * time.Second
)

// asking remembers about which events the sources were asked a moment ago. The
// zero asking remembers none.
type asking struct {
	at  time.Time
	ids map[string]bool
}

// fresh gives the rule by which the state tells whether the next event may be
// claimed at now; nil when there is nobody to ask.
func (a *asking) fresh(s *Sources, now time.Time) func(id string) bool {
	if s.idle() {
		return nil
	}
	return func(id string) bool { return now.Sub(a.at) < freshFor && a.ids[id] }
}

// claimAsked claims the next event, once the sources were asked about it. One
// question serves all events that are due. It needs r.claiming.
func (r *Replayer) claimAsked(ctx context.Context, rules state.ClaimRules) (*state.Claim, time.Duration, error) {
	rules.Asked = r.asking.fresh(r.options.Sources, rules.Now)
	for {
		c, wait, err := r.store.Claim(rules)
		if !errors.Is(err, state.ErrAsk) {
			return c, wait, err
		}
		if wait, err := r.ask(ctx, rules); wait > 0 || err != nil {
			return nil, wait, err
		}
		if len(r.asking.ids) == 0 {
			rules.Asked = nil // what is next can't be read: the claim takes it out of the way
		}
	}
}

// ask asks about the events that are due. What the receiver has is seen from
// then on, and no claim finds it. Where a source can't answer nothing is sent,
// for wait.
func (r *Replayer) ask(ctx context.Context, rules state.ClaimRules) (wait time.Duration, err error) {
	failed, err := r.options.Sources.Sync(ctx)
	if err != nil {
		return lookAgain, nil // ctx has ended, and with it whoever would send
	}
	due, err := r.store.Due(rules, mostAsked)
	if err != nil {
		return 0, fmt.Errorf("list what is due: %w", err)
	}
	answers, err := r.options.Sources.Ask(ctx, due)
	if err != nil {
		return lookAgain, nil
	}
	if err := r.heard(answers); err != nil {
		return 0, err
	}
	if failed = also(failed, answers.Failed); failed != "" {
		r.stop("a source could not answer: "+failed, rules.Now.Add(askAgain))
		return askAgain, nil
	}
	r.asking = asking{at: rules.Now, ids: make(map[string]bool, len(due))}
	for _, e := range due {
		r.asking.ids[e.ID] = true
	}
	return 0, nil
}

// heard writes down what the oracles said: an event that the receiver has is
// seen, and an answer of any kind pairs.
func (r *Replayer) heard(a Answers) error {
	if len(a.Spoke) > 0 {
		if err := r.store.SetPaired(a.Spoke...); err != nil {
			return err
		}
	}
	seen := make([]state.Sighting, 0, len(a.Has))
	for id, proof := range a.Has {
		seen = append(seen, state.Sighting{ID: id, Proof: proof})
	}
	_, err := r.store.Record(time.Now(), seen)
	return err
}
