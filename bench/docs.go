package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const plotName = "performance-memory.svg"

// writeDocs puts the tables between the marks of performance.md, and the plot of
// a walk beside it. Rows that this run did not measure stay as they were.
func (b *bench) writeDocs() error {
	path := filepath.Join(b.o.docs, "performance.md")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	page := string(text)
	for _, part := range []struct {
		mark string
		make func(old string) string
	}{
		{"machine", func(string) string { return b.machineLine() }}, {"goals", b.goalTable}, {"rates", b.rateTable},
	} {
		if page, err = between(page, part.mark, part.make); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if len(b.curve) > 0 {
		err = os.WriteFile(filepath.Join(b.o.docs, plotName), []byte(plot(b.curve, b.took, b.o.events)), 0o644)
	}
	return errors.Join(err, os.WriteFile(path, []byte(page), 0o644))
}

// between replaces what stands between the two marks of a name.
func between(page, mark string, with func(old string) string) (string, error) {
	from, to := "<!-- bench "+mark+" -->\n", "<!-- end "+mark+" -->\n"
	head, rest, ok := strings.Cut(page, from)
	if !ok {
		return "", fmt.Errorf("the mark %q is missing", strings.TrimSpace(from))
	}
	old, tail, ok := strings.Cut(rest, to)
	if !ok {
		return "", fmt.Errorf("the mark %q is missing", strings.TrimSpace(to))
	}
	return head + from + with(old) + to + tail, nil
}

func (b *bench) machineLine() string {
	return fmt.Sprintf("%s: %s; medians of %d pairs, with the lowest and the highest.\n", time.Now().UTC().Format(time.DateOnly), b.machine, b.o.pairs)
}

func (b *bench) goalTable(old string) string {
	measured := map[string]bool{}
	var rows [][]string
	for _, f := range b.figures {
		measured[f.Goal] = true
		rows = append(rows, f.cells())
	}
	rows = append(rows, others(old, measured)...)
	slices.SortStableFunc(rows, func(x, y []string) int { return cmp.Compare(number(x[0]), number(y[0])) })
	return markdown([]string{"goal", "what", "want", "median", "lowest … highest", "met"}, rows)
}

// number is a goal's place in the table; what is none comes first.
func number(goal string) int {
	n, err := strconv.Atoi(goal)
	if err != nil {
		return 0
	}
	return n
}

func (b *bench) rateTable(old string) string {
	measured := map[string]bool{}
	var rows [][]string
	for _, r := range b.rates {
		if len(r.Samples) > 0 {
			measured[r.What] = true
			rows = append(rows, []string{r.What, short(median(r.Samples)) + " " + r.Unit, short(slices.Min(r.Samples)) + " … " + short(slices.Max(r.Samples))})
		}
	}
	return markdown([]string{"program", "median", "lowest … highest"}, append(rows, others(old, measured)...))
}

// others are the rows of a table whose first cell is none of those measured.
func others(table string, measured map[string]bool) (rows [][]string) {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	for _, line := range lines[min(2, len(lines)):] {
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "| "), " |"), " | ")
		if !measured[cells[0]] {
			rows = append(rows, cells)
		}
	}
	return rows
}

func markdown(head []string, rows [][]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}
