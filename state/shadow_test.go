package state

import (
	"errors"
	"testing"
	"time"
)

// What another receiver answers may hold its secret, and its owner is not asked whether that may be kept.
func TestAShadowRunKeepsNoAnswers(t *testing.T) {
	s := lively(t)
	r, q := mustFind(t, s, RunShadow, event("evt_1", "vid_1", "x", time.Hour))
	c, _, err := q.Claim(ClaimRules{Now: noon()})
	mustDo(t, err)
	_, err = q.Settle(Outcome{ID: "evt_1", Now: noon(), Status: Dead, Attempt: Attempt{Status: 422, Seq: c.Seq, Answer: "whsec_another"}})
	mustDo(t, err)
	rows, _, err := s.Resent(r.ID, nil)
	mustDo(t, err)
	if len(rows) != 1 || len(rows[0].Attempts) != 1 || rows[0].Attempts[0].Status != 422 || rows[0].Attempts[0].Answer != "" {
		t.Errorf("kept are %+v", rows)
	}
}

// Sending makes room: a full state takes a run of what it has, and none that brings data in.
func TestAFullStateTakesAPlainRun(t *testing.T) {
	o := optionsIn(t)
	o.MaxSize = 2 << 20
	s := mustOpen(t, o)
	listed(t, s, event("evt_1", "vid_1", "x", 5*time.Hour))
	judged(t, s, noon())
	fill(t, s, 8<<10)
	if _, err := s.BeginRun(noon(), Run{Kind: RunForced, Who: "ann", What: "a test"}, nil); !errors.Is(err, ErrFull) {
		t.Errorf("a forced run: %v", err)
	}
	r, err := s.BeginRun(noon(), Run{Kind: RunReplay, Who: "ann", What: "evt_1"}, []string{"evt_1"})
	mustDo(t, err)
	queued, done, err := s.QueueRun(noon(), r.ID)
	if len(queued) != 1 || !queued[0].Queued || !done || err != nil {
		t.Errorf("queued %+v, %v (%v)", queued, done, err)
	}
}

// A receiver that was found misconfigured is tried when somebody has changed something, and not only when its time comes.
func TestProbeSoon(t *testing.T) {
	s := lively(t)
	mustDo(t, s.ProbeSoon(noon()))
	if got := s.Receiver(); !got.NextProbe.IsZero() {
		t.Errorf("a receiver that works is %+v", got)
	}
	mustDo(t, s.receiverAct("find", func(_ *tx, r *Receiver) error {
		r.Misconfigured, r.NextProbe = "it answered 401", noon().Add(time.Hour)
		return nil
	}))
	mustDo(t, s.ProbeSoon(noon()))
	if got := s.Receiver(); !got.NextProbe.Equal(noon()) || got.Misconfigured == "" {
		t.Errorf("it is %+v", got)
	}
}
