package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed peers
var peers embed.FS

// bench is one run: the programs, a directory for what they keep, and what was
// measured so far.
type bench struct {
	o       options
	self    string // this program, which is some of the peers, too
	binary  string // backstop
	dir     string
	machine machine
	figures []figure
	rates   []rate   // what the programs did by themselves, for the second table
	curve   []memory // of a walk, for the plot
	took    float64  // seconds of the walk of the plot
}

// rate is what one program did, without a goal.
type rate struct {
	What    string    `json:"what"`
	Unit    string    `json:"unit"`
	Samples []float64 `json:"samples"`
}

func newBench(o options) (*bench, error) {
	b := &bench{o: o, dir: o.dir}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if b.dir == "" {
		b.dir, err = os.MkdirTemp("", "backstop-bench")
	} else {
		err = os.MkdirAll(b.dir, 0o700)
	}
	if err != nil {
		return nil, err
	}
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return nil, err
	}
	b.binary = filepath.Join(b.dir, "backstop")
	if err := b.prepare(); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// prepare builds the program and lays the peers out.
func (b *bench) prepare() error {
	if out, err := exec.Command("go", "build", "-trimpath", "-o", b.binary, "backstop").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	for _, name := range []string{"walk.mjs", "walk.py", "loop.sh"} {
		text, err := peers.ReadFile("peers/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) close() error {
	if b.o.dir != "" {
		return nil
	}
	return os.RemoveAll(b.dir)
}

// measure measures the wanted goals, in the order of the table. A goal that
// fails does not keep the others from being measured.
func (b *bench) measure(ctx context.Context) error {
	var err error
	if b.machine, err = lookAt(b.dir); err != nil {
		return err
	}
	b.say("%s", b.machine)
	var errs []error
	for _, part := range b.parts() {
		if !part.wanted(&b.o) || ctx.Err() != nil {
			continue
		}
		b.say("%s", part.title)
		before := len(b.figures)
		if err := part.run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", part.title, err))
		}
		for _, f := range b.figures[before:] {
			b.say("  %s", rowText(f))
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// part measures some goals at once.
type part struct {
	goals []int
	title string
	run   func(context.Context) error
}

func (p part) wanted(o *options) bool {
	for _, goal := range p.goals {
		if o.wants(goal) {
			return true
		}
	}
	return false
}

func (b *bench) parts() []part {
	return []part{
		{[]int{1, 2}, "goals 1 and 2: a walk against the floor and the peers", b.walks},
		{[]int{3, 4, 5, 9}, "goals 3, 4, 5 and 9: a large state", b.largeState},
		{[]int{6, 7}, "goals 6 and 7: reports", b.reports},
		{[]int{8}, "goal 8: idle polls", b.idle},
		{[]int{10}, "goal 10: a listing that is far away", b.latency},
	}
}

// say tells how the run goes on, beside the tables on stdout.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (b *bench) add(figures ...figure) { b.figures = append(b.figures, figures...) }

func (b *bench) rate(what, unit string, samples []float64) {
	b.rates = append(b.rates, rate{what, unit, samples})
}
