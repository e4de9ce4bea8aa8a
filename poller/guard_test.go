package poller

import (
	"fmt"
	"testing"

	"backstop/internal/heygen"
)

// guardPage is page n of a fake listing: size rows of consecutive ids.
func guardPage(first, size int, next string) *heygen.Page {
	page := &heygen.Page{Next: next}
	for i := range size {
		page.Events = append(page.Events, heygen.Event{ID: fmt.Sprint(first + i)})
	}
	return page
}

// A circle is found within a few rounds, also one that is longer than what is
// remembered, with tokens that come again or ever new ones, and with pages that
// are cut differently each time round.
func TestGuardFindsCircles(t *testing.T) {
	const size = 4
	tests := []struct{ before, length int }{{0, 1}, {0, 2}, {5, 3}, {100, 1000}, {9000, 3000}, {3, 17000}}
	for _, tt := range tests {
		at := func(n int) int { // the page that the nth request gets
			if n < tt.before {
				return n
			}
			return tt.before + (n-tt.before)%tt.length
		}
		ways := map[string]func(n int) (string, *heygen.Page){
			"the tokens come again": func(n int) (string, *heygen.Page) {
				return fmt.Sprint("t", at(n)), guardPage(n*size, size, fmt.Sprint("t", at(n+1)))
			},
			"the rows come again": func(n int) (string, *heygen.Page) {
				return fmt.Sprint("t", n), guardPage(at(n)*size, size, fmt.Sprint("t", n+1))
			},
			"the rows come again, cut differently": func(n int) (string, *heygen.Page) {
				page := &heygen.Page{Next: fmt.Sprint("t", n+1)}
				for i := range size {
					row := n*size + i
					if over := row - tt.before*size; over > 0 {
						row = tt.before*size + over%(tt.length*size+1)
					}
					page.Events = append(page.Events, heygen.Event{ID: fmt.Sprint(row)})
				}
				return fmt.Sprint("t", n), page
			},
		}
		for name, way := range ways {
			g := newGuard()
			bound := 6*max(tt.before, tt.length) + 8
			found := -1
			for n := 0; n < bound && found < 0; n++ {
				if token, page := way(n); g.check(token, page, 0) != "" {
					found = n
				}
			}
			if found < tt.before+tt.length-1 {
				t.Errorf("%s, %d pages after %d: found at page %d", name, tt.length, tt.before, found)
			}
		}
	}
}

// However long the walk, the guard stays small, and minds nothing.
func TestGuardStaysSmall(t *testing.T) {
	g := newGuard()
	for n := range 60_000 {
		if reason := g.check(fmt.Sprint("t", n), guardPage(n*3, 3, fmt.Sprint("t", n+1)), 0); reason != "" {
			t.Fatalf("page %d: %s", n, reason)
		}
	}
	if len(g.rows.set) > rowWindow || len(g.rows.ring) > rowWindow || len(g.tokens.set) > tokenWindow || len(g.landmark.rows) > 6 {
		t.Errorf("%d rows, %d tokens, %d in the landmark", len(g.rows.set), len(g.tokens.set), len(g.landmark.rows))
	}
}

// Rows that can't be read count by their bytes; a page of them is not empty.
func TestGuardCountsBadRows(t *testing.T) {
	g := newGuard()
	for n := range 10 {
		page := &heygen.Page{Next: fmt.Sprint(n + 1), Bad: []heygen.BadRow{{Sum: uint64(n)}}}
		if reason := g.check(fmt.Sprint(n), page, 0); reason != "" {
			t.Fatalf("page %d: %s", n, reason)
		}
	}
	if reason := g.check("x", &heygen.Page{Next: "y", Bad: []heygen.BadRow{{Sum: 4}}}, 0); reason == "" {
		t.Error("a page of a bad row that was read before went unnoticed")
	}
}

// In pieces a row or two may repeat, a page's worth may not.
func TestGuardIsPatientWithPieces(t *testing.T) {
	g := newGuard()
	for n := range 20 {
		g.check(fmt.Sprint("a", n), guardPage(n, 1, fmt.Sprint("a", n+1)), 9)
	}
	for n := range 10 {
		reason := g.check(fmt.Sprint("b", n), guardPage(n, 1, fmt.Sprint("b", n+1)), 9)
		if got := reason != ""; got != (n == 9) {
			t.Fatalf("repeated row %d: %q", n+1, reason)
		}
	}
}
