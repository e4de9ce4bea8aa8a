package command

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"backstop/internal/engine"
)

// lineEvery is how often progress is told where there is no terminal.
const lineEvery = 10 * time.Second

// barSteps is how many steps a bar has from empty to full.
const barSteps = 1000

// progress shows how far long work is: a bar on a terminal, JSON lines with
// --json, else a line on stderr now and then.
type progress struct {
	app  *app
	bars *mpb.Progress          // nil: no terminal
	bar  *mpb.Bar               // made with the first word; nil before
	text atomic.Pointer[string] // what stands beside the bar
	last time.Time              // of a line
}

func (a *app) newProgress() *progress {
	p := &progress{app: a}
	if a.bars() {
		p.bars = mpb.New(mpb.WithOutput(a.Err), mpb.WithWidth(32))
	}
	return p
}

// bars reports whether bars are drawn.
func (a *app) bars() bool {
	return !a.json && !a.flags.quiet && a.terminal() && os.Getenv("NO_COLOR") == ""
}

// show takes in how far the work is.
func (p *progress) show(now engine.BackfillProgress) error {
	switch {
	case p.app.json:
		return p.app.printJSON(map[string]engine.BackfillProgress{"progress": now})
	case p.bars != nil:
		p.draw(now)
	case time.Since(p.last) >= lineEvery && !p.app.flags.quiet:
		p.last = time.Now()
		fmt.Fprintln(p.app.Err, progressLine(now))
	}
	return nil
}

// draw moves the bar. It stays empty where nobody can tell how much there is.
func (p *progress) draw(now engine.BackfillProgress) {
	line := progressLine(now)
	p.text.Store(&line)
	if p.bar == nil {
		beside := decor.Any(func(decor.Statistics) string { return " " + *p.text.Load() })
		p.bar = p.bars.AddBar(barSteps, mpb.AppendDecorators(beside), mpb.BarRemoveOnComplete())
	}
	p.bar.SetCurrent(min(int64(now.Share*barSteps), barSteps-1)) // a full one would be taken away
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}

// progressLine says in words how far the work is.
func progressLine(p engine.BackfillProgress) string {
	parts := []string{fmt.Sprintf("sent %d of %d", p.Done, p.Total)}
	switch p.Phase {
	case "mark":
		parts = []string{fmt.Sprintf("recorded %d of %d", p.Done, p.Total)}
	case "walk", "find":
		what := map[string]string{"walk": "not seen", "find": "found so far"}[p.Phase]
		parts = []string{fmt.Sprintf("read %s, %s, %d %s", plural(p.Pages, "page"), plural(p.Events, "event"), p.Planned, what)}
		if !p.Reached.IsZero() {
			parts = append(parts, "back to "+stamp(p.Reached))
		}
	}
	if p.Down {
		return strings.Join(append(parts, "the receiver does not work: tried again until it does"), ", ")
	}
	if p.Rate > 0 {
		parts = append(parts, fmt.Sprintf("%.3g a second", p.Rate))
	}
	if p.ETA >= 0 {
		left := time.Duration(p.ETA * float64(time.Second)).Round(time.Second)
		parts = append(parts, left.String()+" left")
	}
	return strings.Join(parts, ", ")
}
