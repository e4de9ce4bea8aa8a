package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/internal/simulate"
)

// snapshot is one look at all three parts.
type snapshot struct {
	world    simulate.Stats
	settled  bool // the world makes no more events, and every push has had its fate
	status   engine.Status
	pushed   int    // listed events that the receiver accepted by push
	replayed int    // those that it accepted by replay alone
	example  string // one of those
	missing  []string
}

// look takes a snapshot. What counts as arrived is what the receiver answered
// 2xx.
func (d *demo) look(ctx context.Context) (snapshot, error) {
	s := snapshot{world: d.world.Stats(), settled: d.world.Done()}
	accepted := d.receiver.Accepted()
	for _, id := range d.world.Listed() {
		count, ok := accepted[id]
		switch {
		case !ok:
			s.missing = append(s.missing, id)
		case count.Push > 0:
			s.pushed++
		default:
			s.replayed++
			s.example = id
		}
	}
	var err error
	s.status, err = d.client.Status(ctx)
	return s, err
}

// done reports whether nothing more will happen.
func (s snapshot) done() bool {
	quiet := s.status.Counts["settling"]+s.status.Counts["missed"]+s.status.Counts["replaying"] == 0
	return s.settled && s.world.Hidden == 0 && len(s.missing) == 0 && quiet
}

// show draws until every event arrived or the time is up.
func (d *demo) show(ctx context.Context) error {
	screen := newScreen(d.options.Out, d.options.Terminal)
	screen.say("A stand-in for HeyGen makes %d events and pushes them to a receiver.", events)
	screen.say("About %d %% of the pushes get lost on the way. backstop walks the listing, waits", int(lost*100))
	screen.say("%s for pushes in flight, and replays what the receiver has not reported.\n", settle)
	for {
		s, err := d.look(ctx)
		if err == nil {
			screen.draw(s)
		}
		if err == nil && s.done() {
			return nil
		}
		if err := pause(ctx, screen.interval()); err != nil {
			return exit.Errorf(exit.Failed, "run it again; `backstop -v demo` shows the log", "the demo ended before every event arrived")
		}
	}
}

// prove prints the sums, counted at the receiver.
func (d *demo) prove(shown error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := d.look(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.options.Out, "\n%6d listed     by HeyGen's stand-in (seed %d)\n", s.world.Listed, s.world.Seed)
	fmt.Fprintf(d.options.Out, "%6d pushed     and accepted by the receiver\n", s.pushed)
	fmt.Fprintf(d.options.Out, "%6d lost       on the way\n", s.world.Listed-s.pushed)
	fmt.Fprintf(d.options.Out, "%6d replayed   by backstop\n", s.replayed)
	fmt.Fprintf(d.options.Out, "%6d missing\n", len(s.missing))
	if example, err := d.client.Event(ctx, s.example); err == nil {
		fmt.Fprintf(d.options.Out, "\nfor example %s, %s:\n  created %s, %s\n", example.ID, example.Type,
			example.CreatedAt.Format(time.TimeOnly), example.Reason)
	}
	if shown == nil && len(s.missing) > 0 {
		return exit.Errorf(exit.Failed, "run it again", "%d events did not arrive", len(s.missing))
	}
	return nil
}

// screen shows snapshots: a picture that is drawn over on a terminal, a line now
// and then elsewhere.
type screen struct {
	out      io.Writer
	terminal bool
	drawn    int    // lines of the last picture
	last     string // the last plain line
}

func newScreen(out io.Writer, terminal bool) *screen { return &screen{out: out, terminal: terminal} }

func (s *screen) interval() time.Duration {
	if s.terminal {
		return 150 * time.Millisecond
	}
	return time.Second
}

func (s *screen) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

func (s *screen) draw(now snapshot) {
	if !s.terminal {
		s.line(now)
		return
	}
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn)
	}
	rows := picture(now)
	for _, row := range rows {
		fmt.Fprintf(&b, "\x1b[2K%s\n", row)
	}
	s.drawn = len(rows)
	fmt.Fprint(s.out, b.String())
}

// line prints a snapshot where it differs from the one before.
func (s *screen) line(now snapshot) {
	counts := now.status.Counts
	text := fmt.Sprintf("listed %3d   by push %3d   settling %3d   missed %2d   replayed %2d",
		now.world.Listed, now.pushed, counts["settling"], counts["missed"]+counts["replaying"], now.replayed)
	if text != s.last {
		s.say("%s", text)
		s.last = text
	}
}

// picture draws bars: what HeyGen lists, and how it reached the receiver.
func picture(now snapshot) []string {
	counts := now.status.Counts
	bar := func(n int) string {
		full := min(40, (n*40+events-1)/events)
		return strings.Repeat("█", full) + strings.Repeat("·", 40-full)
	}
	return []string{
		"",
		fmt.Sprintf("  listed     %s %4d", bar(now.world.Listed), now.world.Listed),
		fmt.Sprintf("  by push    %s %4d", bar(now.pushed), now.pushed),
		fmt.Sprintf("  by replay  %s %4d", bar(now.replayed), now.replayed),
		fmt.Sprintf("  settling %d, missed %d, seen %d", counts["settling"], counts["missed"]+counts["replaying"], counts["seen"]),
	}
}

// tail keeps the last lines of a log.
type tail struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

const tailLines = 40

// Write implements io.Writer; a handler writes whole lines.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, string(p))
	if len(t.lines) > tailLines {
		t.lines = t.lines[1:]
	}
	return len(p), nil
}

// show prints what is kept.
func (t *tail) show(out io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, line := range t.lines {
		fmt.Fprint(out, line)
	}
}
