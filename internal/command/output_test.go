package command

import (
	"context"
	"io"
	"strings"
	"testing"
)

func TestSaysYes(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, " Yes\n": true, "n\n": false, "\n": false, "": false} {
		a := &app{Streams: Streams{In: strings.NewReader(answer), Err: io.Discard}}
		if got := a.saysYes(t.Context(), "go on?"); got != want {
			t.Errorf("%q: %v, want %v", answer, got, want)
		}
	}
}

// An interrupt ends the question, though nothing is typed.
func TestAnInterruptIsANo(t *testing.T) {
	in, typed := io.Pipe()
	defer typed.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := &app{Streams: Streams{In: in, Err: io.Discard}}
	if a.saysYes(ctx, "go on?") {
		t.Error("it is a yes")
	}
}
