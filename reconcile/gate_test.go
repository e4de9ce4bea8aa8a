package reconcile

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backstop/state"
)

func TestNothingIsSent(t *testing.T) {
	pause := func(t *testing.T, s *state.Store) {
		if _, err := s.Pause(time.Now(), "upgrade", "ann"); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		unpaired bool
		prepare  func(t *testing.T, s *state.Store)
		change   func(o *ReplayOptions)
		want     string
	}{
		"paused":       {prepare: pause, want: "paused by ann: upgrade"},
		"no URL":       {change: func(o *ReplayOptions) { o.URL = "" }, want: "watching only"},
		"a bad URL":    {change: func(o *ReplayOptions) { o.URL = "receiver?token=secret" }, want: "receiver.url is no http"},
		"no secret":    {change: func(o *ReplayOptions) { o.Secrets = func() ([]string, error) { return nil, errUnreadable } }, want: "permission denied"},
		"unpaired":     {unpaired: true, want: "unpaired"},
		"two of these": {prepare: pause, change: func(o *ReplayOptions) { o.URL = "" }, want: "watching only"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, rec := openStore(t), &target{}
				if tc.unpaired {
					s = openAt(t, filepath.Join(t.TempDir(), "unpaired.db"))
				}
				missed(t, s, eventsTo(3)...)
				if tc.prepare != nil {
					tc.prepare(t, s)
				}
				asked := 0
				r := replayerFor(s, rec, func(o *ReplayOptions) {
					if tc.change != nil {
						tc.change(o)
					}
					secrets := o.Secrets
					o.Secrets = func() ([]string, error) { asked++; return secrets() }
				})
				d := drain(t, r)
				if d.Sent != 0 || d.Waiting != 3 || !strings.Contains(d.Paused, tc.want) || strings.Contains(d.Paused, "token") {
					t.Errorf("%+v", d)
				}
				// Being unpaired holds nobody back who asks for it.
				if held := r.Hold(); (held == "") != tc.unpaired {
					t.Errorf("a person who asks is held back by %q", held)
				}
				stop := run(t, r)
				time.Sleep(time.Hour)
				stop()
				if len(rec.all()) != 0 {
					t.Errorf("%d were sent", len(rec.all()))
				}
				if asked > 500 {
					t.Errorf("looked %d times in an hour", asked)
				}
				for id, st := range statuses(t, s) {
					if st != state.Missed {
						t.Errorf("%s is %s", id, st)
					}
				}
			})
		})
	}
}

func TestResumeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{}
		missed(t, s, eventsTo(3)...)
		if _, err := s.Pause(time.Now(), "upgrade", "ann"); err != nil {
			t.Fatal(err)
		}
		r := replayerFor(s, rec)
		stop := run(t, r)
		time.Sleep(time.Minute)
		if _, err := s.Resume(time.Now(), "", "ann"); err != nil {
			t.Fatal(err)
		}
		r.Wake()
		time.Sleep(time.Second)
		stop()
		if n := len(rec.accepted()); n != 3 {
			t.Errorf("%d sent after resume", n)
		}
	})
}

func TestUnpairedSendsWhatAPersonAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openAt(t, filepath.Join(t.TempDir(), "unpaired.db")), &target{}
		missed(t, s, eventsTo(3)...)
		askFor(t, s, "evt_001")
		d := drain(t, replayerFor(s, rec))
		posts := rec.all()
		if d.Sent != 1 || len(posts) != 1 || posts[0].id != "evt_001" || posts[0].headers.Get("X-Backstop-Reason") != "missed" {
			t.Errorf("%+v, %+v", d, posts)
		}
	})
}

func TestDrainManualSendsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{}
		missed(t, s, eventsTo(3)...)
		askFor(t, s, "evt_002")
		d, err := replayerFor(s, rec).DrainManual(t.Context(), false)
		if posts := rec.all(); err != nil || d.Sent != 1 || d.Waiting != 2 || len(posts) != 1 || posts[0].id != "evt_002" {
			t.Errorf("%+v, %v, %+v", d, err, posts)
		}
	})
}

// A person who has mended the receiver need not wait for the next probe; and
// one who has not must not flood it.
func TestDrainManualProbesOnceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := openStore(t), &target{}
		events := eventsTo(3)
		missed(t, s, events...)
		r := replayerFor(s, rec)
		rec.answer = func(int, string) (int, error) { return 401, nil }
		askFor(t, s, "evt_001", "evt_002", "evt_003")
		for _, probe := range []bool{true, false, true} {
			before := len(rec.all())
			if _, err := r.DrainManual(t.Context(), probe); err != nil {
				t.Fatal(err)
			}
			want := 0
			if probe {
				want = 1
			}
			if got := len(rec.all()) - before; got != want {
				t.Errorf("probe %v: %d attempts, want %d", probe, got, want)
			}
		}
	})
}
