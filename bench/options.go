package main

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// options say what is measured.
type options struct {
	pairs  int
	goals  []int // in this order; empty: all
	events int   // of the walks
	held   int   // ids in the large state
	json   string
	docs   string
	dir    string
}

func parse(args []string) (options, error) {
	var o options
	var goals string
	var quick bool
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.pairs, "pairs", 5, "how often each pair of programs runs; the medians of fewer than 5 say little")
	flags.StringVar(&goals, "goals", "", "numbers of the goals to measure, as in 1,2,8; empty: all")
	flags.IntVar(&o.events, "events", 1_000_000, "events in the listing of the walks")
	flags.IntVar(&o.held, "held", 10_000_000, "ids in the large state")
	flags.BoolVar(&quick, "quick", false, "a smoke run: 2 pairs, 50,000 events, 200,000 ids; its figures prove nothing")
	flags.StringVar(&o.json, "json", "", "also write every sample to this `file`")
	flags.StringVar(&o.docs, "docs", "", "also write the tables and the plot into this `folder`, between the marks of performance.md; goals left out keep their rows")
	flags.StringVar(&o.dir, "dir", "", "a `folder` for states, kept afterwards so that the large one is built once; empty: a temporary one")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if quick {
		o.pairs, o.events, o.held = 2, 50_000, 200_000
	}
	return o, o.setGoals(goals)
}

func (o *options) setGoals(list string) error {
	for text := range strings.SplitSeq(list, ",") {
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 || n > 10 {
			return fmt.Errorf("-goals %q: write numbers from 1 to 10, as in 1,2,8", list)
		}
		o.goals = append(o.goals, n)
	}
	return nil
}

func (o *options) wants(goal int) bool { return len(o.goals) == 0 || slices.Contains(o.goals, goal) }
