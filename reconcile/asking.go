package reconcile

import (
	"context"
	"fmt"
	"maps"
	"strings"
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

// asking remembers when the sources were asked about which events. The zero
// asking remembers none.
type asking struct {
	at map[string]time.Time // when the question began, by id
}

// fresh gives the rule by which the state tells whether the next event may be
// claimed at now, by an answer that is younger than within; nil when there is nobody to ask.
func (a *asking) fresh(s *Sources, now time.Time, within time.Duration) func(id string) bool {
	if s.idle() {
		return nil
	}
	return func(id string) bool { return now.Sub(a.at[id]) < within }
}

// asked remembers a question that began then, and forgets those of old.
func (a *asking) asked(ids []string, began time.Time) {
	maps.DeleteFunc(a.at, func(_ string, at time.Time) bool { return began.Sub(at) >= freshFor })
	if a.at == nil {
		a.at = make(map[string]time.Time, len(ids))
	}
	for _, id := range ids {
		a.at[id] = began
	}
}

// ask asks about the events that are due, in one question. What the receiver has
// is seen from then on, and no claim finds it. Where a source can't answer, or
// takes so long that its answer is old, nothing is sent for wait. It needs
// r.claiming.
func (r *Replayer) ask(ctx context.Context, rules state.ClaimRules) (wait time.Duration, err error) {
	began := time.Now()
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
	if failed = also(failed, answers.Failed...); len(failed) > 0 {
		return r.stopAsking("a source could not answer: " + strings.Join(failed, ", ")), nil
	}
	if within := r.freshness(); time.Since(began) >= within {
		return r.stopAsking(fmt.Sprintf("the sources take longer than %s to answer, and what they say is old then; make them faster", within)), nil
	}
	ids := make([]string, len(due))
	for i, e := range due {
		ids[i] = e.ID
	}
	r.asking.asked(ids, began)
	return 0, nil
}

// stopAsking sends nothing for a while, and tells how long.
func (r *Replayer) stopAsking(why string) time.Duration {
	r.stop(why, time.Now().Add(askAgain))
	return askAgain
}

// heard writes down what the oracles said: an event that the receiver has is
// seen, and an answer of any kind pairs.
func (r *Replayer) heard(a Answers) error {
	if err := a.pair(r.store); err != nil {
		return err
	}
	seen := make([]state.Sighting, 0, len(a.Has))
	for id, proof := range a.Has {
		seen = append(seen, state.Sighting{ID: id, Proof: proof})
	}
	_, err := r.store.Record(time.Now(), seen)
	return err
}
