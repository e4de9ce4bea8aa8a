package command

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"backstop/internal/exit"
	"backstop/state"
)

// Whatever becomes of the process that looks at a file: an answer, with what to
// do, and nothing of its last words.
func TestExamine(t *testing.T) {
	const enough = time.Minute
	for name, c := range map[string]struct {
		script   string
		limit    time.Duration
		problems int
		code     exit.Code
		says     string // "": it is sound
	}{
		"sound":        {`echo '{"problems":0}'`, enough, 0, exit.OK, ""},
		"problems":     {`echo '{"what":"page 3"}'; echo '{"bucket":"open","key":"evt_1","what":"bad"}'; exit 1`, enough, 2, exit.OK, ""},
		"an error":     {`echo '{"error":{"code":"held","message":"in use","hint":"stop it"}}' >&2; exit 11`, enough, 0, exit.Held, "in use: stop it"},
		"a panic":      {`echo 'panic: page 7' >&2; exit 2`, enough, 0, exit.Failed, "broke down"},
		"killed":       {`kill -9 $$`, enough, 0, exit.Failed, "was ended by killed"},
		"hanging":      {`exec sleep 600`, time.Nanosecond, 0, exit.Failed, "did not end within"},
		"gibberish":    {`echo what >&2; exit 1`, enough, 0, exit.Failed, "without an answer"},
		"nothing said": {`exit 1`, enough, 0, exit.Failed, "without an answer"},
	} {
		t.Run(name, func(t *testing.T) {
			problems, err := examineBy(t.Context(), c.limit, flagState, "x.db", "sh", "-c", c.script)
			if len(problems) != c.problems || exit.CodeOf(err) != c.code {
				t.Fatalf("%v, %v; want %d problems and code %d", problems, err, c.problems, c.code)
			}
			if c.says == "" {
				return
			}
			text := err.Error()
			if !strings.Contains(text, c.says) || strings.Contains(text, "panic") {
				t.Errorf("it says %q, want %q", text, c.says)
			}
			if c.code == exit.Failed && (!errors.Is(err, state.ErrDamaged) || !strings.Contains(text, "x.db") || !strings.Contains(text, "state init --force")) {
				t.Errorf("%q names no file, or no remedy", text)
			}
		})
	}
}

func TestExamineIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := examineBy(ctx, time.Minute, flagState, "x.db", "sh", "-c", "exec sleep 600"); !errors.Is(err, context.Canceled) {
		t.Errorf("it says %v, want that it was interrupted", err)
	}
	if _, err := examineBy(t.Context(), time.Minute, flagState, "x.db", "/no/such/program"); !errors.Is(err, errNoLook) || errors.Is(err, state.ErrDamaged) {
		t.Errorf("it says %v, want that it could not look", err)
	}
}
