package command

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/doctor"
)

// TestADaemonThatFallsSilent: a daemon that stands still in the middle is a line of
// its own, and the verb ends. One that is merely slow is waited for.
func TestADaemonThatFallsSilent(t *testing.T) {
	gone := errors.New("the answer broke off")
	for _, tt := range []struct {
		name  string
		pause time.Duration // before each line
		lines int           // then silence, unless that is all
		all   bool
		want  []string
		err   error
	}{
		{"slow", 50 * time.Second, 3, true, []string{"key", "key", "key"}, nil},
		{"breaks off", time.Second, 2, true, []string{"key", "key"}, gone},
		{"silent at once", 0, 0, false, []string{"daemon"}, nil},
		{"silent in the middle", time.Second, 2, false, []string{"key", "key", "daemon"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				say := func(c doctor.Check) error { got = append(got, c.Name); return nil }
				err := heard(t.Context(), silence, say, func(ctx context.Context, say func(doctor.Check) error) error {
					for range tt.lines {
						time.Sleep(tt.pause)
						if err := say(doctor.Check{Name: "key"}); err != nil {
							return err
						}
					}
					if !tt.all {
						<-ctx.Done()
						return ctx.Err()
					}
					return tt.err
				})
				if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
					t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.err)
				}
			})
		})
	}
}

func TestPartOf(t *testing.T) {
	for key, want := range map[string]string{
		"": "", "control": "control", "heygen.api_key": "heygen", "seen[1].log.path": "seen", "receiver.headers.X-Auth": "receiver",
	} {
		if got := partOf(key); got != want {
			t.Errorf("%q lies in %q, want %q", key, got, want)
		}
	}
}
