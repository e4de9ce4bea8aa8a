package doctor

import (
	"context"
	"errors"
	"time"
)

// Sources are all ways of knowing what the receiver has.
type Sources struct {
	// Try asks and reads all of them, as far as they can be, and tells how they are.
	// It gives what it has when its context ends.
	Try    func(context.Context) ([]Source, error)
	Paired bool // one has spoken, ever
	Blind  bool // there is a state, and it can't be asked which ones have
}

// How a source comes to know.
type How int

// The ways.
const (
	Told  How = iota // it speaks by itself: nothing can be asked or read
	Read             // it is read, and pairs once something in it tells of a push
	Asked            // it is asked, and pairs by answering
)

// Source is one of them.
type Source struct {
	Name     string // with what it is, where the name alone does not say it
	How      How
	Spoken   bool   // ever, it or another of its kind
	Answered bool   // now, to Try
	Failing  string // why it can't answer
	Notice   string // what to know although it does not fail
	Advice   string // how to make it speak
}

func (p Patient) lookSources(ctx context.Context) []Check {
	if c, bad := p.mistaken("sources", "seen"); bad {
		return []Check{c}
	}
	all, err := p.Sources.Try(ctx)
	checks := p.Sources.judge(all)
	if errors.Is(err, context.DeadlineExceeded) {
		checks = append(checks, warn("sources", "wait until a pass has read them to their end (`backstop status`)",
			"not all were asked or read within %s", probing.Round(time.Second)))
	}
	return checks
}

func (s Sources) judge(all []Source) []Check {
	if len(all) == 0 {
		return []Check{warn("pairing", "write `- report: {}` or another source under seen", "no source is configured: nothing is replayed unless asked for")}
	}
	var checks []Check
	answers := s.Paired
	for _, one := range all {
		checks = append(checks, one.judge(s.Blind)...)
		answers = answers || one.How == Asked && one.Answered && one.Failing == ""
	}
	switch {
	case s.Blind:
		return append(checks, unchecked("pairing", "the state can't tell"))
	case s.Paired:
		return append(checks, ok("pairing", "a source has spoken: what is missed is replayed"))
	case answers:
		return append(checks, ok("pairing", "the first pass pairs"))
	}
	return append(checks, warn("pairing", "make one of the sources speak, or import what the receiver has (`backstop seen import`)", "unpaired: no source has ever spoken, so nothing is sent by itself"))
}

func (s Source) judge(blind bool) []Check {
	name := "source " + s.Name
	var checks []Check
	switch {
	case s.Failing != "":
		return []Check{fail(name, "mend it, or take it out of seen; until then what nothing else proves stays listed, and nothing is sent", "can't answer: %s", s.Failing)}
	case s.How == Asked && s.Answered:
		checks = append(checks, ok(name, "answers"))
	case blind && s.How == Read:
		checks = append(checks, ok(name, "can be read"))
	case blind:
		checks = append(checks, unchecked(name, "the state can't tell whether it has spoken"))
	case !s.Spoken:
		found := map[How]string{Told: "nothing has ever come in", Read: "nothing in it has ever told of a push", Asked: "it has never answered"}
		checks = append(checks, warn(name, s.Advice, "%s", found[s.How]))
	default:
		checks = append(checks, ok(name, "has spoken"))
	}
	if s.Notice != "" {
		checks = append(checks, warn(name, "see that it is as it should be (`backstop status`)", "%s", s.Notice))
	}
	return checks
}
