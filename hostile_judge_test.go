package main_test

import (
	"fmt"
	"math"
	"slices"
	"time"

	"backstop/internal/simulate"
)

// trial is everything that was seen of backstop before a hostile receiver, and
// what was to be seen.
type trial struct {
	events      []simulate.Event // that no push brought
	log         []arrival        // in the order of arrival
	turned      []time.Time      // connections that were refused, as far as they can be seen
	killed      map[string]time.Time
	concurrency int
	rate        float64              // 0: none
	reloads     int                  // each makes a new limit
	spare       int                  // attempts that may go above the rate after a rest
	exact       bool                 // time is simulated: a POST arrives when it is sent
	dead        func(id string) bool // nil: none may be
	unsigned    bool                 // a wrong secret may have signed what was not taken
}

// count is what a trial met.
type count struct {
	missed, posts, failures, lost, duplicates, kills, most int // lost: taken, and the answer did not come through
	again                                                  int // duplicates that only a kill can explain
}

func (c count) String() string {
	return fmt.Sprintf("%d events, %d POSTs, %d of them failed; %d answers lost, %d kills; %d duplicates, %d of them by a kill; at most %d in flight",
		c.missed, c.posts, c.failures, c.lost, c.kills, c.duplicates, c.again, c.most)
}

// finding collects what must not be.
type finding struct {
	trial
	count
	byID  map[string][]arrival
	wrong []string
}

func (f *finding) say(format string, args ...any) {
	f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
}

// judge is the one validator of all hostile receivers: it compares what was
// missed with what arrived.
func (t trial) judge() (wrong []string, c count) {
	f := &finding{trial: t, byID: map[string][]arrival{}}
	if f.dead == nil {
		f.dead = func(string) bool { return false }
	}
	for _, a := range f.log {
		f.byID[a.id] = append(f.byID[a.id], a)
	}
	f.tally()
	f.everyoneServed()
	f.signatures()
	f.duplicated()
	f.order()
	f.flights()
	f.pace()
	return f.wrong, f.count
}

// tally counts, and bounds the POSTs: each event needs one, and each that failed
// or that a kill cut off needs one more.
func (f *finding) tally() {
	f.missed, f.posts, f.kills = len(f.events), len(f.log), len(f.killed)
	for _, a := range f.log {
		if !a.took() || !a.through {
			f.failures++
		}
		if a.took() && !a.through {
			f.lost++
		}
	}
	if most := f.missed + f.failures + f.kills*f.concurrency; f.posts > most {
		f.say("%d POSTs for %d events, %d failures and %d kills: want %d at most", f.posts, f.missed, f.failures, f.kills, most)
	}
}

// everyoneServed: each event was taken, or had to die and was not.
func (f *finding) everyoneServed() {
	known := map[string]bool{}
	for _, e := range f.events {
		known[e.ID] = true
		took := slices.ContainsFunc(f.byID[e.ID], arrival.took)
		switch {
		case !took && !f.dead(e.ID):
			f.say("lost: %s was never accepted in %d POSTs", e.ID, len(f.byID[e.ID]))
		case took && f.dead(e.ID):
			f.say("%s was accepted, and was to be dead", e.ID)
		}
	}
	for id := range f.byID {
		if !known[id] {
			f.say("%q was sent, and is no event that was missed", id)
		}
	}
}

func (f *finding) signatures() {
	for _, a := range f.log {
		if !a.signed && (a.took() || !f.unsigned) {
			f.say("POST %d of %s does not bear the receiver's signature", a.nth+1, a.id)
		}
	}
}

// duplicated: after an answer that came through an event comes again only where
// a kill was quicker than its record, and at most those in flight at that kill.
func (f *finding) duplicated() {
	cut := map[string]int{} // by the life that was killed
	for id, posts := range f.byID {
		took := 0
		for i, a := range posts {
			if a.took() {
				took++
			}
			if i == 0 || !posts[i-1].took() || !posts[i-1].through {
				continue
			}
			before := posts[i-1].life
			if _, killed := f.killed[before]; !killed || before == a.life {
				f.say("%s came again in life %q although life %q had its answer", id, a.life, before)
				continue
			}
			f.again++
			if cut[before]++; cut[before] == f.concurrency+1 {
				f.say("more than %d events that life %q had sent came again", f.concurrency, before)
			}
		}
		f.duplicates += max(0, took-1)
	}
	if most := f.lost + f.again; f.duplicates > most {
		f.say("%d duplicates, %d lost answers and %d cut off by kills", f.duplicates, f.lost, f.again)
	}
}

// order: a later event of an entity is first sent when each earlier one is done.
func (f *finding) order() {
	families := map[string][]simulate.Event{}
	for _, e := range f.events {
		families[e.Entity] = append(families[e.Entity], e)
	}
	for entity, family := range families {
		slices.SortStableFunc(family, func(a, b simulate.Event) int { return a.CreatedAt.Compare(b.CreatedAt) })
		var ready time.Time // when the earlier ones were done
		for i, e := range family {
			posts := f.byID[e.ID]
			if len(posts) == 0 {
				break // it was found to be lost
			}
			if i > 0 && entity != "" && posts[0].at.Before(ready) && family[i-1].CreatedAt.Before(e.CreatedAt) {
				f.say("%s was first sent %s before the earlier ones of its entity were done", e.ID, ready.Sub(posts[0].at))
			}
			ready = latest(ready, f.done(e.ID))
		}
	}
}

// done is when an event was taken and its answer left, or when it was refused
// for the last time.
func (f *finding) done(id string) time.Time {
	posts := f.byID[id]
	for _, a := range posts {
		if a.took() && a.through {
			return a.left
		}
	}
	if f.dead(id) && len(posts) >= refusedUntilDead {
		return posts[refusedUntilDead-1].left
	}
	return time.Unix(1<<40, 0) // never
}

// refusedUntilDead is how often a receiver may refuse an event.
const refusedUntilDead = 3

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// flights: never more in flight than the concurrency, and one of an event's
// entity.
func (f *finding) flights() {
	entities := map[string]string{}
	for _, e := range f.events {
		entities[e.ID] = e.Entity
	}
	var flying []arrival
	for _, a := range f.log {
		flying = slices.DeleteFunc(flying, func(b arrival) bool { return !f.ended(b).After(a.at) })
		for _, b := range flying {
			if entity := entities[a.id]; entity != "" && entity == entities[b.id] {
				f.say("%s was sent while %s of its entity was in flight", a.id, b.id)
			}
		}
		flying = append(flying, a)
		if f.most = max(f.most, len(flying)); len(flying) == f.concurrency+1 {
			f.say("at %s there are %d in flight", a.at.Format(time.StampMicro), len(flying))
		}
	}
}

// ended is the end of what is certain of a flight.
func (f *finding) ended(a arrival) time.Time {
	end := a.left
	if end.IsZero() {
		end = a.at // nobody knows
	}
	if kill, ok := f.killed[a.life]; ok && kill.Before(end) {
		return kill
	}
	return end
}

// pace: the rate holds. Where time is simulated, for every stretch of it; else
// over the whole, as a POST may be late on its way.
func (f *finding) pace() {
	if f.rate == 0 || len(f.log) == 0 {
		return
	}
	times := slices.Clone(f.turned)
	for _, a := range f.log {
		times = append(times, a.at)
	}
	slices.SortFunc(times, time.Time.Compare)
	if f.exact {
		f.steady(times)
		return
	}
	over := times[len(times)-1].Sub(times[0]) + moment
	burst := 1 + f.kills + f.reloads
	if most := int(math.Ceil(f.rate*over.Seconds())) + burst; len(times) > most {
		f.say("%d POSTs in %s at %g a second: want %d at most", len(times), over, f.rate, most)
	}
}

// steady finds the first stretch of time with more POSTs than the rate and a
// burst of one allow, but for those that are spared.
func (f *finding) steady(times []time.Time) {
	const grain = time.Microsecond // the limit counts in fractions
	each := time.Duration(float64(time.Second) / f.rate)
	free := times[0]
	for i, at := range times {
		if early := free.Sub(at) - time.Duration(f.spare)*each; early > grain*time.Duration(i+1) {
			f.say("POST %d came %s before the rate allows it", i+1, early)
			return
		}
		free = latest(free, at).Add(each)
	}
}

// refusals counts the answers of a kind for each event, those of a status.
func refusals(log []arrival, status int) map[string]int {
	n := map[string]int{}
	for _, a := range log {
		if a.status == status {
			n[a.id]++
		}
	}
	return n
}
