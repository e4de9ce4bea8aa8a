package state

import (
	"fmt"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// window and settle are the policy of these tests.
const (
	window = 10 * time.Minute
	settle = 5 * time.Minute
)

// lively opens a state whose commits are not synced to disk: these tests are about what is in it.
func lively(t *testing.T) *Store {
	t.Helper()
	o := optionsIn(t)
	o.CollapseWindow = window
	s := mustOpen(t, o)
	s.db.NoSync = true
	return s
}

// event makes a dated event of an entity ("" none); content tells facts of one entity apart.
func event(id, entity, content string, age time.Duration) heygen.Event {
	created := noon().Add(-age)
	data := fmt.Sprintf(`{"note":%q,"url":"https://files.example.com/%s"}`, content, id)
	if entity != "" {
		data = fmt.Sprintf(`{"video_id":%q,"note":%q,"url":"https://files.example.com/%s"}`, entity, content, id)
	}
	return heygen.Event{
		ID: id, Type: "avatar_video.success", Data: []byte(data), CreatedAt: created, Created: created.Format(time.RFC3339),
	}
}

func factOf(t *testing.T, e heygen.Event) heygen.Fact {
	t.Helper()
	fact, ok := e.Fact()
	if !ok {
		t.Fatalf("event %s has no fact", e.ID)
	}
	return fact
}

// listed commits a page.
func listed(t *testing.T, s *Store, events ...heygen.Event) Tally {
	t.Helper()
	tally, err := s.CommitPages(Pages{Events: events, Now: noon()})
	if err != nil {
		t.Fatalf("commit pages: %v", err)
	}
	return tally
}

// verdictOf judges as simply as can be.
func verdictOf(id string, k Known, settled bool) Verdict {
	v := Verdict{ID: id, Status: Missed, Why: "no proof", Reason: ReasonMissed}
	switch {
	case k.Status == Seen:
		v.Status, v.Proof = Seen, k.Proof
	case k.Reported != None:
		v.Status, v.Proof = Seen, k.Reported
	case k.Credit != 0:
		v.Status, v.Proof, v.Credit = Seen, k.CreditBy, k.Credit
	case k.Status == Ignored:
		v.Status = Ignored
	case k.Twin != "":
		v.Status, v.Proof, v.Twin = Seen, k.TwinProof, k.Twin
	case !settled:
		v.Status = Settling
	}
	return v
}

// judged runs one judging pass and returns what took effect.
func judged(t fataler, s *Store, now time.Time) map[string]Verdict {
	t.Helper()
	look := s.Look(Policy{Settle: settle, CollapseWindow: window})
	effect := make(map[string]Verdict)
	for after := ""; ; {
		rows, next, err := s.Judgeable(now, nil, after, 3)
		if err != nil {
			t.Fatalf("judgeable: %v", err)
		}
		var events []heygen.Event
		for _, r := range rows {
			events = append(events, r.Event)
		}
		known, err := look.Events(now, events)
		if err != nil {
			t.Fatalf("look: %v", err)
		}
		var vs []Verdict
		for i, k := range known {
			born := events[i].CreatedAt
			if born.IsZero() {
				born = k.Listed
			}
			vs = append(vs, verdictOf(events[i].ID, k, !born.Add(settle).After(now)))
		}
		applied, err := s.Decide(now, vs)
		if err != nil {
			t.Fatalf("decide: %v", err)
		}
		for _, v := range applied {
			effect[v.ID] = v
		}
		if after = next; next == "" {
			return effect
		}
	}
}

// statusOf is the status of an event, and its reason.
func statusOf(t fataler, s *Store, id string) (Status, string) {
	t.Helper()
	row, err := s.Event(id)
	if err != nil {
		t.Fatalf("event %s: %v", id, err)
	}
	if row == nil {
		return 0, ""
	}
	return row.Status, row.Why
}

func wantStatus(t fataler, s *Store, want map[string]Status) {
	t.Helper()
	for id, status := range want {
		if got, why := statusOf(t, s, id); got != status {
			t.Errorf("%s is %q (%s), want %q", id, got, why, status)
		}
	}
}

// mustClaim claims the next event.
func mustClaim(t fataler, s *Store, now time.Time) *Claim {
	t.Helper()
	c, wait, err := s.Claim(ClaimRules{Now: now})
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	if c == nil {
		t.Fatalf("nothing to claim; wait %s", wait)
	}
	return c
}

func noClaim(t fataler, s *Store, r ClaimRules) time.Duration {
	t.Helper()
	c, wait, err := s.Claim(r)
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	if c != nil {
		t.Fatalf("claimed %s, want nothing", c.Event.ID)
	}
	return wait
}

// settled writes an outcome down.
func settled(t fataler, s *Store, c *Claim, status Status, now time.Time) Status {
	t.Helper()
	a := Attempt{At: now, Status: 204, Latency: 31 * time.Millisecond, Seq: c.Seq}
	if status != Seen {
		a.Status = 500
	}
	got, err := s.Settle(Outcome{ID: c.Event.ID, Now: now, Attempt: a, Status: status, Why: "test", Due: now.Add(time.Minute)})
	if err != nil {
		t.Fatalf("settle: %v", err)
	}
	return got
}

// mustAgree compares index, open, ledger and counts.
func mustAgree(t fataler, s *Store) {
	t.Helper()
	err := s.view(func(t2 *tx) error {
		again, err := t2.audit(func(p Problem) { t.Errorf("audit: %s %s: %s", p.Bucket, p.Key, p.What) })
		if again != *t2.counts() {
			t.Errorf("counts are %+v, counted again %+v", *t2.counts(), again)
		}
		return err
	})
	if err != nil {
		t.Fatalf("audit: %v", err)
	}
}

// fataler is what helpers need of a test; a random one is no testing.TB.
type fataler interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}
