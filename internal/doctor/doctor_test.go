package doctor

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
)

// want is a line: status, a piece of what was found, and one of the remedy.
type want struct {
	status        Status
	name          string
	found, remedy string
}

// compare wants these lines in this order, and a remedy for all that is not ok.
func compare(t *testing.T, got []Check, wants ...want) {
	t.Helper()
	if len(got) != len(wants) {
		t.Fatalf("%d lines, want %d:\n%+v", len(got), len(wants), got)
	}
	for i, w := range wants {
		c := got[i]
		if c.Status != w.status || c.Name != w.name || !strings.Contains(c.Found, w.found) || !strings.Contains(c.Remedy, w.remedy) {
			t.Errorf("line %d is %+v\nwant %+v", i, c, w)
		}
		if (c.Remedy == "") != (c.Status == OK) {
			t.Errorf("%s is %s with the remedy %q", c.Name, c.Status, c.Remedy)
		}
	}
}

// hung asks an API that never answers, whatever becomes of the context.
type hung struct{ forever chan struct{} }

func (h hung) Page(context.Context, heygen.PageRequest) (*heygen.Page, error) {
	<-h.forever
	return nil, errors.New("at last")
}

func (h hung) EventTypes(context.Context) ([]heygen.EventType, error) { return nil, nil }
func (h hung) Endpoints(context.Context) ([]heygen.Endpoint, error)   { return nil, nil }

// TestNothingHangs: what never answers costs its limit, shows as a failure, and what
// rests on it is not checked; the rest is.
func TestNothingHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forever := make(chan struct{})
		p := Patient{
			State:   State{Absent: true},
			Listing: Listing{API: hung{forever}, Queries: []heygen.Query{{}}},
			Sources: Sources{Try: func(ctx context.Context) ([]Source, error) {
				<-ctx.Done()
				return []Source{{Name: "command", How: Asked, Advice: "look"}}, ctx.Err()
			}},
			Receiver: Receiver{
				URL: "http://192.0.2.1/hook",
				Resolve: func(context.Context, string) ([]netip.Addr, error) {
					return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
				},
				Knock: func(context.Context) Knock { <-forever; return Knock{} },
			},
			Test:    &Test{Limit: time.Second},
			Notices: Notices{Test: func(context.Context) []Way { <-forever; return nil }},
		}
		begun := time.Now()
		var got []Check
		if err := p.Run(t.Context(), func(c Check) error { got = append(got, c); return nil }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 2*(network+grace)+probing+grace+telling+grace {
			t.Errorf("took %s", took)
		}
		compare(t, got,
			want{OK, "daemon", "none runs", ""},
			want{Warn, "state", "no state file", "backstop run"},
			want{Fail, "api", "did not end within 20s", "backstop -v doctor"},
			want{Warn, "clock", "not checked", "mend"},
			want{Warn, "listing", "not checked", "mend"},
			want{Warn, "endpoints", "not checked", "mend"},
			want{Warn, "source command", "never answered", "look"},
			want{Warn, "pairing", "unpaired", "import"},
			want{Warn, "sources", "not all were asked", "wait"},
			want{Fail, "receiver", "did not end within 20s", "backstop -v doctor"},
			want{OK, "notices", "nobody is told", ""},
			want{OK, "ping", "no dead man's switch", ""},
			want{Warn, "test event", "not checked", "mend"},
			want{Fail, "test notice", "did not end within 40s", "backstop -v doctor"},
		)
		close(forever)
	})
}

// TestInterrupted: the end of the context is the end of the run, and an error of
// whoever reads is handed back.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := func(Check) error { t.Error("a line after the end"); return nil }
	if err := (Patient{}).Run(ctx, never); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	gone := errors.New("nobody reads")
	if err := (Patient{}).Run(t.Context(), func(Check) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

func TestSummary(t *testing.T) {
	var s Summary
	for _, c := range []Check{ok("a", "x"), warn("b", "r", "x"), warn("c", "r", "x"), fail("d", "r", "x")} {
		s.Count(c)
	}
	if (s != Summary{OK: 1, Warn: 2, Fail: 1}) {
		t.Errorf("got %+v", s)
	}
}

func TestSome(t *testing.T) {
	names := strings.Fields("a b c d e f g h")
	if got := some(names[:6]); got != "a, b, c, d, e, f" {
		t.Errorf("got %q", got)
	}
	if got := some(names); got != "a, b, c, d, e, f and 2 more" {
		t.Errorf("got %q", got)
	}
	if !slices.Equal(names, strings.Fields("a b c d e f g h")) {
		t.Error("the names were changed")
	}
}
