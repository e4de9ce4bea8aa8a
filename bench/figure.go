package main

import (
	"fmt"
	"slices"
)

// figure is one measured number against its goal.
type figure struct {
	Goal    string    `json:"goal"` // number in the table, as in "2 node"
	What    string    `json:"what"`
	Want    float64   `json:"want"` // 0: it is only told
	AtMost  bool      `json:"at_most,omitempty"`
	Unit    string    `json:"unit,omitempty"`
	Samples []float64 `json:"samples"`
	Note    string    `json:"note,omitempty"` // what else to know, or why it was skipped
}

// atLeast and atMost are figures with their goal.
func atLeast(goal, what string, want float64, unit string, samples []float64) figure {
	return figure{Goal: goal, What: what, Want: want, Unit: unit, Samples: samples}
}

func atMost(goal, what string, want float64, unit string, samples []float64) figure {
	return figure{Goal: goal, What: what, Want: want, AtMost: true, Unit: unit, Samples: samples}
}

// skipped is a goal that could not be measured, and what would help.
func skipped(goal, what, why string) figure { return figure{Goal: goal, What: what, Note: why} }

// met reports whether the median meets the goal.
func (f figure) met() bool {
	if f.AtMost {
		return median(f.Samples) <= f.Want
	}
	return median(f.Samples) >= f.Want
}

// cells are the figure's row in the table: goal, what, want, median, spread, verdict.
func (f figure) cells() []string {
	if len(f.Samples) == 0 {
		return []string{f.Goal, f.What, f.want(), "–", "", "skipped: " + f.Note}
	}
	verdict := ""
	if f.Want != 0 || f.AtMost {
		verdict = "no"
		if f.met() {
			verdict = "yes"
		}
	}
	if f.Note != "" {
		verdict += " (" + f.Note + ")"
	}
	spread := fmt.Sprintf("%s … %s", short(slices.Min(f.Samples)), short(slices.Max(f.Samples)))
	return []string{f.Goal, f.What, f.want(), short(median(f.Samples)) + f.unit(), spread, verdict}
}

func (f figure) want() string {
	switch {
	case f.Want == 0 && !f.AtMost:
		return ""
	case f.AtMost:
		return "≤ " + short(f.Want) + f.unit()
	}
	return "≥ " + short(f.Want) + f.unit()
}

func (f figure) unit() string {
	if f.Unit == "" || f.Unit == "×" {
		return f.Unit
	}
	return " " + f.Unit
}

// short writes a number with as many digits as mean something.
func short(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func median(samples []float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	if len(sorted) == 0 {
		return 0
	}
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// ratios divides sample by sample: what ran in one pair belongs together.
func ratios(a, b []float64) []float64 {
	list := make([]float64, min(len(a), len(b)))
	for i := range list {
		list[i] = a[i] / b[i]
	}
	return list
}
