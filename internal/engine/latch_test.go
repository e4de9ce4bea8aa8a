package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"backstop/state"
)

// What waits for replays ends when the state latches, also when another one met
// the error: the daemon's process is about to end, and nothing more is sent.
func TestWaitingEndsWhenTheStateLatches(t *testing.T) {
	for name, wait := range map[string]func(*Engine, string) error{
		"replay": func(e *Engine, id string) error {
			_, err := e.Replay(context.Background(), ReplayRequest{IDs: []string{id}, Who: "ann"}, func(ReplayRow) error { return nil })
			return err
		},
		"reconcile": func(e *Engine, _ string) error {
			_, err := e.Reconcile(context.Background(), ReconcileRequest{Wait: true})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				atWork(t)
				p := calmPlan(1, 100)
				p.beginning = true
				s := newScene(t, p)
				s.set(func() { s.down = true })
				l := s.live("", 0)
				_, err := l.engine.Record([]state.Sighting{{ID: "evt_other", Proof: state.Report}})
				s.must(err)
				time.Sleep(2 * time.Minute)
				ended := make(chan error, 1)
				go func() { ended <- wait(l.engine, s.world.Listed()[0]) }()
				time.Sleep(10 * time.Second)
				select {
				case err := <-ended:
					t.Fatalf("it ended while the receiver is down: %v", err)
				default:
				}
				l.arm("before", 0)
				_ = l.engine.store.Act(time.Now(), "ann", "anything", 0)
				defer s.mourn(l)
				select {
				case err := <-ended:
					if !errors.Is(err, state.ErrLatched) {
						t.Errorf("it ended with %v, want the latch", err)
					}
				case <-time.After(10 * time.Second):
					t.Fatal("it still waits")
				}
			})
		})
	}
}
