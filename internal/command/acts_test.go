package command

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"backstop/internal/engine"
	"backstop/state"
)

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func TestResumedText(t *testing.T) {
	for want, was := range map[string]*engine.Hold{
		"replaying goes on: it was not paused": nil,
		"replaying goes on\nit was held by ann (uid 1000) since 2026-03-01T12:00:00Z: deploy": {
			Why: "deploy", Who: "ann (uid 1000)", At: noon(),
		},
		"replaying goes on\nit was held by backstop itself since 2026-03-01T12:00:00Z: 20 reported ids were never listed; it does not pause for that again": {
			Why: "20 reported ids were never listed", Who: state.PausedByBackstop, At: noon(),
		},
		"replaying goes on\nit was held by backstop itself since 2026-03-01T12:00:00Z: the receiver is misconfigured: it answered 401; it is tried again at once": {
			Why: "the receiver is misconfigured: it answered 401", Who: state.PausedByBackstop, At: noon(), Misconfigured: true,
		},
	} {
		if got := resumedText(was); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestActText(t *testing.T) {
	for want, act := range map[string]engine.Act{
		"2026-03-01T12:00:00Z  replay (1 event) by ann (uid 1000)":               {At: noon(), What: "replay", Who: "ann (uid 1000)", Events: 1},
		"2026-03-01T12:00:00Z  seen import (200000 events) by uid 7: from a log": {At: noon(), What: "seen import", Who: "uid 7", Events: 200_000, Why: "from a log"},
		"2026-03-01T12:00:00Z  resume by the admin token":                        {At: noon(), What: "resume", Who: "the admin token"},
	} {
		if got := actText(act); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWrapped(t *testing.T) {
	for text, want := range map[string][]string{
		"":                               {""},
		"short":                          {"short"},
		"one two three":                  {"one two", "three"},
		"exactly10!":                     {"exactly10!"},
		"a exactly10! b":                 {"a", "exactly10!", "b"},
		"abcdefghijklmnopqrstuvwxyz yes": {"abcdefghij", "klmnopqrst", "uvwxyz yes"},
		"éééééééééé é":                   {"éééééééééé", "é"},
	} {
		if got := wrapped(text, 10); !slices.Equal(got, want) {
			t.Errorf("%q is wrapped as %q, want %q", text, got, want)
		}
	}
	for _, line := range wrapped(strings.Repeat("数据 x", 500), 85) {
		if utf8.RuneCountInString(line) > 85 {
			t.Errorf("%q is too wide", line)
		}
	}
}

// Attempts that are no longer kept leave a line, and no other attempt takes their number.
func TestThinnedAttemptsAreTold(t *testing.T) {
	event := engine.Event{Lost: 10}
	for i := range 50 {
		number := i + 1
		if i >= 5 {
			number += 10
		}
		event.Attempts = append(event.Attempts, engine.Attempt{Number: number, At: noon(), Status: 503})
	}
	var lines []string
	explainAttempts(event, func(name, value string) {
		if value != "" {
			lines = append(lines, strings.TrimSpace(name+" "+value))
		}
	})
	want := []string{"attempt 5 2026-03-01T12:00:00Z  HTTP 503 in 0s, not counted: no other event was taken meanwhile", "10 attempts between are no longer kept", "attempt 16 2026-03-01T12:00:00Z  HTTP 503 in 0s, not counted: no other event was taken meanwhile"}
	if len(lines) != 51 || !slices.Equal(lines[4:7], want) {
		t.Errorf("%d lines, %q", len(lines), lines[4:7])
	}
}
