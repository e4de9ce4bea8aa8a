package engine

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/internal/notify"
	"backstop/state"
)

// Status is the state of things in words and numbers.
type Status struct {
	Verdict      string             `json:"verdict"`
	Clean        bool               `json:"clean"` // nothing missed, dead, held or failing
	Version      string             `json:"version"`
	Daemon       bool               `json:"daemon"`
	Mark         time.Time          `json:"mark,omitzero"`
	Lag          float64            `json:"lag_seconds"` // age of the last complete walk; -1: there was none
	Baseline     time.Time          `json:"baseline,omitzero"`
	Floor        time.Time          `json:"floor,omitzero"`
	LastPass     *Pass              `json:"last_pass,omitempty"`
	PassError    string             `json:"last_pass_error,omitempty"`
	Counts       map[string]int64   `json:"counts"`
	OldestMissed time.Time          `json:"oldest_missed,omitzero"`
	Restored     time.Time          `json:"restored,omitzero"` // end of the time that the last restore lost
	NextPoll     time.Time          `json:"next_poll,omitzero"`
	NextSweep    time.Time          `json:"next_sweep,omitzero"`
	Receiver     ReceiverStatus     `json:"receiver"`
	Sources      []SourceStatus     `json:"sources"`
	Walks        []WalkStatus       `json:"walks"`
	Backfills    []BackfillStatus   `json:"backfills,omitempty"` // those that have not ended
	Runs         []RunStatus        `json:"runs,omitempty"`      // likewise, replays by hand
	State        StateStatus        `json:"state"`
	Notices      *notify.Health     `json:"notices,omitempty"` // nil: nobody is told of trouble
	Ping         *notify.PingHealth `json:"ping,omitempty"`    // nil: no dead man's switch
}

// ReceiverStatus is the health of the receiver as replays found it.
type ReceiverStatus struct {
	URL           string    `json:"url,omitempty"` // without its query
	Paused        string    `json:"paused,omitempty"`
	PausedBy      string    `json:"paused_by,omitempty"`
	PausedAt      time.Time `json:"paused_at,omitzero"`
	Misconfigured string    `json:"misconfigured,omitempty"`
	NextProbe     time.Time `json:"next_probe,omitzero"`
	LastAccepted  time.Time `json:"last_accepted_at,omitzero"`
	Failing       string    `json:"failing,omitempty"` // what it answers instead of a 2xx, to everything
	FailingSince  time.Time `json:"failing_since,omitzero"`

	Rate       float64   `json:"rate"`             // attempts a second, at most, now; 0: no limit
	Configured float64   `json:"configured_rate"`  // likewise
	Slower     string    `json:"slower,omitempty"` // why Rate is below it; "": it is not
	SlowSince  time.Time `json:"slower_since,omitzero"`
	Rests      time.Time `json:"rests_until,omitzero"` // it asked to be let alone
}

// SourceStatus is one way of knowing what the receiver has.
type SourceStatus struct {
	Name         string    `json:"name"`
	What         string    `json:"what,omitempty"`         // which one it is
	Spoken       bool      `json:"spoken"`                 // ever, it or another of its kind
	LastAt       time.Time `json:"last_at,omitzero"`       // when it spoke, or was read to its end, in this process
	Failing      string    `json:"failing,omitempty"`      // why it can't answer
	FailingSince time.Time `json:"failing_since,omitzero"` // in this process
	Notice       string    `json:"notice,omitempty"`       // what to know although it does not fail
}

// WalkStatus is the position of one query.
type WalkStatus struct {
	Query     string    `json:"query"`
	Mark      time.Time `json:"mark,omitzero"`
	Completed time.Time `json:"completed,omitzero"`
	Stopped   bool      `json:"stopped"` // a walk stands at a checkpoint
}

// BackfillStatus is a backfill that has not ended.
type BackfillStatus struct {
	ID        uint64    `json:"backfill"`
	Begun     time.Time `json:"begun"`
	Until     time.Time `json:"until"`
	Words     string    `json:"since"`     // as it was asked for
	Confirmed bool      `json:"confirmed"` // a person agreed to its plan
	UnderWay  bool      `json:"under_way"` // by this process
}

// StateStatus is the health of the state file.
type StateStatus struct {
	Path string `json:"path"`
	Size int64  `json:"size_bytes"`
	Full string `json:"full,omitempty"`
}

// Status tells how things stand.
func (e *Engine) Status() (Status, error) {
	p := e.current()
	size, err := e.store.Size()
	if err != nil {
		return Status{}, explain(err)
	}
	counts := e.store.Counts()
	s := Status{
		Version: e.options.Version, Floor: e.store.Floor(), Counts: countWords(counts), OldestMissed: counts.OldestMissed,
		Restored: e.store.Lost().To,
		Receiver: e.receiverStatus(), Sources: e.sources(), State: StateStatus{Path: e.store.Path(), Size: size},
	}
	s.Baseline, _ = e.store.Baseline()
	if err := e.store.Full(); err != nil {
		s.State.Full = err.Error()
	}
	if err := e.walkStatus(&s); err != nil {
		return s, explain(err)
	}
	if err := e.passStatus(&s); err != nil {
		return s, explain(err)
	}
	if err := e.backfillStatus(&s); err != nil {
		return s, explain(err)
	}
	s.Notices, s.Ping = p.teller.Health(), p.ping.Health()
	if err := e.fillRuns(&s); err != nil {
		return s, explain(err)
	}
	if e.scheduled.Load() {
		s.NextPoll, s.NextSweep = p.schedule.Next(time.Now())
	}
	s.Verdict, s.Clean = s.words(e.held(), e.withheldHint(counts.Withheld))
	return s, nil
}

func countWords(c state.Counts) map[string]int64 {
	words := map[string]int64{"baseline": c.Baseline, "quarantined": c.Quarantined, "unlisted": c.Unlisted, "credits": c.Credits, "withheld": c.Withheld}
	for _, status := range []state.Status{state.Settling, state.Listed, state.Missed, state.Replaying, state.Seen, state.Dead, state.Ignored} {
		words[status.String()] = c.Status[status]
	}
	return words
}

func (e *Engine) receiverStatus() ReceiverStatus {
	r, outage, pace := e.store.Receiver(), e.current().replayer.Outage(), e.current().replayer.Pace()
	status := ReceiverStatus{
		URL: heygen.CutURLs(e.current().cfg.Receiver.URL), Paused: r.Paused, PausedBy: r.PausedBy, PausedAt: r.PausedAt,
		Misconfigured: r.Misconfigured, NextProbe: r.NextProbe, LastAccepted: r.OKAt,
		Failing: outage.String(), FailingSince: outage.Since,
		Rate: pace.Rate, Configured: pace.Configured, Slower: pace.Why, SlowSince: pace.Since, Rests: pace.Held,
	}
	if outage.Answer != "" && r.Misconfigured == "" {
		status.NextProbe = outage.Next
	}
	return status
}

func (e *Engine) sources() []SourceStatus {
	var all []SourceStatus
	for _, h := range e.current().sources.Health() {
		all = append(all, SourceStatus{
			Name: h.Name, What: heygen.CutURLs(h.What), Notice: heygen.CutURLs(h.Notice), Spoken: e.store.Spoke(h.Proof), LastAt: h.Spoke, Failing: heygen.CutURLs(h.Failing), FailingSince: h.Since,
		})
	}
	return all
}

// walkStatus fills the marks. The whole is as far as its slowest query.
func (e *Engine) walkStatus(s *Status) error {
	marks, err := e.store.Marks()
	if err != nil {
		return err
	}
	var completed time.Time
	for i, q := range queries(e.current().cfg) {
		position := marks[q]
		s.Walks = append(s.Walks, WalkStatus{
			Query: q.String(), Mark: position.Mark, Completed: position.Completed, Stopped: len(position.Checkpoint.Segments) > 0,
		})
		if i == 0 || position.Mark.Before(s.Mark) {
			s.Mark = position.Mark
		}
		if i == 0 || position.Completed.Before(completed) {
			completed = position.Completed
		}
	}
	s.Lag = -1
	if !completed.IsZero() {
		s.Lag = max(0, e.Now().Sub(completed).Seconds())
	}
	return nil
}

// backfillStatus fills in the backfills that have not ended.
func (e *Engine) backfillStatus(s *Status) error {
	all, err := e.store.Backfills()
	for _, b := range all {
		if b.Ended.IsZero() {
			s.Backfills = append(s.Backfills, BackfillStatus{
				ID: b.ID, Begun: b.Begun, Until: b.Upper, Words: cmp.Or(b.History.Words, "all"), Confirmed: !b.Confirmed.IsZero(),
				UnderWay: e.underWay.Load() == b.ID,
			})
		}
	}
	return err
}

// passStatus fills the last pass: of this process, else the last one noted.
func (e *Engine) passStatus(s *Status) error {
	last := e.lastPass()
	if !last.pass.End.IsZero() {
		s.LastPass = &last.pass
		if last.err != nil {
			s.PassError = last.err.Error()
		}
		return nil
	}
	noted, err := e.store.Passes(1)
	if err != nil || len(noted) == 0 {
		return err
	}
	n := noted[0]
	s.LastPass = &Pass{
		Kind: n.Kind, Start: n.Start, End: n.End, Requests: int64(n.Requests), Pages: n.Pages, Listed: n.Listed,
		New: n.New, Missed: n.Missed, Seen: n.Seen, Bad: n.Bad, Complete: n.Complete,
	}
	s.PassError = n.Err
	return nil
}

func (e *Engine) lastPass() lastPass {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

// words says in one sentence how things stand, the gravest first.
func (s Status) words(held, withheld string) (string, bool) {
	missed := s.Counts[state.Missed.String()] + s.Counts[state.Replaying.String()] - s.Counts["withheld"]
	var parts []string
	add := func(when bool, format string, args ...any) {
		if when {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(s.LastPass == nil, "no pass has been made yet")
	failing := s.failingSources()
	add(s.PassError != "" && !strings.HasPrefix(s.PassError, sourceWords), "the last pass failed: %s", s.PassError)
	add(failing != "", "a source can't answer: %s", failing)
	add(s.State.Full != "", "%s", s.State.Full)
	add(s.Notices != nil && s.Notices.Failing != "", "notices can't be delivered")
	add(s.Ping != nil && s.Ping.Failing != "", "the dead man's switch can't be reached")
	add(held != "", "nothing is replayed: %s", held)
	add(s.Receiver.Failing != "", "the receiver fails: %s", s.Receiver.Failing)
	add(missed > 0, "%d missed%s", missed, alsoReplaying(s.Counts[state.Replaying.String()]))
	add(withheld != "", "%s", withheld)
	add(s.Counts[state.Dead.String()] > 0, "%d dead (`backstop events --status dead`)", s.Counts[state.Dead.String()])
	add(s.Counts[state.Listed.String()] > 0, "%d listed, which a source could not answer for yet", s.Counts[state.Listed.String()])
	for _, b := range s.Backfills {
		add(b.Confirmed && !b.UnderWay, "backfill %d stopped before its end", b.ID)
	}
	for _, r := range s.stoppedRuns() {
		add(true, "run %d stopped before its end (`backstop replay --resume %d`)", r.Run, r.Run)
	}
	if len(parts) == 0 {
		return "all clear: every settled event is seen", true
	}
	return strings.Join(parts, "; "), false
}

// alsoReplaying says that events which were tried are counted as missed.
func alsoReplaying(n int64) string {
	if n == 0 {
		return ""
	}
	return " or replaying"
}

// failingSources names the sources that can't answer.
func (s Status) failingSources() string {
	var names []string
	for _, source := range s.Sources {
		if source.Failing != "" {
			names = append(names, source.Name)
		}
	}
	return strings.Join(names, ", ")
}

// Ready tells why backstop is not ready, nil when it is: the state is open and
// writable, and the last pass is clean and younger than three poll intervals.
func (e *Engine) Ready() error {
	if err := e.store.Err(); err != nil {
		return explain(err)
	}
	last := e.lastPass()
	switch {
	case last.pass.End.IsZero():
		return exit.Errorf(exit.Failed, "wait for the first pass", "no pass has been made yet")
	case last.err != nil:
		return last.err
	}
	poll, _ := e.current().schedule.Next(time.Now())
	following, _ := e.current().schedule.Next(poll)
	interval := following.Sub(poll)
	if age := time.Since(last.clean); age > 3*interval {
		return exit.Errorf(exit.Failed, "see the log", "the last clean pass is %s old, more than three poll intervals of %s",
			age.Round(time.Second), interval)
	}
	return nil
}
