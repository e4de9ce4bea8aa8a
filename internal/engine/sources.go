package engine

import (
	"errors"
	"fmt"
	"slices"

	"backstop/internal/config"
	"backstop/internal/exit"
	"backstop/reconcile"
	"backstop/state"
)

// newSources builds the sources of a configuration. close lets go of what they
// hold.
func (e *Engine) newSources(cfg *config.Config) (s *reconcile.Sources, close func() error, err error) {
	var all []reconcile.Source
	var closers []func() error
	close = func() error {
		var errs []error
		for _, one := range closers {
			errs = append(errs, one())
		}
		return errors.Join(errs...)
	}
	count := map[string]int{}
	for _, c := range cfg.Seen {
		one, closer, err := e.newSource(c)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("seen: %s: %w", c.Kind, err), close())
		}
		if count[c.Kind]++; count[c.Kind] > 1 {
			one.Name = fmt.Sprintf("%s %d", c.Kind, count[c.Kind])
		}
		if closer != nil {
			closers = append(closers, closer)
		}
		all = append(all, one)
	}
	return reconcile.NewSources(all, e.log), close, nil
}

// newSource builds one; closer may be nil.
func (e *Engine) newSource(c config.Source) (one reconcile.Source, closer func() error, err error) {
	one.Name = c.Kind
	switch c.Kind {
	case config.SourceReport:
		one.Proof = state.Report
	case config.SourceMirror:
		one.Proof = state.Mirror
	case config.SourceTap:
		one.Proof = state.Tap
		if e.tap != nil { // it listens only in the daemon
			one.Recorder = e.tap
		}
	default:
		err = errors.New("this version knows no such source") // unreachable: the configuration was checked
	}
	return one, closer, err
}

// Takes reports whether the configuration has a source of a kind.
func (e *Engine) Takes(kind string) bool {
	return slices.ContainsFunc(e.current().cfg.Seen, func(s config.Source) bool { return s.Kind == kind })
}

// Secrets are those of the receiver: the first signs, all verify. None: pushes
// are not signed.
func (e *Engine) Secrets() ([]string, error) { return secretValues(e.current().cfg.Receiver.Secrets) }

// sourceError tells that a source failed when it was needed last; nil when none
// did.
func (e *Engine) sourceError() error {
	for _, h := range e.current().sources.Health() {
		if h.Failing != "" {
			return sourceFailed(h.Name + ": " + h.Failing)
		}
	}
	return nil
}

// sourceFailed is the error of whatever could not be judged or sent because a
// source could not answer; nil for "".
func sourceFailed(why string) error {
	if why == "" {
		return nil
	}
	return exit.Errorf(exit.Failed, "mend it, or take it out of seen; until then what nothing else proves stays listed, and nothing is sent",
		"a source could not answer: %s", why)
}
