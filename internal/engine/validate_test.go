package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
	"backstop/internal/simulate"
	"backstop/state"
)

// statuses is where every event stands that has been listed to backstop.
func (s *scene) statuses(l *life) map[string]state.Status {
	all := map[string]state.Status{}
	for _, row := range s.rows(l) {
		all[row.Event.ID] = row.Status
		if row.Twin != "" { // seen only as long as its kept event may be
			s.set(func() { s.waits[row.Event.ID] = true })
		}
	}
	return all
}

func (s *scene) rows(l *life) []state.Row {
	var rows []state.Row
	s.must(l.engine.store.Events(s.t.Context(), state.Filter{}, func(r state.Row) error {
		if !r.Listed.IsZero() {
			rows = append(rows, r)
		}
		return nil
	}))
	return rows
}

// event is an event as the world has it.
func (s *scene) event(id string) simulate.Event {
	s.mu.Lock()
	e, ok := s.listed[id]
	s.mu.Unlock()
	if ok {
		return e
	}
	e, ok = s.world.Event(id)
	if !ok {
		s.wrong("%s was never made", id)
	}
	s.set(func() { s.listed[id] = e })
	return e
}

// sample looks at backstop while it runs: what must hold at every moment.
func (s *scene) sample() {
	synctest.Wait()
	l := s.current()
	if l == nil {
		return
	}
	select {
	case <-l.done:
		if !l.isDead() {
			s.t.Fatalf("Run ended by itself: %v", l.err)
		}
		return
	default:
	}
	known := s.statuses(l)
	s.vanished(l, known)
	s.marks(l, known)
	s.counts(l, known)
	s.metered(l)
	if l.engine.store.Receiver().Misconfigured != "" {
		s.meet("misconfigured")
	}
}

// vanished is the half of S1 that holds at any time: what is known stays known,
// and what is decided for good stays so.
func (s *scene) vanished(l *life, known map[string]state.Status) {
	floor := l.engine.store.Floor()
	for id, was := range s.known {
		is := known[id]
		if is == 0 && !s.event(id).CreatedAt.Before(floor) {
			s.wrong("S1: %s was %s, and is unknown", id, was)
		}
		if was == state.Seen && is != state.Seen && is != 0 && !s.waits[id] && !s.touchedFact(id) {
			s.wrong("S1: %s was seen, and is %s", id, is)
		}
	}
	s.set(func() { s.known = known })
}

// marks is S9: the mark never moves back, never passes now less the settle time,
// and nothing that a complete walk could have met below it is unknown.
func (s *scene) marks(l *life, known map[string]state.Status) {
	store := l.engine.store
	poll, err := store.Position(heygen.Query{}, state.Poll)
	s.must(err)
	sweep, err := store.Position(heygen.Query{}, state.Sweep)
	s.must(err)
	if len(poll.Checkpoint.Segments)+len(sweep.Checkpoint.Segments) > 0 {
		s.meet("stopped walk")
	}
	mark, completed := newer(poll.Mark, sweep.Mark), newer(poll.Completed, sweep.Completed)
	if mark.Before(s.mark) {
		s.wrong("S9: the mark went back from %v to %v", s.mark, mark)
	}
	s.set(func() { s.mark = mark })
	if mark.IsZero() {
		return
	}
	if s.complete.IsZero() {
		s.set(func() { s.complete = time.Now().Add(s.plan.world.ClockSkew) })
	}
	if limit := time.Now().Add(s.plan.world.ClockSkew - s.plan.settle); mark.After(limit) {
		s.wrong("S9: the mark %v is past %v", mark, limit)
	}
	baseline, _ := store.Baseline()
	for _, id := range s.world.Listed() {
		e := s.event(id)
		late := max(0, e.ListedAt.Sub(e.CreatedAt))
		met := !e.ListedAt.After(completed) && late <= s.plan.lookback && !e.CreatedAt.After(mark)
		if met && known[id] == 0 && !e.CreatedAt.Before(baseline) && !e.CreatedAt.Before(store.Floor()) && !s.touched[id] {
			s.wrong("S9: the mark is %v after a complete walk at %v, and %s, created %v, listed %v, is unknown", mark, completed, id, e.CreatedAt, e.ListedAt)
		}
	}
}

func newer(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// counts is S15: the numbers are those of the events.
func (s *scene) counts(l *life, known map[string]state.Status) {
	want := map[state.Status]int64{}
	for _, status := range known {
		want[status]++
	}
	for status, n := range l.engine.store.Counts().Status {
		if n != want[status] {
			s.wrong("S15: %d events are counted as %s, %d are", n, status, want[status])
		}
	}
}

// inspect looks at the state that a life has left to the next one.
func (s *scene) inspect() {
	synctest.Wait()
	l := s.current()
	problems, err := l.engine.store.Check(s.t.Context(), true)
	s.must(err)
	for _, p := range problems {
		s.wrong("check: %s %s: %s", p.Bucket, p.Key, p.What)
	}
	s.mu.Lock()
	acked := make([]string, 0, len(s.acked))
	for id := range s.acked {
		acked = append(acked, id)
	}
	s.mu.Unlock()
	for _, id := range acked {
		row, err := l.engine.store.Event(id)
		s.must(err)
		if row == nil || row.Status != state.Seen {
			if floor := l.engine.store.Floor(); row == nil && s.event(id).CreatedAt.Before(floor) {
				continue // pruned
			}
			s.wrong("S10: the report of %s was acknowledged, and it is %+v", id, row)
		}
	}
}

// validate checks everything that must hold once nothing is left to do. It is
// the one validator of all simulations.
func (s *scene) validate() {
	s.inspect()
	l := s.current()
	v := &validator{scene: s, rows: map[string]state.Row{}, posts: map[string][]*post{}, twins: map[heygen.Fact][]string{}}
	for _, row := range s.rows(l) {
		v.rows[row.Event.ID] = row
		if fact := s.fact(row.Event.ID); !fact.IsZero() {
			v.twins[fact] = append(v.twins[fact], row.Event.ID)
		}
	}
	s.mu.Lock()
	for _, p := range s.posts {
		v.posts[p.id] = append(v.posts[p.id], p)
	}
	s.mu.Unlock()
	v.noneLost(l)
	for id, row := range v.rows {
		v.seenIsReal(id, row)
		v.deadIsReal(id, row)
	}
	v.duplicates()
	for id, posts := range v.posts {
		v.bytes(id, posts)
		v.notKnown(id, posts)
	}
	v.order()
	v.coverage(l)
	for _, text := range s.errors {
		s.t.Error(text)
	}
}

func (s *scene) fact(id string) heygen.Fact {
	e := s.event(id)
	fact, _ := heygen.FactOf(e.Type, e.Data)
	return fact
}

// touchedFact reports whether a person did something about the event or about
// another one of the same fact.
func (s *scene) touchedFact(id string) bool {
	if s.touched[id] {
		return true
	}
	fact := s.fact(id)
	for other := range s.touched {
		if !fact.IsZero() && s.fact(other) == fact {
			return true
		}
	}
	return false
}

type validator struct {
	*scene
	rows  map[string]state.Row
	posts map[string][]*post
	twins map[heygen.Fact][]string
}

// noneLost is S1: every event that was listed since the baseline has ended.
func (v *validator) noneLost(l *life) {
	baseline, ok := l.engine.store.Baseline()
	if !ok {
		v.wrong("S1: there is no baseline")
	}
	floor := l.engine.store.Floor()
	for _, id := range v.world.Listed() {
		e, row := v.event(id), v.rows[id]
		dated := !v.undated[id]
		switch {
		case dated && e.CreatedAt.Before(floor):
		case dated && e.CreatedAt.Before(baseline):
			if row.Status != 0 && !row.Status.Terminal() {
				v.wrong("S1: %s is older than the baseline, and is %s", id, row.Status)
			}
		case !row.Status.Terminal() && row.Status != state.Dead:
			v.wrong("S1: %s, created %v, listed %v, ended as %q: lost", id, e.CreatedAt, e.ListedAt, row.Status)
		case row.Proof == state.Baseline && dated:
			v.wrong("S1: %s, created %v, is taken for older than the baseline %v", id, e.CreatedAt, baseline)
		case row.Proof == state.Baseline && e.ListedAt.After(v.complete):
			v.wrong("S1: the undated %s, listed at %v after the first walk, is taken for older than the baseline", id, e.ListedAt)
		case row.Status == state.Ignored && !v.touchedFact(id):
			v.wrong("S1: %s is ignored, and nobody asked for it", id)
		}
	}
	for id := range v.rows {
		if _, ok := v.world.Event(id); !ok {
			v.wrong("S1: %s was never listed", id)
		}
	}
}

// seenIsReal is S2 and S3: what is seen has reached the receiver, and backstop
// could know.
func (v *validator) seenIsReal(id string, row state.Row) {
	if row.Status != state.Seen || row.Proof == state.Baseline {
		return
	}
	if row.Twin != "" {
		kept, ok := v.rows[row.Twin]
		if !ok || kept.Status != state.Seen || kept.Proof == state.Baseline || v.fact(row.Twin) != v.fact(id) {
			v.wrong("S3: %s is seen as the same fact as %s, which is %s (%s)", id, row.Twin, kept.Status, kept.Proof)
		}
		return
	}
	switch row.Proof {
	case state.Replay:
		if !slices.ContainsFunc(v.posts[id], func(p *post) bool { return accepted(p.got) }) {
			v.wrong("S2: %s is seen by a replay, and none was answered 2xx", id)
		}
	case state.Report:
		if !v.said[id] && !v.saidFact[v.fact(id)] {
			v.wrong("S3: %s is seen by a report, and nobody reported it", id)
		}
	default:
		v.wrong("S3: %s is seen by %q", id, row.Proof)
	}
	if facts := v.receiver.Facts(); !v.fact(id).IsZero() && facts[v.fact(id)].Total() == 0 {
		v.wrong("S3: %s is seen by %s, and the receiver never accepted it", id, row.Proof)
	}
}

// deadIsReal: an outage, a refused secret or a lost answer kills nothing.
func (v *validator) deadIsReal(id string, row state.Row) {
	if e := v.event(id); row.Status == state.Dead && v.poison != e.Type+" "+e.Entity {
		v.wrong("%s is dead, and the receiver would take it: %s", id, row.Why)
	}
}

// duplicates is S4: a further replay of what the receiver had accepted comes only
// of an answer that was lost, or of a kill while it flew.
func (v *validator) duplicates() {
	extra, lost := 0, 0
	for id, posts := range v.posts {
		extra += max(0, count(posts, func(p *post) bool { return accepted(p.status) })-1-v.again[id])
		for i, p := range posts {
			if !accepted(p.status) {
				continue
			}
			if !accepted(p.got) {
				lost++
			}
			if i == len(posts)-1 || v.touched[id] {
				continue
			}
			switch killed := v.killedIn(p); {
			case !accepted(p.got) && !killed:
				v.met["duplicate after a lost answer"]++
			case killed:
				v.met["duplicate after a kill"]++
			default:
				v.wrong("S4: %s was accepted at %s, and sent again at %s: %s", id, v.clock(p.end), v.clock(posts[i+1].start), v.story(posts))
			}
		}
	}
	if most := len(v.deaths)*v.plan.concurrency + lost; extra > most {
		v.wrong("S4: %d duplicates of %d kills with %d in flight and %d lost answers", extra, len(v.deaths), v.plan.concurrency, lost)
	}
}

// killedIn reports whether backstop was killed while p flew, or before what came
// of it was surely written down.
func (v *validator) killedIn(p *post) bool {
	return slices.ContainsFunc(v.deaths, func(d death) bool {
		return d.life == p.life && !d.at.Before(p.start) && (p.end.IsZero() || !d.at.After(p.end))
	})
}

func (v *validator) clock(t time.Time) string { return t.Sub(v.began).String() }

func (v *validator) story(posts []*post) string {
	var all []string
	for _, p := range posts {
		all = append(all, fmt.Sprintf("life %d attempt %s %s–%s status %d got %d %s", p.life, p.attempt, v.clock(p.start), v.clock(p.end), p.status, p.got, p.reason))
	}
	for _, d := range v.deaths {
		all = append(all, fmt.Sprintf("life %d was killed at %s", d.life, v.clock(d.at)))
	}
	return strings.Join(all, "\n\t")
}

// bytes is S6: event_data is sent as it was listed.
func (v *validator) bytes(id string, posts []*post) {
	e := v.event(id)
	name, err := json.Marshal(e.Type)
	v.must(err)
	want := fmt.Sprintf(`{"event_type":%s,"event_data":%s}`, name, e.Data)
	for _, p := range posts {
		if p.body != want {
			v.wrong("S6: %s was sent as %s, and listed as %s", id, p.body, want)
		}
	}
}

// notKnown is S5 and S17: once a report is acknowledged, no replay of its event
// begins. What begins in the same instant may have been under way.
func (v *validator) notKnown(id string, posts []*post) {
	if v.touchedFact(id) {
		return
	}
	for _, p := range posts {
		if at, ok := v.acked[id]; ok && at.Before(p.start) {
			v.wrong("S5: the report of %s was acknowledged at %s, and it was sent at %s: %s", id, v.clock(at), v.clock(p.start), v.story(posts))
		}
		fact := v.fact(id)
		if at, ok := v.ackedFact[fact]; ok && at.Before(p.start) && !v.undated[id] && !fact.IsZero() {
			v.wrong("S17: the anonymous push of %s was acknowledged at %s, and it was sent at %s: %s", id, v.clock(at), v.clock(p.start), v.story(posts))
		}
		for _, twin := range v.twins[fact] {
			at, ok := v.acked[twin]
			if ok && at.Before(p.start) && v.rows[twin].Listed.Before(p.start) && !v.undated[id] && !v.undated[twin] && !fact.IsZero() {
				v.wrong("S5: %s, the same fact as %s, was acknowledged at %s and listed at %s, and sent at %s", twin, id, v.clock(at), v.clock(v.rows[twin].Listed), v.clock(p.start))
			}
		}
	}
}

// order is S13: of two events of one entity the older is done before the newer
// is first sent, unless it was listed later or a person meddled.
func (v *validator) order() {
	families := map[string][]string{}
	for id := range v.posts {
		row := v.rows[id]
		if row.Entity == "" {
			row.Entity = v.event(id).Entity
		}
		if row.Entity != "" && !v.touchedFact(id) && !v.undated[id] && row.Twin == "" {
			families[row.Entity] = append(families[row.Entity], id)
		}
	}
	for _, family := range families {
		slices.SortFunc(family, func(a, b string) int {
			return cmp.Or(v.event(a).CreatedAt.Compare(v.event(b).CreatedAt), cmp.Compare(a, b))
		})
		for i, younger := range family {
			for _, older := range family[:i] {
				v.inOrder(older, younger)
			}
		}
	}
}

func (v *validator) inOrder(older, younger string) {
	before, after := v.rows[older].Listed, v.rows[younger].Listed
	if before.After(after) || before.Equal(after) && v.begunAt(after) || v.fact(older) == v.fact(younger) {
		return
	}
	first := v.posts[younger][0].start
	for _, p := range v.posts[older] {
		if accepted(p.got) && !v.killedIn(p) || v.rows[older].Status == state.Dead {
			if p.end.After(first) && p.start.Before(first) || p.start.After(first) {
				v.wrong("S13: %s was sent at %s, before the older %s of its entity was done at %s\n%s\n%s", younger, v.clock(first), older, v.clock(p.end),
					v.story(v.posts[older]), v.story(v.posts[younger]))
			}
		}
	}
	if len(v.posts[older]) > 1 {
		v.met["head of an entity held the rest"]++
	}
}

// begunAt reports whether backstop began in the second at which an event was
// listed: two walks, of which the first was cut off, may lie in it.
func (v *validator) begunAt(listed time.Time) bool {
	return slices.ContainsFunc(v.starts, func(start time.Time) bool {
		behind := min(0, v.plan.world.ClockSkew) // the clock of the listing, where it is behind
		return start.Add(behind).Sub(listed).Abs() < 2*time.Second
	})
}

// coverage is S18: from the baseline to the mark there is no gap that is not told.
func (v *validator) coverage(l *life) {
	baseline, _ := l.engine.store.Baseline()
	ranges, err := l.engine.store.Coverage(heygen.Query{})
	v.must(err)
	position, err := l.engine.store.Position(heygen.Query{}, state.Poll)
	v.must(err)
	if len(ranges) != 1 || ranges[0].From.After(baseline) || ranges[0].To.Before(position.Mark) {
		v.wrong("S18: the walks covered %v, want all from %v to %v", ranges, baseline, position.Mark)
	}
	if limit := time.Now().Add(max(0, v.plan.world.ClockSkew)); len(ranges) > 0 && ranges[len(ranges)-1].To.After(limit) {
		v.wrong("S18: the coverage %v ends after now", ranges)
	}
}

// tell counts the situations that show in what is left.
func (s *scene) tell() {
	for what, n := range s.world.Stats().Faults {
		s.met[what] += n
	}
	s.met["order "+s.plan.world.Faults.Order]++
	if s.plan.world.ClockSkew != 0 {
		s.met["skew"]++
	}
	for _, row := range s.rows(s.current()) {
		e := s.event(row.Event.ID)
		s.met["proof "+row.Proof.String()]++
		switch {
		case row.Twin != "":
			s.met["twin"]++
		case row.Status == state.Dead:
			s.met["dead"]++
		case row.Proof == state.Report && !s.said[row.Event.ID]:
			s.met["credit"]++
		case s.undated[row.Event.ID] && row.Proof != state.Baseline:
			s.met["undated"]++
		}
		if e.ListedAt.Sub(e.CreatedAt) > s.plan.lookback {
			s.met["listed late"]++
		}
	}
	accepts := s.receiver.Accepted()
	for _, p := range s.posts {
		if p.status == 0 {
			s.met["replay met an outage"]++
		}
		if p.attempt != "1" {
			s.met["replay retried"]++
		}
		if s.plan.work > 0 && s.killedDuring(p) {
			s.met["kill with a POST in flight"]++
		}
		if c := accepts[p.id]; c.Push > 0 && c.Replay > 0 {
			s.met["push raced a replay"]++
		}
	}
}

func (s *scene) killedDuring(p *post) bool {
	return slices.ContainsFunc(s.deaths, func(d death) bool {
		return d.life == p.life && d.at.After(p.start) && p.got == 0
	})
}

func count[T any](all []T, is func(T) bool) int {
	n := 0
	for _, one := range all {
		if is(one) {
			n++
		}
	}
	return n
}
