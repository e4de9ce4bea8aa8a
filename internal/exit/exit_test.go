package exit_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"backstop/internal/exit"
)

func TestCodeOf(t *testing.T) {
	credentials := exit.Errorf(exit.Credentials, "check the key", "refused")
	timeout := exit.Errorf(exit.Timeout, "", "unreachable")
	differences := exit.Errorf(exit.Differences, "", "2 missed")
	for _, tc := range []struct {
		name string
		err  error
		want exit.Code
	}{
		{"nil", nil, exit.OK},
		{"foreign", io.EOF, exit.Failed},
		{"one", timeout, exit.Timeout},
		{"wrapped", fmt.Errorf("pass: %w", timeout), exit.Timeout},
		{"credentials explain the rest", errors.Join(timeout, credentials, differences), exit.Credentials},
		{"unreachable beats failed", errors.Join(io.EOF, timeout), exit.Timeout},
		{"failed beats differences", errors.Join(differences, io.EOF), exit.Failed},
		{"differences", errors.Join(differences), exit.Differences},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := exit.CodeOf(tc.err); got != tc.want {
				t.Errorf("CodeOf(%v) = %d, want %d", tc.err, got, tc.want)
			}
		})
	}
}

func TestWords(t *testing.T) {
	for _, code := range []exit.Code{0, 1, 2, 3, 4, 5, 11, 78, 130} {
		if got := exit.ParseCode(code.String()); got != code {
			t.Errorf("ParseCode(%q) = %d, want %d", code, got, code)
		}
	}
	if exit.ParseCode("martian") != exit.Failed {
		t.Error("an unknown word must be Failed")
	}
}

func TestErrorEndsWithWhatToDo(t *testing.T) {
	err := exit.Errorf(exit.Failed, "try again", "read %s: %w", "x", io.EOF)
	if got, want := err.Error(), "read x: EOF: try again"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, io.EOF) {
		t.Error("the cause must stay reachable")
	}
	if kept := exit.Wrap(exit.Usage, "no", fmt.Errorf("outer: %w", err)); exit.CodeOf(kept) != exit.Failed {
		t.Error("Wrap must keep a code that is there")
	}
}
