package reconcile

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"backstop/internal/heygen"
	"backstop/state"
)

// Sources are all the ways of knowing what the receiver has. An event is seen if any of them says so. A nil Sources knows
// nothing. It may be used from several goroutines.
type Sources struct {
	all     []Source
	secrets func() []string
	log     *slog.Logger

	mu     sync.Mutex
	health []SourceHealth // of all, by their index; guarded by mu
}

// SourceHealth is how a source did when it was needed last.
type SourceHealth struct {
	Name     string
	What     string // which one it is, for people; "": the name says it all
	Proof    state.Proof
	Spoke    time.Time // when it answered, or was found to be read to its end; zero: not yet in this process
	Failing  string    // why it can't answer, one line for people; "": it can, for all that is known
	Since    time.Time // when it began to fail; zero: it does not
	Failures int64     // how often it failed in this process
	Notice   string    // what a person should know although it does not fail; "": nothing

	asked time.Time // when it was needed last
}

// NewSources puts sources together; the strongest proof is asked first. What a source says of its failure is shown without
// the secrets; nil: there are none. A nil log discards.
func NewSources(all []Source, secrets func() []string, log *slog.Logger) *Sources {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Source) int { return int(a.Proof) - int(b.Proof) })
	if secrets == nil {
		secrets = func() []string { return nil }
	}
	s := &Sources{all: all, secrets: secrets, log: log, health: make([]SourceHealth, len(all))}
	for i, one := range all {
		s.health[i].Name, s.health[i].What, s.health[i].Proof = one.Name, one.What, one.Proof
	}
	return s
}

// Health tells of every source, the strongest proof first.
func (s *Sources) Health() []SourceHealth {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	health := slices.Clone(s.health)
	s.mu.Unlock()
	for i, one := range s.all {
		health[i].Notice = one.notice()
	}
	return health
}

// Heard notes that something came in by which a source speaks: a report, a push.
func (s *Sources) Heard(proof state.Proof, now time.Time) {
	if s == nil {
		return
	}
	for i, one := range s.all {
		if one.Proof == proof {
			s.note(i, now, nil)
		}
	}
}

// idle reports that no source has to be asked or read: all of them speak by themselves.
func (s *Sources) idle() bool {
	return s == nil || !slices.ContainsFunc(s.all, func(one Source) bool { return one.Oracle != nil || one.Recorder != nil })
}

// HasOracle reports whether a source can be asked about any event, however old.
func (s *Sources) HasOracle() bool {
	return s != nil && slices.ContainsFunc(s.all, func(one Source) bool { return one.Oracle != nil })
}

// Sync has every recorder write down what it knows. failed names those that could not, and Health says why; the others have.
// An error is that of ctx alone.
func (s *Sources) Sync(ctx context.Context) (failed []string, err error) {
	return s.recorders(ctx, func(r Recorder) error { return r.Sync(ctx) })
}

// Peek takes in what Sync would write down, and writes nothing.
func (s *Sources) Peek(ctx context.Context, now time.Time, into *state.Heard) (failed []string, err error) {
	return s.recorders(ctx, func(r Recorder) error {
		return r.Peek(ctx, func(one state.Sighting) { into.Add(now, one) })
	})
}

func (s *Sources) recorders(ctx context.Context, do func(Recorder) error) (failed []string, err error) {
	if s == nil {
		return nil, nil
	}
	for i, one := range s.all {
		if one.Recorder == nil {
			continue
		}
		err := do(one.Recorder)
		if ctx.Err() != nil {
			return failed, ctx.Err()
		}
		s.note(i, time.Now(), err)
		if err != nil {
			failed = append(failed, one.Name)
		}
	}
	return failed, nil
}

// Probe asks the oracles about nothing that were not asked since a time, and have never answered in this process or failed
// last: so it shows early that one can't answer, and soon that it can again. What it gives is as of Ask.
func (s *Sources) Probe(ctx context.Context, since time.Time) (a Answers, err error) {
	if s == nil {
		return a, nil
	}
	for i, h := range s.Health() {
		if s.all[i].Oracle == nil || !h.asked.Before(since) || !h.Spoke.IsZero() && h.Failing == "" {
			continue
		}
		if err := s.askOne(ctx, i, nil, &a); err != nil {
			return a, err
		}
	}
	return a, nil
}

// Trial asks every oracle about nothing and has every recorder read what it would write down, without writing it: Health
// then says how all of them are now. An error is that of ctx alone.
func (s *Sources) Trial(ctx context.Context) error {
	if s == nil {
		return nil
	}
	var answers Answers
	for i, one := range s.all {
		if one.Oracle == nil {
			continue
		}
		if err := s.askOne(ctx, i, nil, &answers); err != nil {
			return err
		}
	}
	_, err := s.recorders(ctx, func(r Recorder) error { return r.Peek(ctx, func(state.Sighting) {}) })
	return err
}

// Answers is what the oracles said about some events.
type Answers struct {
	Has    map[string]state.Proof // the events that the receiver has, by id
	Failed []string               // names of the oracles that could not answer; Health says why
	Spoke  []state.Proof          // of the oracles that did
}

// pair notes in s which oracles answered, if any did.
func (a Answers) pair(s *state.Store) error {
	if len(a.Spoke) == 0 {
		return nil
	}
	return s.SetPaired(a.Spoke...)
}

// Ask asks every oracle about events, each only about those that no stronger one has. An error is that of ctx alone.
func (s *Sources) Ask(ctx context.Context, events []heygen.Event) (Answers, error) {
	a := Answers{Has: make(map[string]state.Proof)}
	if s == nil {
		return a, nil
	}
	for bite := range slices.Chunk(events, mostAsked) {
		if err := s.askAll(ctx, bite, &a); err != nil {
			return a, err
		}
	}
	return a, nil
}

func (s *Sources) askAll(ctx context.Context, events []heygen.Event, a *Answers) error {
	for i, one := range s.all {
		if one.Oracle == nil {
			continue
		}
		open := slices.DeleteFunc(slices.Clone(events), func(e heygen.Event) bool { return a.Has[e.ID] != state.None })
		if len(open) == 0 {
			return nil
		}
		if err := s.askOne(ctx, i, open, a); err != nil {
			return err
		}
	}
	return nil
}

// askOne asks the oracle at i, and keeps what it said and how it did.
func (s *Sources) askOne(ctx context.Context, i int, events []heygen.Event, a *Answers) error {
	one := s.all[i]
	has, err := one.Oracle.Have(ctx, events)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.note(i, time.Now(), err)
	if err != nil {
		a.Failed = also(a.Failed, one.Name)
		return nil
	}
	a.Spoke = append(a.Spoke, one.Proof)
	for _, e := range events {
		if has[e.ID] {
			a.Has[e.ID] = one.Proof
		}
	}
	return nil
}

// also adds names that are not there yet.
func also(names []string, more ...string) []string {
	for _, name := range more {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// note keeps how a source did, and logs when it begins to fail, fails in another way, and is well again.
func (s *Sources) note(i int, now time.Time, err error) {
	why := ""
	if err != nil {
		why = heygen.Mask(err.Error(), s.secrets()...)
	}
	s.mu.Lock()
	h := &s.health[i]
	before := *h
	h.asked = now
	if err == nil {
		h.Spoke, h.Failing, h.Since = now, "", time.Time{}
	} else {
		h.Failing = why
		h.Failures++
		if before.Failing == "" {
			h.Since = now
		}
	}
	after := *h
	s.mu.Unlock()
	switch {
	case gist(before.Failing) == gist(after.Failing):
	case after.Failing == "":
		s.log.Info("source answers again", "source", h.Name, "after", now.Sub(before.Since).Round(time.Second))
	default:
		s.log.Warn("source can't answer: what nothing else proves stays listed", "source", h.Name, "reason", after.Failing)
	}
}

// gist is what stays the same while a failure repeats: not its numbers, such as a time, a port or a count.
func gist(why string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, why)
}
