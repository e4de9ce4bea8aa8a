package main_test

import (
	"encoding/json"
	"slices"
	"time"

	"backstop/internal/receiver"
	"backstop/internal/simulate"
)

// listedEvent is a row of `backstop events --json`.
type listedEvent struct {
	ID     string `json:"event_id"`
	Status string `json:"status"`
	Proof  string `json:"proof"`
}

// events are all that backstop tells of, by id.
func (s *site) events() map[string]listedEvent {
	s.t.Helper()
	events := map[string]listedEvent{}
	for e := range readLines[listedEvent](s.t, s.must("", "events", "--json")) {
		events[e.ID] = e
	}
	return events
}

// quiet asks backstop whether so many events are seen and nothing is left to do.
func (s *site) quiet(events int) bool {
	s.t.Helper()
	var status struct {
		Counts map[string]int `json:"counts"`
	}
	out, code := s.run("", "status", "--json")
	if code != 0 {
		return false // it is just starting
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		s.t.Fatalf("status --json: %v\n%s", err, out)
	}
	c := status.Counts
	return c["settling"]+c["listed"]+c["missed"]+c["replaying"] == 0 && c["seen"] == events
}

// attempt tells when backstop began a POST.
func (s *site) attempt(v visit) (begun time.Time, told string) {
	s.t.Helper()
	var event struct {
		Attempts []struct {
			At time.Time `json:"at"`
		} `json:"attempts"`
	}
	out := s.must("", "explain", v.id, "--json")
	if err := json.Unmarshal([]byte(out), &event); err != nil {
		s.t.Fatalf("explain --json: %v\n%s", err, out)
	}
	if v.attempt < 1 || v.attempt > len(event.Attempts) {
		s.t.Errorf("attempt %d of %s, made in life %s, is not in what explain tells: %s", v.attempt, v.id, v.life, out)
		return time.Time{}, out
	}
	return event.Attempts[v.attempt-1].At, out
}

// unserved are the listed events that the receiver has not accepted.
func unserved(heygen *simulate.World, r *receiver.Receiver) []string {
	accepted := r.Accepted()
	return slices.DeleteFunc(heygen.Listed(), func(id string) bool { return accepted[id].Total() > 0 })
}
