package state

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"backstop/internal/heygen"
)

// model is the state as simple as it can be told: what was listed, what the receiver said, and what may not change.
type model struct {
	t      *rapid.T
	s      *Store
	o      Options
	now    time.Time
	pool   []heygen.Event
	listed map[string]bool
	proven map[string]bool // reported, or replayed with success, and not forgotten since
	flying map[string]*Claim
	held   map[string]bool  // withheld by a restore, and not asked for by a person since
	told   map[Status]int64 // how many events stand where, by the changes that were told

	queues map[uint64]*Resends // of forced runs
	resent map[string]*Claim   // what is in flight by force
	of     map[string]*Resends // where that was claimed

	pushes map[heygen.Fact]int // how often a push of the content was told of, without its event's id
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) pick(label string) heygen.Event { return rapid.SampledFrom(m.pool).Draw(m.t, label) }

func (m *model) list(t *rapid.T) {
	m.t = t
	var page []heygen.Event
	for range rapid.IntRange(1, 4).Draw(t, "rows") {
		page = append(page, m.pick("row"))
	}
	_, err := m.s.CommitPages(Pages{Events: page, Now: m.now})
	m.must(err)
	for _, e := range page {
		m.listed[e.ID] = true
	}
}

func (m *model) record(t *rapid.T) {
	m.t = t
	e := m.pick("reported")
	proof := rapid.SampledFrom([]Proof{Report, Tap, Import, Mirror}).Draw(t, "proof")
	n, err := m.s.Record(m.now, []Sighting{{ID: e.ID, Proof: proof}, {ID: e.ID, Proof: Report}})
	m.must(err)
	if n != 2 {
		t.Fatalf("recorded %d, want 2", n)
	}
	m.proven[e.ID] = true
}

func (m *model) anonymous(t *rapid.T) {
	m.t = t
	if fact, ok := m.pick("content").Fact(); ok {
		_, err := m.s.Record(m.now, []Sighting{{Fact: fact, Proof: rapid.SampledFrom([]Proof{Report, Tap, Log}).Draw(t, "proof")}})
		m.must(err)
		m.pushes[fact]++
	}
}

// push is one of which id and content are known; the id may be one that no listing has.
func (m *model) push(t *rapid.T) {
	m.t = t
	e := m.pick("pushed")
	fact, _ := e.Fact()
	one := Sighting{ID: e.ID, Fact: fact, Proof: rapid.SampledFrom([]Proof{Mirror, Tap, Log}).Draw(t, "proof")}
	if rapid.Bool().Draw(t, "under another id") {
		one.ID = fmt.Sprintf("hdr_%d", rapid.IntRange(0, 5).Draw(t, "id"))
		m.pushes[fact]++
	} else {
		m.proven[e.ID] = true
	}
	_, err := m.s.Record(m.now, []Sighting{one})
	m.must(err)
}

// walk completes one: what was pushed is listed by then.
func (m *model) walk(t *rapid.T) {
	m.t = t
	var page []heygen.Event
	for _, e := range m.pool {
		if m.proven[e.ID] || m.listed[e.ID] {
			page = append(page, e)
			m.listed[e.ID] = true
		}
	}
	_, err := m.s.CommitPages(Pages{Events: page, Now: m.now})
	m.must(err)
	m.must(m.s.FinishWalk(WalkEnd{Now: m.now, Complete: true, Mark: m.now, From: m.now.Add(-time.Hour), To: m.now, Start: m.now}))
}

func (m *model) judge(t *rapid.T) {
	m.t = t
	for id, v := range judged(t, m.s, m.now) {
		if m.proven[id] && v.Status != Seen {
			t.Fatalf("%s is proven and was judged %s", id, v.Status)
		}
	}
}

func (m *model) claim(t *rapid.T) {
	m.t = t
	c, wait, err := m.s.Claim(ClaimRules{Now: m.now, Lane: Lane(rapid.IntRange(0, 1).Draw(t, "lane")), Manual: rapid.Bool().Draw(t, "manual")})
	m.must(err)
	if c == nil {
		if wait < 0 {
			t.Fatalf("wait %s", wait)
		}
		return
	}
	if m.held[c.Event.ID] {
		t.Fatalf("claimed %s, which is withheld", c.Event.ID)
	}
	if m.proven[c.Event.ID] {
		t.Fatalf("claimed %s, which the receiver has", c.Event.ID)
	}
	for _, flying := range []map[string]*Claim{m.flying, m.resent} {
		for _, other := range flying {
			if e := c.Event.Entity(); e != "" && e == other.Event.Entity() {
				t.Fatalf("claimed %s beside %s of the same entity", c.Event.ID, other.Event.ID)
			}
		}
	}
	if m.flying[c.Event.ID] != nil {
		t.Fatalf("claimed %s twice", c.Event.ID)
	}
	m.flying[c.Event.ID] = c
}

func (m *model) settle(t *rapid.T) {
	m.t = t
	for id, c := range m.flying {
		delete(m.flying, id)
		switch rapid.IntRange(0, 3).Draw(t, "outcome") {
		case 0:
			m.must(m.s.Release(id, m.now))
		case 1:
			settled(t, m.s, c, Replaying, m.now)
		case 2:
			settled(t, m.s, c, Dead, m.now)
		default:
			if got := settled(t, m.s, c, Seen, m.now); got != Seen && got != 0 {
				t.Fatalf("replayed %s is %s", id, got)
			}
			if got, _ := statusOf(t, m.s, id); got != 0 {
				m.proven[id] = true
			}
		}
		return
	}
}

func (m *model) byHand(t *rapid.T) {
	m.t = t
	id := m.pick("by hand").ID
	delete(m.held, id)
	switch rapid.IntRange(0, 2).Draw(t, "what") {
	case 0:
		_, err := queueByHand(m.s, m.now, []string{id}, "ann")
		m.must(err)
	case 1:
		_, err := m.s.Ignore(m.now, []string{id}, "tired", "ann")
		m.must(err)
	default:
		was, err := m.s.Event(id)
		m.must(err)
		found, err := m.s.Forget(m.now, []string{id}, "", "ann")
		m.must(err)
		if (len(found) == 1) != (was != nil && was.Status == Seen) {
			t.Fatalf("forget %s found %v, and it was %+v", id, found, was)
		}
		if len(found) == 1 {
			delete(m.proven, id)
			if row, _ := m.s.Event(id); row == nil {
				delete(m.listed, id)
			}
		}
	}
}

func (m *model) pass(t *rapid.T) {
	m.t = t
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "minutes")) * time.Minute)
}

func (m *model) reopen(t *rapid.T) {
	m.t = t
	m.must(m.s.Close())
	var err error
	m.s, err = Open(m.o)
	m.must(err)
	m.s.db.NoSync = true
	clear(m.queues)
	clear(m.resent)
	clear(m.flying) // a crash: what was in flight is due again by its own time
}

// restore withholds what a restore would.
func (m *model) restore(t *rapid.T) {
	m.reopen(t)
	lost := Range{To: m.now.Add(time.Second)}
	n, err := m.s.withholdAll(m.now, lost)
	m.must(err)
	met := 0
	m.must(m.s.Events(context.Background(), Filter{Status: []Status{Missed, Replaying}}, func(r Row) error {
		if !r.Withheld {
			t.Fatalf("%s is %s and not withheld", r.Event.ID, r.Status)
		}
		m.held[r.Event.ID] = true
		met++
		return nil
	}))
	if n != met || m.s.Counts().Withheld != int64(met) {
		t.Fatalf("withheld %d, counted %d, there are %d", n, m.s.Counts().Withheld, met)
	}
}

// check holds after every step: nothing listed vanishes, what is proven is seen, every count and index is right.
func (m *model) check(t *rapid.T) {
	m.t = t
	mustAgree(t, m.s)
	mustBeTold(t, m.s, m.told)
	for id := range m.listed {
		if status, _ := statusOf(t, m.s, id); status == 0 {
			t.Fatalf("%s was listed and has vanished", id)
		}
	}
	for id := range m.proven {
		if status, why := statusOf(t, m.s, id); status != Seen {
			t.Fatalf("%s is proven and is %s (%s)", id, status, why)
		}
	}
	met := make(map[string]bool)
	var before *place
	m.must(m.s.Events(context.Background(), Filter{}, func(r Row) error {
		p := place{r.Event.CreatedAt, r.Event.ID}
		if met[p.id] || before != nil && !p.before(*before) {
			t.Fatalf("%s is listed out of order or twice", p.id)
		}
		met[p.id], before = true, &p
		return nil
	}))
	for id := range m.listed {
		if !met[id] {
			t.Fatalf("%s is not among the events", id)
		}
	}
	m.checkPushes(t)
}

// checkPushes: a push accounts for one event at most.
func (m *model) checkPushes(t *rapid.T) {
	by := make(map[heygen.Fact]int)
	for _, e := range m.pool {
		if _, why := statusOf(t, m.s, e.ID); strings.Contains(why, "matched by content") {
			fact, _ := e.Fact()
			by[fact]++
		}
	}
	for fact, n := range by {
		if n > m.pushes[fact] {
			t.Fatalf("%d events are seen by content, and %d pushes of it were told of", n, m.pushes[fact])
		}
	}
}

func pool() []heygen.Event {
	var all []heygen.Event
	for i := range 10 {
		e := event(fmt.Sprintf("evt_%02d", i), fmt.Sprintf("vid_%d", i%3), "", time.Duration(i/3)*7*time.Minute)
		all = append(all, e)
	}
	undated := event("evt_undated", "vid_0", "undated", 0)
	undated.CreatedAt, undated.Created = time.Time{}, "soon"
	return append(all, undated, event("evt_alone", "", "", time.Hour))
}

func TestAnyStoryKeepsEveryEvent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		told := make(map[Status]int64)
		o := Options{Path: filepath.Join(t.TempDir(), "model.db"), APIBase: base, CollapseWindow: window, Observe: fold(told)}
		s, err := Open(o)
		if err != nil {
			rt.Fatal(err)
		}
		s.db.NoSync = true
		m := &model{
			t: rt, s: s, o: o, now: noon(), pool: pool(), listed: make(map[string]bool), proven: make(map[string]bool),
			queues: make(map[uint64]*Resends), resent: make(map[string]*Claim), of: make(map[string]*Resends),
			flying: make(map[string]*Claim), held: make(map[string]bool), told: told, pushes: make(map[heygen.Fact]int),
		}
		defer func() { m.s.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"list": m.list, "record": m.record, "anonymous": m.anonymous, "push": m.push, "walk": m.walk, "judge": m.judge, "claim": m.claim,
			"claim again": m.claim, "settle": m.settle, "by hand": m.byHand, "pass": m.pass, "reopen": m.reopen, "restore": m.restore, "": m.check,
			"by run": m.byRun, "cancel a run": m.cancelRun, "resume a run": m.resumeRun, "by force": m.byForce, "resend": m.resend, "resend again": m.resend, "land": m.land,
		})
	})
}
