package engine

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/notify"
	"backstop/internal/secret"
	"backstop/internal/simulate"
	"backstop/state"
)

// notified is whoever is told of trouble, and the dead man's switch.
func (s *scene) notified(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var n notify.Notice
	if req.Method == http.MethodPost {
		if err := json.Unmarshal(body, &n); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.Method == http.MethodPost {
		s.notices = append(s.notices, n)
	} else {
		s.pings++
	}
	return respond(http.StatusOK), nil
}

// pinged is how many pings there were.
func (s *scene) pinged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pings
}

// heard are the notices so far, as condition and state, and how many events those
// of replays were about before their end.
func (s *scene) heard() (words []string, events int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.notices {
		words = append(words, n.Condition+" "+n.State)
		if n.Condition == notify.Replayed && n.State != notify.Recovered {
			events += n.Count
		}
	}
	return words, events
}

// watched makes a scene in which somebody is told.
func watched(t *testing.T) *scene {
	t.Helper()
	atWork(t)
	s := newScene(t, calmPlan(50, 100))
	s.cfg.Notify.URL = secret.Text("https://hooks.test/services/x")
	s.cfg.Admin.PingURL = secret.Text("https://switch.test/x")
	return s
}

// Being watched over costs an idle poll one ping, and no commit.
func TestIdlePollsWithNoticesCostNoCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watched(t)
		l := s.live("", 0)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		generation, commits, pings := s.generation(l), l.made(), s.pinged()
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if n := s.generation(l) - generation; n != 0 || l.made() != commits {
			t.Errorf("20 idle polls made %d commits, want none", n)
		}
		if n := s.pinged() - pings; n != 20 {
			t.Errorf("20 clean passes made %d pings", n)
		}
		if words, _ := s.heard(); words != nil {
			t.Errorf("without trouble it tells %q", words)
		}
		s.end()
	})
}

// Pushes stop arriving. backstop mends it, and says so: once, with all that was
// sent in the next notice, through kills, and that it is over.
func TestSilentRepairIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watched(t)
		l := s.live("", 0)
		s.must(l.engine.store.SetPaired(state.Report))
		time.Sleep(10 * time.Minute)
		lost := 0
		lose := func(n int) {
			for range n {
				_, err := s.world.Create(simulate.Recipe{Push: simulate.NoPush, Hidden: -1})
				s.must(err)
				lost++
			}
			time.Sleep(8 * time.Minute)
			synctest.Wait()
		}
		lose(3)
		if words, events := s.heard(); !slices.Equal(words, []string{"replayed alarm"}) || events != 3 {
			t.Fatalf("three lost pushes: told %q, of %d events", words, events)
		}
		lose(2)
		s.kill()
		s.live("", 0)
		lose(4)
		if words, _ := s.heard(); len(words) != 1 {
			t.Fatalf("within the cool-down it tells %q", words)
		}
		time.Sleep(50 * time.Minute) // the last replay is younger than a cool-down
		synctest.Wait()
		if words, events := s.heard(); !slices.Equal(words, []string{"replayed alarm", "replayed again"}) || events != lost {
			t.Fatalf("after the cool-down: told %q, of %d events, want %d", words, events, lost)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		words, events := s.heard()
		if !slices.Equal(words, []string{"replayed alarm", "replayed again", "replayed recovered"}) || events != lost {
			t.Fatalf("after a quiet hour: told %q, of %d events, want %d", words, events, lost)
		}
		if n := s.notices[2]; n.Count != lost {
			t.Errorf("its end is of %d events, want %d: %s", n.Count, lost, n.Text)
		}
		s.end()
	})
}
