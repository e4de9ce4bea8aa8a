package state

import (
	"slices"
	"time"

	"backstop/internal/heygen"
)

// Policy is what the state must know of the configuration to match events.
type Policy struct {
	Settle         time.Duration
	CollapseWindow time.Duration // 0: nothing is collapsed
	History        bool          // a backfill asks: that an event is older than the baseline is no receipt
	Heard          *Heard        // what is known beside the state; nil: nothing
}

// Known is everything that Judge needs about one event. The zero value says
// that nobody has ever heard of it.
type Known struct {
	Listed     time.Time // first listing; zero: not in the state
	Status     Status    // of the record in open or ledger; 0: there is none
	Proof      Proof
	At         time.Time
	Why        string // stored reason, for people
	Walking    bool   // found by a walk that has not ended; Judgeable leaves those out, so Look never sets it
	Reported   Proof  // a recorder knows the id; None otherwise
	ReportedAt time.Time
	Credit     uint64 // a push that accounts for it by its content; 0: none
	CreditAt   time.Time
	CreditBy   Proof
	Linked     string // the other id that this push came with; "": it was anonymous
	Twin       string // the kept event of the same fact within the collapse window; "": none
	TwinStatus Status
	TwinProof  Proof
	Newer      string // a newer seen event of the same entity; "": none
	Withheld   bool   // missed, and not sent before a person asks for it
	Elsewhere  bool   // Status and Proof came from a record under another created_at
	Backfill   bool   // a backfill found it: neither baseline nor floor are a bound for it
}

// open reports whether it is still to be found out where the event stands.
func (k *Known) open() bool {
	return (k.Status == 0 || k.Status == Settling || k.Status == Listed) && k.Reported == None && k.Credit == 0
}

// seen reports whether the receiver has the event by itself.
func (k *Known) seen() bool {
	return k.Status == Seen && k.Proof != Baseline && k.Twin == "" || k.Reported != None || k.Credit != 0
}

// Look looks events up, oldest first, over several calls. It remembers which credits it gave out and which facts it met, so
// that the calls are consistent with each other. It changes nothing, and belongs to one goroutine.
type Look struct {
	s     *Store
	p     Policy
	given map[uint64]bool
	met   map[heygen.Fact][]sight
}

// sight is one event that a Look has met.
type sight struct {
	place  place
	status Status
	proof  Proof
	twin   bool // it is the twin of an older one, and nobody's kept event
}

// subject is one event in question.
type subject struct {
	event   heygen.Event
	place   place
	fact    heygen.Fact
	entity  uint64
	settled bool
	*Known
}

// Look begins to look events up. s may be nil: then nothing is known but p.Heard and what the Look itself meets.
func (s *Store) Look(p Policy) *Look {
	if s != nil {
		s.rows.mu.Lock()
		s.rows.settle, s.rows.collapse = p.Settle, p.CollapseWindow
		s.rows.mu.Unlock()
	}
	return &Look{s: s, p: p, given: make(map[uint64]bool), met: make(map[heygen.Fact][]sight)}
}

// Events returns what is known of each event. They come oldest first, also from one call to the next.
func (l *Look) Events(now time.Time, events []heygen.Event) ([]Known, error) {
	known := make([]Known, len(events))
	subjects := make([]subject, len(events))
	for i, e := range events {
		fact, _ := e.Fact()
		subjects[i] = subject{
			event: e, place: place{e.CreatedAt, e.ID}, fact: fact, entity: heygen.HashEntity(e.Entity()), Known: &known[i],
		}
	}
	l.forget(subjects)
	credits := l.memory(subjects)
	if l.s == nil {
		l.settle(now, subjects)
		l.give(nil, subjects, credits)
		l.match(subjects, nil)
		return known, nil
	}
	err := l.s.view(func(t *tx) error {
		if err := t.lookUp(subjects, l.p.History); err != nil {
			return err
		}
		l.settle(now, subjects)
		l.give(t, subjects, credits)
		t.scan(subjects, l.p)
		older, err := t.unfinished(subjects, l.p.CollapseWindow)
		if err != nil {
			return err
		}
		l.match(subjects, older)
		return nil
	})
	return known, err
}

// forget drops what is too old to be the same fact as anything to come.
func (l *Look) forget(subjects []subject) {
	if len(subjects) == 0 {
		return
	}
	oldest := subjects[0].place.created.Add(-l.p.CollapseWindow)
	for fact, list := range l.met {
		list = slices.DeleteFunc(list, func(m sight) bool { return m.place.created.Before(oldest) })
		if l.met[fact] = list; len(list) == 0 {
			delete(l.met, fact)
		}
	}
}

// memory asks what is kept in memory. It comes before the read transaction: what leaves memory between the two is in the
// ledger by then, and nothing is missing in both.
func (l *Look) memory(subjects []subject) map[heygen.Fact][]credit {
	credits := make(map[heygen.Fact][]credit)
	for _, q := range subjects {
		l.reported(q)
		if !q.fact.IsZero() && credits[q.fact] == nil {
			if list := l.creditsOf(q.fact); len(list) > 0 {
				credits[q.fact] = list
			}
		}
	}
	return credits
}

// reported asks whether a push with the id of an event came in. Its content is then nobody else's.
func (l *Look) reported(q subject) {
	if l.s != nil {
		if one, ok := l.s.rows.reported(q.event.ID); ok {
			q.Reported, q.ReportedAt = one.proof, one.at()
		}
		if c, ok := l.s.rows.linkOf(q.event.ID); ok {
			l.given[c.seq] = true
		}
	}
	if one, ok := l.p.Heard.id(q.event.ID); ok && one.Proof.Stronger(q.Reported) {
		q.Reported, q.ReportedAt = one.Proof, one.At
	}
}

func (l *Look) creditsOf(fact heygen.Fact) []credit {
	heard := l.p.Heard.credits(fact)
	if l.s == nil {
		return heard
	}
	return append(l.s.rows.creditsOf(fact), heard...)
}

// lookUp does the cheap look-ups: by id, and in the ledger by the exact key. For history a baseline line says nothing.
func (t *tx) lookUp(subjects []subject, history bool) error {
	for _, q := range subjects {
		r, err := t.readOpen(q.event.ID, false)
		if err != nil {
			return err
		}
		if r != nil {
			q.Listed, q.Status, q.Proof, q.At, q.Why, q.Twin = r.listed, r.status, r.proof, r.at, r.why, r.twin
			q.Backfill = r.backfill != 0
			q.Withheld = r.withheld
			continue
		}
		l, ok, err := t.ledgerLine(q.place)
		if err != nil {
			return err
		}
		if ok && !(history && l.proof == Baseline) {
			t.fromLedger(q, q.place, l)
		} else if q.Reported == None {
			o, ok, err := t.reportedOf(q.event.ID)
			if err != nil {
				return err
			}
			if ok {
				q.Reported, q.ReportedAt = o.proof, o.at
			}
		}
	}
	return nil
}

func (t *tx) fromLedger(q subject, p place, l line) {
	q.Status, q.Proof, q.At, q.Listed = l.status, l.proof, l.at, l.listed
	if l.flags&flagDetails == 0 {
		return
	}
	d := t.storyAt(p)
	q.Why, q.Twin = lineWhy(l, d), d.twin
}

// settle notes which subjects are old enough to be judged.
func (l *Look) settle(now time.Time, subjects []subject) {
	for i, q := range subjects {
		born := q.place.created
		if born.IsZero() {
			born = q.Listed
		}
		subjects[i].settled = !born.IsZero() && !born.Add(l.p.Settle).After(now)
	}
}

// give hands out credits: the oldest unmatched event takes the oldest credit that covers it.
func (l *Look) give(t *tx, subjects []subject, credits map[heygen.Fact][]credit) {
	for _, q := range subjects {
		if !q.open() || q.fact.IsZero() {
			continue
		}
		for _, c := range credits[q.fact] {
			if !l.given[c.seq] && c.covers(q.place.created, l.p.Settle) && (t == nil || t.genuine(c)) {
				l.given[c.seq] = true
				q.Credit, q.CreditAt, q.CreditBy, q.Linked = c.seq, c.at, c.proof, c.id
				break
			}
		}
	}
}

// match finds the twins, oldest event first, among those met and the older unfinished ones.
func (l *Look) match(subjects []subject, older map[heygen.Fact][]sight) {
	for _, q := range subjects { // what is seen anywhere wins, so it must be met first
		if !q.fact.IsZero() && q.seen() {
			l.meet(q.fact, sight{place: q.place, status: Seen, proof: q.proof()})
		}
	}
	for _, q := range subjects {
		if q.fact.IsZero() || !q.open() {
			continue
		}
		if q.Twin == "" {
			l.twin(q, older[q.fact])
		}
		status := Settling
		if q.settled {
			status = Missed
		}
		l.meet(q.fact, sight{place: q.place, status: status, twin: q.Twin != ""})
	}
}

func (q subject) proof() Proof {
	if q.Status == Seen {
		return q.Proof
	}
	if q.Reported != None {
		return q.Reported
	}
	return q.CreditBy
}

func (l *Look) meet(fact heygen.Fact, m sight) {
	if !m.place.created.IsZero() {
		l.met[fact] = append(l.met[fact], m)
	}
}

// twin finds the kept event for one: a seen one wins, else the oldest unfinished one that is older.
func (l *Look) twin(q subject, older []sight) {
	if l.p.CollapseWindow <= 0 || q.place.created.IsZero() {
		return
	}
	var kept *sight
	for _, m := range append(slices.Clone(l.met[q.fact]), l.unmet(q.fact, older)...) {
		if m.place.id == q.place.id || m.twin || q.place.created.Sub(m.place.created).Abs() > l.p.CollapseWindow {
			continue
		}
		if m.status != Seen && !m.place.before(q.place) {
			continue
		}
		if kept == nil || better(m, *kept) {
			kept = &m
		}
	}
	if kept != nil {
		q.Twin, q.TwinStatus, q.TwinProof = kept.place.id, kept.status, kept.proof
	}
}

func better(m, than sight) bool {
	if (m.status == Seen) != (than.status == Seen) {
		return m.status == Seen
	}
	return m.place.before(than.place)
}

// unmet are the unfinished ones that the Look has not met: what it met it knows better.
func (l *Look) unmet(fact heygen.Fact, older []sight) []sight {
	return slices.DeleteFunc(slices.Clone(older), func(m sight) bool {
		return slices.ContainsFunc(l.met[fact], func(o sight) bool { return o.place.id == m.place.id })
	})
}
