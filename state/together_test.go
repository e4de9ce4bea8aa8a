package state

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// TestReportsAndPagesAtOnce: reporters, a walk and a replayer share commits, and nothing is lost between what one has done
// and the other can see.
func TestReportsAndPagesAtOnce(t *testing.T) {
	s := lively(t)
	const n = 300
	var events []heygen.Event
	for i := range n {
		events = append(events, event(fmt.Sprintf("evt_%03d", i), fmt.Sprintf("vid_%d", i%20), fmt.Sprint(i), time.Duration(n-i)*time.Minute))
	}
	var wg sync.WaitGroup
	fail := make(chan error, 4*n)
	for part := range 4 {
		wg.Go(func() {
			for i := part; i < n; i += 4 {
				if i%3 == 0 {
					continue // the receiver missed it
				}
				_, err := s.Record(noon(), []Sighting{{ID: events[i].ID, Proof: Report}})
				fail <- err
			}
		})
	}
	wg.Go(func() {
		for i := n; i > 0; i -= 10 {
			_, err := s.CommitPages(Pages{Events: events[i-10 : i], Now: noon()})
			fail <- err
		}
	})
	wg.Go(func() {
		for range n {
			c, _, err := s.Claim(ClaimRules{Now: noon()})
			fail <- err
			if c == nil {
				judged(t, s, noon())
				continue
			}
			_, err = s.Settle(Outcome{ID: c.Event.ID, Now: noon(), Attempt: Attempt{Status: 200, Seq: c.Seq}, Status: Seen})
			fail <- err
		}
	})
	wg.Wait()
	close(fail)
	for err := range fail {
		mustDo(t, err)
	}
	judged(t, s, noon())
	for i, e := range events {
		if status, why := statusOf(t, s, e.ID); i%3 != 0 && status != Seen {
			t.Errorf("%s was reported and listed, and is %s (%s)", e.ID, status, why)
		}
	}
	if c := s.Counts(); c.Unlisted != 0 {
		t.Errorf("%d reports wait, though all is listed", c.Unlisted)
	}
	mustAgree(t, s)
}
