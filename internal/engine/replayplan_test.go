package engine

import (
	"strings"
	"testing"
	"time"

	"backstop/internal/exit"
)

// What a replay request may not ask for, and why.
func TestReplayRequestsThatMeanNothing(t *testing.T) {
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	ids := []string{"evt_a"}
	for name, c := range map[string]struct {
		r    ReplayRequest
		want string // "": it is good
	}{
		"nothing":                   {ReplayRequest{}, "nothing to replay"},
		"ids":                       {ReplayRequest{IDs: ids}, ""},
		"ids and a status":          {ReplayRequest{IDs: ids, Dead: true}, "do not go together"},
		"ids and a range":           {ReplayRequest{IDs: ids, Since: day}, "do not go together"},
		"ids and a limit":           {ReplayRequest{IDs: ids, Limit: 1}, "do not go together"},
		"a status and a range":      {ReplayRequest{Missed: true, Since: day, Types: ids, Entity: "x", Limit: 3}, ""},
		"both statuses":             {ReplayRequest{Missed: true, Dead: true}, ""},
		"a range alone":             {ReplayRequest{Until: day}, ""},
		"a type alone":              {ReplayRequest{Types: []string{"avatar_video.fail"}}, ""},
		"a range that is none":      {ReplayRequest{Since: day, Until: day}, "is not before"},
		"a negative limit":          {ReplayRequest{Missed: true, Limit: -1}, "negative"},
		"by force":                  {ReplayRequest{IDs: ids, Force: true}, ""},
		"a range by force":          {ReplayRequest{Since: day, Force: true}, ""},
		"nothing by force":          {ReplayRequest{Force: true}, "nothing to replay"},
		"a status by force":         {ReplayRequest{Dead: true, Force: true}, "choose what is sent anyway"},
		"to another":                {ReplayRequest{Dead: true, To: "https://other.test/"}, ""},
		"to another by force":       {ReplayRequest{IDs: ids, To: "https://other.test/", Force: true}, "do not go together"},
		"a secret for nobody":       {ReplayRequest{IDs: ids, Secret: "s"}, "is for another receiver"},
		"only a plan of what waits": {ReplayRequest{IDs: ids, PlanOnly: true}, "plan_only"},
	} {
		err := c.r.Check()
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || exit.CodeOf(err) != exit.Usage) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
