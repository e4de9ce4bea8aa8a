package reconcile

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestOutageEdges(t *testing.T) {
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	l := Limits{BackoffMin: 5 * time.Second, BackoffMax: time.Hour}.withDefaults()
	now := noon()
	var o outage
	note := func(a Answer) { o.note("evt_1", a, l, now, log) }

	note(status(500))
	note(status(503))
	if o.down {
		t.Error("down after two failures")
	}
	note(status(422)) // it lives
	note(status(500))
	note(status(500))
	note(Answer{Err: "timeout", Class: Retry})
	if !o.down || !o.next.Equal(now.Add(5*time.Second)) {
		t.Errorf("three in a row: %+v", o)
	}
	note(status(500)) // was in flight before
	if o.probes != 0 {
		t.Errorf("a straggler was taken for a probe: %+v", o)
	}
	for range 10 {
		now = o.next
		note(status(500))
	}
	if pace := o.next.Sub(now); pace != time.Minute {
		t.Errorf("probes every %v", pace)
	}
	note(status(200))
	if o.down || o.failures != 0 {
		t.Errorf("after a 2xx: %+v", o)
	}
	if warns, infos := strings.Count(logged.String(), "level=WARN"), strings.Count(logged.String(), "level=INFO"); warns != 2 || infos != 1 {
		t.Errorf("%d warnings, %d infos:\n%s", warns, infos, &logged)
	}
	if !strings.Contains(logged.String(), "failures=14") {
		t.Errorf("no count:\n%s", &logged)
	}
}
