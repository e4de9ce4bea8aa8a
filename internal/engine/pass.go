package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"backstop/internal/config"
	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/poller"
	"backstop/reconcile"
	"backstop/state"
)

// Pass is what one pass did: every configured walk, then the judging.
type Pass struct {
	Kind       string         `json:"kind"`
	Start      time.Time      `json:"start"`
	End        time.Time      `json:"end"`
	Requests   int64          `json:"requests"`
	Pages      int            `json:"pages"`
	Listed     int            `json:"listed"`
	New        int            `json:"new"`
	Missed     int            `json:"missed"`
	Seen       int            `json:"seen"`
	Bad        int            `json:"bad"`
	Complete   bool           `json:"complete"`
	Incomplete string         `json:"incomplete,omitempty"`
	Types      map[string]int `json:"missed_by_type,omitempty"`
}

// Poll makes one poll: walk to the mark less the lookback, judge what settled.
func (e *Engine) Poll(ctx context.Context) (Pass, error) { return e.pass(ctx, state.Poll, nil) }

// Sweep makes one sweep: a poll with the long lookback, which gives way to due
// polls between two pages.
func (e *Engine) Sweep(ctx context.Context) (Pass, error) {
	e.sweeping.Lock()
	defer e.sweeping.Unlock()
	between := func(ctx context.Context) error {
		e.turn.yield()
		if e.current().schedule.Due() {
			_, _ = e.passInTurn(ctx, state.Poll, nil) // noted and logged; a failed poll is no reason to end the sweep
		}
		return e.store.Err()
	}
	return e.pass(ctx, state.Sweep, between)
}

func (e *Engine) pass(ctx context.Context, kind state.Kind, between func(context.Context) error) (Pass, error) {
	e.turn.take(kind == state.Poll)
	defer e.turn.give()
	return e.passInTurn(ctx, kind, between)
}

// longWalk is how many pages make a walk worth cleaning up after.
const longWalk = 100

// passInTurn walks every query, judges, and notes the pass. A walk that could
// not be completed does not keep the others from walking, nor what was found
// from being judged.
func (e *Engine) passInTurn(ctx context.Context, kind state.Kind, between func(context.Context) error) (Pass, error) {
	p := e.current()
	e.walks(1)
	defer e.walks(-1)
	pass := Pass{Kind: kind.String(), Start: time.Now().UTC(), Complete: true}
	before := p.client.Requests()
	err := e.walkAndJudge(ctx, p, kind, between, &pass)
	pass.Requests = p.client.Requests() - before
	pass.End = time.Now().UTC()
	if pass.Pages > longWalk {
		debug.FreeOSMemory() // an idle daemon would keep for long what only such a walk needed
	}
	err = explain(err)
	if errors.Is(err, context.Canceled) { // whoever asked has gone; that is no failure of backstop
		e.log.Debug("pass interrupted", "kind", pass.Kind, "pages", pass.Pages)
		return pass, err
	}
	e.note(pass, err)
	p.replayer.Wake()
	return pass, err
}

// walks counts the passes that run, for Stuck: a sweep, and a poll inside it.
func (e *Engine) walks(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.walking += n
}

func (e *Engine) walkAndJudge(ctx context.Context, p *parts, kind state.Kind, between func(context.Context) error, pass *Pass) error {
	if err := e.prepare(ctx, p); err != nil {
		pass.Complete, pass.Incomplete = false, "not started"
		return err
	}
	var errs []error
	for _, w := range p.all() {
		result, err := w.Walk(ctx, kind, between)
		pass.add(result)
		if err != nil {
			errs = append(errs, fmt.Errorf("walk of %s: %w", result.Query, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	judged, err := p.judging.Pass(ctx, p.client.Now(), p.walking())
	pass.Missed, pass.Seen, pass.Types = judged.Missed, pass.Seen+judged.Seen, judged.Types
	failed := e.sourceFailed(judged.Failed) // no fault of the walk, which may be complete
	if err == nil {
		_, err = e.store.Prune(p.client.Now())
	}
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		pass.Complete = false
		return errors.Join(err, failed)
	}
	if !pass.Complete {
		failed = errors.Join(exit.Errorf(exit.Failed, "the mark stays; the next pass walks on", "walk incomplete: %s", pass.Incomplete), failed)
	}
	return failed
}

// add counts one walk into the pass.
func (p *Pass) add(r poller.Result) {
	p.Pages += r.Pages
	p.Listed += r.Tally.Listed
	p.New += r.Tally.New
	p.Seen += r.Tally.Seen
	p.Bad += r.Tally.Bad
	if !r.Complete {
		p.Complete = false
		p.Incomplete = r.Incomplete
	}
}

// prepare makes the walkers and the judging once the baseline is known. The
// baseline of a first run is set here, from the clock of the API where it has
// answered: a local clock that is ahead must not hide the first events.
func (e *Engine) prepare(ctx context.Context, p *parts) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.walkers != nil {
		return nil
	}
	baseline, ok := e.store.Baseline()
	var err error
	if !ok {
		if baseline, err = e.firstRun(ctx, p); err != nil {
			return err
		}
	}
	if p.walkers, err = newWalkers(p, e.store, baseline, e.log); err != nil {
		return err
	}
	p.judging = reconcile.NewJudging(e.store, p.sources, policy(p.cfg, baseline, e.store.Floor()), e.log)
	return nil
}

// firstRun sets the baseline and says so. One request, of one row, asks the
// API for its time.
func (e *Engine) firstRun(ctx context.Context, p *parts) (time.Time, error) {
	if _, err := p.client.Page(ctx, heygen.PageRequest{Query: queries(p.cfg)[0], Limit: 1}); err != nil {
		return time.Time{}, fmt.Errorf("first run: %w", err)
	}
	return e.setBaseline(p, p.client.Now().Add(-time.Since(e.started)))
}

// setBaseline sets the baseline of a first run that begins at a time.
func (e *Engine) setBaseline(p *parts, begun time.Time) (time.Time, error) {
	baseline, err := e.store.SetBaseline(baselineOf(p.cfg.Reconcile.Start, begun))
	if err != nil {
		return time.Time{}, fmt.Errorf("set the baseline: %w", err)
	}
	if baseline.IsZero() {
		e.log.Info("first run: every event that is listed is judged", "start", p.cfg.Reconcile.Start.String())
		return baseline, nil
	}
	e.log.Info("first run: events older than the baseline are not judged by polls and sweeps; `backstop backfill` reads them",
		"baseline", baseline.Format(time.RFC3339), "start", p.cfg.Reconcile.Start.String())
	return baseline, nil
}

// baselineOf is where a first run that began then puts its baseline; the zero
// time is before every event.
func baselineOf(start config.Start, begun time.Time) time.Time {
	switch {
	case start.Beginning:
		return time.Time{}
	case start.At.IsZero():
		return begun
	}
	return start.At
}

// all gives the walkers.
func (p *parts) all() []*poller.Walker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.walkers
}

// walking gives the walks that have not ended: what they found is not judged
// yet, for order within an entity needs the older ones first.
func (p *parts) walking() map[uint64]bool {
	under := map[uint64]bool{}
	for _, w := range p.all() {
		if id, ok := w.Walking(); ok {
			under[id] = true
		}
	}
	return under
}

// lastPass remembers how the last pass went, for readyz and for logging an
// error once.
type lastPass struct {
	pass  Pass
	err   error
	clean time.Time // end of the last clean pass
	fails int
}

// note keeps the pass, and logs it: one Info line for a pass that did
// something, an error when it starts, when it changes, and when it ends.
func (e *Engine) note(pass Pass, err error) {
	record := state.Pass{
		Kind: pass.Kind, Start: pass.Start, End: pass.End, Requests: int(pass.Requests), Pages: pass.Pages,
		Listed: pass.Listed, New: pass.New, Missed: pass.Missed, Seen: pass.Seen, Bad: pass.Bad, Complete: pass.Complete,
	}
	if err != nil {
		record.Err = err.Error()
	}
	if noteErr := e.store.NotePass(record); noteErr != nil {
		e.log.Warn("pass not noted", "error", noteErr)
	}
	e.mu.Lock()
	before := e.last
	e.last = lastPass{pass: pass, err: err, clean: before.clean}
	if err == nil {
		e.last.clean = time.Now()
	} else {
		e.last.fails = before.fails + 1
	}
	e.mu.Unlock()
	e.logPass(pass, err, before)
	p := e.current()
	p.teller.Wake(true)
	if err == nil {
		p.ping.Owe()
	}
}

// gist is what stays the same while an error repeats: not its request id.
func gist(err error) string {
	if answered := (*heygen.Error)(nil); errors.As(err, &answered) && answered.RequestID != "" {
		return strings.ReplaceAll(err.Error(), answered.RequestID, "")
	}
	return err.Error()
}

func (e *Engine) logPass(pass Pass, err error, before lastPass) {
	level := slog.LevelInfo
	switch {
	case err != nil && before.err != nil && gist(before.err) == gist(err):
		level = slog.LevelDebug // it goes on as it was
	case err != nil:
		level = slog.LevelWarn
	case before.err != nil:
		e.log.Info("passes are clean again", "failed_passes", before.fails)
	}
	attrs := []any{"kind", pass.Kind, "requests", pass.Requests, "pages", pass.Pages, "listed", pass.Listed, "new", pass.New,
		"missed", pass.Missed, "bad", pass.Bad, "took", pass.End.Sub(pass.Start).Round(time.Millisecond)}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	e.log.Log(context.Background(), level, "pass", attrs...)
}
