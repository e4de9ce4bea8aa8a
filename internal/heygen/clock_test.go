package heygen

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestClock(t *testing.T) {
	for _, tt := range []struct {
		name   string
		date   time.Duration // of the answer, from the local clock
		newest time.Duration // of its newest event, from the local clock
		want   time.Duration // of the result a minute later, from the local clock
		warns  bool
	}{
		{"equal", 0, -time.Hour, 0, false},
		{"within the slack", -2 * time.Second, -time.Hour, 0, false},
		{"local ahead", -10 * time.Second, -time.Hour, -10 * time.Second, false},
		{"local days ahead", -72 * time.Hour, -80 * time.Hour, -72 * time.Hour, true},
		{"local behind", 10 * time.Second, -time.Hour, 0, false},
		{"local days behind", 72 * time.Hour, -time.Hour, 0, true},
		{"a Date that its own events disprove", -72 * time.Hour, -time.Minute, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				c := clock{log: slog.New(slog.NewTextHandler(&log, nil))}
				if got := c.now(); !got.Equal(time.Now()) {
					t.Fatalf("before any answer: %v", got)
				}
				for range 2 {
					c.observe(time.Now().Add(tt.date), time.Now().Add(tt.newest))
				}
				c.observe(time.Time{}, time.Time{}) // an answer without a Date changes nothing
				time.Sleep(time.Minute)
				if got := time.Until(c.now()); got != tt.want {
					t.Errorf("%v from the local clock, want %v", got, tt.want)
				}
				if got := strings.Count(log.String(), "level=WARN"); got > 1 || (got == 1) != tt.warns {
					t.Errorf("%d warnings: %s", got, log.String())
				}
			})
		})
	}
}
