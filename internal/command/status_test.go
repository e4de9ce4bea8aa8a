package command

import (
	"testing"
	"time"

	"backstop/internal/engine"
)

func TestPaceText(t *testing.T) {
	noon := time.Date(2026, 3, 25, 12, 3, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		receiver engine.ReceiverStatus
		want     string
	}{
		"as configured": {engine.ReceiverStatus{Rate: 5, Configured: 5}, ""},
		"no limit":      {engine.ReceiverStatus{}, ""},
		"slower": {engine.ReceiverStatus{Rate: 1.25, Configured: 5, Slower: "it answered 503", SlowSince: noon},
			"sending 1.25 of 5 a second since 2026-03-25T12:03:00Z: it answered 503"},
		"slower than without a limit": {engine.ReceiverStatus{Rate: 0.078125, Slower: "it did not answer in time", SlowSince: noon},
			"sending 0.0781 a second instead of without a limit since 2026-03-25T12:03:00Z: it did not answer in time"},
		"let alone": {engine.ReceiverStatus{Rate: 2.5, Configured: 5, Slower: "it answered 429", SlowSince: noon, Rests: noon.Add(time.Minute)},
			"sending 2.5 of 5 a second since 2026-03-25T12:03:00Z: it answered 429; the receiver asked to be let alone until 2026-03-25T12:04:00Z"},
	} {
		if got := paceText(tc.receiver); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
