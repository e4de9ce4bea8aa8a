package engine

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"time"

	"backstop/internal/config"
	"backstop/internal/doctor"
	"backstop/internal/heygen"
	"backstop/reconcile"
	"backstop/state"
)

// examineState fills in what the state knows. Without one there is nothing.
func (e *Engine) examineState(p *doctor.Patient, daemon bool) (state.Counts, error) {
	if e.store == nil {
		return state.Counts{}, nil
	}
	status, err := e.Status()
	if err != nil {
		return state.Counts{}, err
	}
	counts := e.store.Counts()
	p.State = e.stateOf(status, daemon)
	p.Sources.Paired = e.store.Paired()
	p.Replaying = replayingOf(status, counts)
	if hold := e.current().replayer.Hold(); p.Replaying.Paused == "" && status.Receiver.URL != "" {
		p.Replaying.Held = hold
	}
	return counts, nil
}

func (e *Engine) stateOf(s Status, daemon bool) doctor.State {
	of := doctor.State{
		Path: absolute(s.State.Path), Size: s.State.Size, MaxSize: e.current().cfg.State.MaxSize, Full: s.State.Full, PassError: s.PassError,
	}
	var err error
	if of.Free, err = e.store.Free(); err != nil {
		of.FreeUnknown = true
	}
	if info, err := os.Stat(s.State.Path); err == nil {
		of.Mode = info.Mode()
	}
	if s.LastPass != nil {
		of.Passed = s.LastPass.End
	}
	if daemon {
		of.Stale = 3 * e.pollInterval()
	}
	return of
}

// absolute is a path for people, who may be somewhere else than the daemon.
func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// pollInterval is the time between the next two polls.
func (e *Engine) pollInterval() time.Duration {
	next, _ := e.current().schedule.Next(time.Now())
	following, _ := e.current().schedule.Next(next)
	return following.Sub(next)
}

func replayingOf(s Status, counts state.Counts) *doctor.Replaying {
	r := s.Receiver
	return &doctor.Replaying{
		Paused: r.Paused, PausedBy: r.PausedBy, Misconfigured: r.Misconfigured, Failing: r.Failing, Since: r.FailingSince, Accepted: r.LastAccepted,
		Missed: counts.Status[state.Missed] + counts.Status[state.Replaying] - counts.Withheld,
		Dead:   counts.Status[state.Dead], Withheld: counts.Withheld, Oldest: s.OldestMissed,
	}
}

// trySources asks and reads all sources and tells how they are.
func (e *Engine) trySources(ctx context.Context) ([]doctor.Source, error) {
	p := e.current()
	begun := time.Now()
	err := p.sources.Trial(ctx)
	var all []doctor.Source
	for _, h := range p.sources.Health() {
		all = append(all, e.sourceOf(h, begun, p.cfg))
	}
	return all, err
}

func (e *Engine) sourceOf(h reconcile.SourceHealth, begun time.Time, cfg *config.Config) doctor.Source {
	s := doctor.Source{
		Name: sourceTitle(h), How: howOf(h.Proof), Spoken: e.store != nil && e.store.Spoke(h.Proof), Answered: !h.Spoke.Before(begun),
		Failing: heygen.CutURLs(h.Failing), Notice: heygen.CutURLs(h.Notice),
	}
	admin := cmp.Or(cfg.Admin.Listen, "the control socket")
	switch h.Proof {
	case state.Report:
		s.Advice = "let the receiver POST {\"event_id\":…} to /v1/seen at " + admin + " after its 2xx, or import what it has (`backstop seen import`)"
	case state.Mirror:
		s.Advice = "let what stands in front of the receiver copy each push to /v1/mirror at " + admin
	case state.Tap:
		s.Advice = "let HeyGen's pushes pass through the tap (" + h.What + ")"
	case state.Log:
		s.Advice = "see that the lines of the log are as the configuration says (`backstop -v reconcile` counts them), and that a push has arrived"
	default:
		s.Advice = "see why it gives no answer (`backstop status`)"
	}
	return s
}

func sourceTitle(h reconcile.SourceHealth) string {
	if h.What == "" {
		return h.Name
	}
	return h.Name + " (" + heygen.CutURLs(h.What) + ")"
}

// howOf says how a source with a proof comes to know.
func howOf(p state.Proof) doctor.How {
	switch p {
	case state.Query, state.Command:
		return doctor.Asked
	case state.Log:
		return doctor.Read
	}
	return doctor.Told
}
