package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"backstop/internal/config"
	"backstop/internal/exit"
	"backstop/internal/secret"
	"backstop/poller"
	"backstop/reconcile"
	"backstop/reconcile/query"
	"backstop/state"
)

// newSources builds the sources of a configuration. What they hold open is closed
// when nobody uses them any more.
func (e *Engine) newSources(cfg *config.Config) (*reconcile.Sources, error) {
	var all []reconcile.Source
	var held holding
	count := map[string]int{}
	for _, c := range cfg.Seen {
		one, closer, err := e.newSource(c)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("seen: %s: %w", c.Kind, err), held.close())
		}
		if count[c.Kind]++; count[c.Kind] > 1 {
			one.Name = fmt.Sprintf("%s %d", c.Kind, count[c.Kind])
		}
		if closer != nil {
			held.closers = append(held.closers, closer)
		}
		all = append(all, one)
	}
	sources := reconcile.NewSources(all, func() []string { return secretsOf(cfg) }, e.log)
	e.holdings.keep(sources, held.closers)
	return sources, nil
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
		one.What = c.Tap.Listen
		if e.tap != nil {
			one.Recorder = e.tap
		} else if e.store != nil {
			one.Recorder = unopened{}
		}
	case config.SourceLog:
		one.Proof, one.What = state.Log, cmp.Or(c.Log.Path, c.Log.Journal)
		one.Recorder, err = reconcile.NewLog(e.logOptions(c.Log))
	case config.SourceQuery:
		one.Proof, one.What = state.Query, c.Query.Driver
		var q *query.Query
		if q, err = query.New(queryOptions(c.Query)); err == nil {
			one.Oracle, closer = q, q.Close
		}
	case config.SourceCommand:
		one.Proof, one.What = state.Command, c.Command.Argv[0]
		one.Oracle, err = reconcile.NewCommand(reconcile.CommandOptions{Argv: c.Command.Argv, Timeout: c.Command.Timeout})
	default:
		err = errors.New("this version knows no such source") // unreachable: the configuration was checked
	}
	return one, closer, err
}

func (e *Engine) logOptions(c config.LogSource) reconcile.LogOptions {
	o := reconcile.LogOptions{
		Path: c.Path, Journal: c.Journal, Pattern: c.Pattern, Fields: reconcile.LogFields(c.Fields), Records: unkept{}, Now: e.Now, Logger: e.log,
	}
	if e.store != nil {
		o.Records = e.store
	}
	return o
}

// unkept stands for a state that does not exist: a log is read from its start.
type unkept struct{}

func (unkept) ReadPosition(string) ([]byte, error) { return nil, nil }

func (unkept) RecordRead(time.Time, []state.Sighting, string, []byte) error {
	return errors.New("there is no state to record in") // unreachable: without one nothing is recorded
}

func queryOptions(c config.QuerySource) query.Options {
	return query.Options{Driver: c.Driver, DSN: c.DSN.Value, SQL: c.SQL, Content: c.Content, Timeout: c.Timeout}
}

// Checks are what the configuration asks about its sources.
func Checks() config.Checks {
	return config.Checks{
		Schedule: poller.CheckSpec,
		Log: func(c config.LogSource) error {
			if c.Pattern != "" {
				return reconcile.CheckLogPattern(c.Pattern)
			}
			return reconcile.CheckLogFields(reconcile.LogFields(c.Fields))
		},
		Query: func(c config.QuerySource) error { return query.Check(c.Driver, c.SQL) },
	}
}

// unopened stands for a tap that a reload has added: listeners are opened at a
// start alone.
type unopened struct{}

func (unopened) Sync(context.Context) error { return nil }

func (unopened) Peek(context.Context, func(state.Sighting)) error { return nil }

func (unopened) Notice() string { return "it does not listen yet: restart backstop" }

// secretsOf are the values of a configuration that nothing may show, whoever
// says them: a program that fails may print what it was given.
func secretsOf(cfg *config.Config) []string {
	all := append([]secret.Secret{cfg.Heygen.APIKey, cfg.Heygen.AccessToken, cfg.Admin.Token, cfg.Admin.PingURL, cfg.Notify.URL}, cfg.Receiver.Secrets...)
	for _, headers := range []map[string]secret.Secret{cfg.Receiver.Headers, cfg.Notify.Headers} {
		for _, s := range headers {
			all = append(all, s)
		}
	}
	for _, s := range cfg.Seen {
		all = append(all, s.Query.DSN)
	}
	var values []string
	for _, s := range all {
		if value, err := s.Value(); err == nil && value != "" {
			values = append(values, value)
		}
	}
	return values
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
	var failing []string
	for _, h := range e.current().sources.Health() {
		if h.Failing != "" {
			failing = append(failing, h.Name)
		}
	}
	return e.sourceFailed(failing)
}

// sourceFailed is the error of whatever could not be judged or sent because the
// named sources could not answer; nil without any.
func (e *Engine) sourceFailed(names []string) error {
	if len(names) == 0 {
		return nil
	}
	var why []string
	for _, h := range e.current().sources.Health() {
		if slices.Contains(names, h.Name) {
			why = append(why, strings.TrimSuffix(h.Name+": "+h.Failing, ": ")) // it may be well again by now
		}
	}
	return exit.Errorf(exit.Failed, "mend it, or take it out of seen; until then what nothing else proves stays listed, and nothing is sent",
		"%s (%s)", sourceWords, strings.Join(why, "; "))
}

// sourceWords begin the error of sources that failed.
const sourceWords = "a source could not answer"
