package reconcile

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// resends makes a forced or shadow run of events, agreed to.
func resends(t *testing.T, s *state.Store, kind state.RunKind, events ...heygen.Event) *state.Resends {
	t.Helper()
	run, err := s.BeginRun(time.Now(), state.Run{Kind: kind, Who: "ann", What: "a test"}, nil)
	if err == nil {
		_, err = s.PlanResends(state.ResendPages{Run: run.ID, Events: events, Now: time.Now()})
	}
	if err == nil {
		_, err = s.WalkedRun(time.Now(), run.ID)
	}
	if err == nil {
		run, err = s.ConfirmRun(time.Now(), run.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s.Resends(run)
}

// What a run gives up is no dead event, and what waits in it is told, not what waits in the ordinary queue.
func TestWhatARunGivesUp(t *testing.T) {
	for kind, want := range map[state.RunKind]string{
		state.RunForced: "a forced replay was given up, the event stands as it was",
		state.RunShadow: "a shadow replay was given up, the event stands as it was",
	} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, rec := openStore(t), &target{answer: func(int, string) (int, error) { return 422, nil }}
				missed(t, s, eventOf("evt_1", "vid_1", 1), eventOf("evt_2", "vid_2", 2), eventOf("evt_3", "vid_3", 3))
				q := resends(t, s, kind, eventOf("evt_forced", "vid_f", 4))
				var logged bytes.Buffer
				r := replayerFor(s, rec, func(o *ReplayOptions) { o.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
				if kind == state.RunShadow {
					r = NewShadow(q, r.options)
				}
				for i := range 3 {
					d, err := r.DrainFrom(t.Context(), q, false)
					if err != nil {
						t.Fatal(err)
					}
					if want := 1 - i/2; d.Sent != 1 || d.Waiting != want {
						t.Errorf("drain %d: %+v, want %d waiting", i, d, want)
					}
					time.Sleep(time.Minute)
				}
				if said := logged.String(); strings.Count(said, want) != 1 || strings.Contains(said, "is dead") {
					t.Errorf("logged:\n%s", said)
				}
			})
		})
	}
}
