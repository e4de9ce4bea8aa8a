package reconcile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"backstop/state"
)

// The process dies between the answer and the outcome: the one event that was
// in flight is sent once more, the others are not.
func TestCrashBetweenPostAndSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := openAt(t, filepath.Join(dir, "backstop.db"))
		if err := s.SetPaired(); err != nil {
			t.Fatal(err)
		}
		missed(t, s, eventsTo(5)...)
		crashed := t.TempDir()
		rec := &target{}
		rec.answer = func(_ int, id string) (int, error) {
			if id == "evt_002" && len(rec.posts) == 2 {
				copyFiles(t, dir, crashed)
			}
			return 200, nil
		}
		drain(t, replayerFor(s, rec, func(o *ReplayOptions) { o.Concurrency = 1 }))

		again := &target{}
		stop := run(t, replayerFor(openAt(t, filepath.Join(crashed, "backstop.db")), again))
		time.Sleep(time.Minute)
		stop()
		accepted := again.accepted()
		if len(accepted) != 3 || accepted["evt_002"] != 1 || accepted["evt_003"] != 1 || accepted["evt_004"] != 1 {
			t.Errorf("after the crash: %v", accepted)
		}
	})
}

// copyFiles keeps what a crash now would leave.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	files, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		in, err := os.Open(filepath.Join(from, f.Name()))
		if err != nil {
			continue // not a file
		}
		out, err := os.OpenFile(filepath.Join(to, f.Name()), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(out, in); err != nil {
			t.Fatal(err)
		}
		_, _ = in.Close(), out.Close()
	}
}

// Every commit of a drain is failed, before it was made and after: the state
// latches, nothing more is sent, and the next start redoes at most what was in
// flight.
func TestEveryCommitFails(t *testing.T) {
	for _, point := range []string{"before", "after"} {
		for k := 1; ; k++ {
			if done := failCommit(t, point, k); done {
				break
			}
		}
	}
}

// failCommit fails the kth commit of a drain of three events, and reports
// whether there was none.
func failCommit(t *testing.T, point string, k int) (none bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "backstop.db")
		commits, armed := 0, false
		s, err := state.Open(state.Options{Path: path, Fault: func(at string) error {
			if armed && at == point {
				if commits++; commits == k {
					return errors.New("input/output error")
				}
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetPaired(); err != nil {
			t.Fatal(err)
		}
		missed(t, s, eventsTo(3)...)
		armed = true
		rec := &target{}
		_, err = replayerFor(s, rec, func(o *ReplayOptions) { o.Concurrency = 1 }).Drain(t.Context())
		none = commits < k
		if (err == nil) != none {
			t.Errorf("%s commit %d: %v", point, k, err)
		}
		sent := len(rec.all())
		_ = s.Close()

		stop := run(t, replayerFor(openAt(t, path), rec))
		time.Sleep(time.Minute)
		stop()
		twice := 0
		for id, n := range rec.accepted() {
			if n > 1 {
				twice += n - 1
			}
			if n > 2 {
				t.Errorf("%s commit %d: %s was accepted %d times", point, k, id, n)
			}
		}
		if len(rec.accepted()) != 3 || twice > 1 {
			t.Errorf("%s commit %d: %v accepted, %d sent before", point, k, rec.accepted(), sent)
		}
	})
	return none
}
