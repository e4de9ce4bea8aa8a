package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

func rowText(f figure) string { return strings.Join(f.cells(), "  ") }

// report prints the tables, and writes what the flags ask for.
func (b *bench) report() error {
	fmt.Printf("\n%s, %d pairs\n\n", b.machine, b.o.pairs)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "goal\twhat\twant\tmedian\tspread\tmet")
	for _, f := range b.figures {
		fmt.Fprintln(w, strings.Join(f.cells(), "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if b.o.json != "" {
		if err := b.writeJSON(); err != nil {
			return err
		}
	}
	if b.o.docs != "" {
		return b.writeDocs()
	}
	return nil
}

func (b *bench) writeJSON() error {
	text, err := json.MarshalIndent(map[string]any{
		"machine": b.machine, "pairs": b.o.pairs, "events": b.o.events, "held": b.o.held,
		"figures": b.figures, "rates": b.rates, "memory_of_a_walk": b.curve,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(b.o.json, append(text, '\n'), 0o644)
}
