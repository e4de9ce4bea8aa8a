package poller

import (
	"encoding/binary"
	"hash/maphash"

	"backstop/internal/heygen"
)

const (
	maxEmpty     = 3       // empty pages in a row that are followed
	tokenWindow  = 1 << 13 // tokens remembered
	rowWindow    = 1 << 16 // rows remembered
	landmarkSpan = 2       // pages in a landmark
)

// guard notices a listing that leads in circles. A walk may have ten million
// pages, so it must not remember all of them. It remembers two things instead:
//
//   - a window of the last tokens and rows, which catches a short circle at
//     its first repeat;
//   - a landmark, by Brent's method of finding cycles: the token and the rows
//     of the pages at 1, 2, 4, 8 …. Once the landmark lies on the circle and
//     the next is farther off than the circle is long, the walk comes by it
//     again. A circle of n pages that begins after m is found before page
//     4·max(m, n), with memory for one landmark.
//
// A landmark is two pages wide, so that a circle whose pages are cut
// differently each time round still has a page wholly within it.
//
// What is remembered are 64-bit hashes under a random seed. To be mistaken,
// every row of a page has to collide.
type guard struct {
	seed     maphash.Seed
	tokens   window
	rows     window
	pages    uint64
	power    uint64 // page at which the next landmark is set
	span     int    // pages the landmark still takes up
	landmark struct {
		token uint64
		rows  map[uint64]struct{}
	}
	empty    int // empty pages in a row
	repeated int // rows in a row that came in pages of nothing new
}

func newGuard() *guard {
	return &guard{seed: maphash.MakeSeed(), tokens: window{size: tokenWindow}, rows: window{size: rowWindow}, power: 1}
}

// check takes the page that was got for a token and says why the walk can't go
// on behind it, or "". Patience is how many rows may repeat before that is
// held against the listing: a page cut into pieces of one row repeats one as
// soon as one event is put in above.
func (g *guard) check(token string, page *heygen.Page, patience int) string {
	rows := g.hashes(page)
	repeats := len(rows) > 0 && g.known(rows)
	g.remember(token, rows)
	switch {
	case page.Next == "":
		return "the listing says that more follows, but gives no token"
	case g.used(page.Next):
		return "the listing gave a token that this walk has used already"
	case g.repeats(repeats, len(rows)) > patience:
		return "the listing gave a page of events that this walk has all read"
	case g.empties(len(rows)) > maxEmpty:
		return "the listing gave more than three empty pages in a row"
	}
	return ""
}

// known reports whether every row was read before.
func (g *guard) known(rows []uint64) bool {
	for _, h := range rows {
		if _, ok := g.landmark.rows[h]; !ok && !g.rows.has(h) {
			return false
		}
	}
	return true
}

func (g *guard) remember(token string, rows []uint64) {
	g.pages++
	t := maphash.String(g.seed, token)
	if g.pages == g.power {
		g.landmark.token, g.landmark.rows = t, make(map[uint64]struct{}, landmarkSpan*len(rows))
		g.span = landmarkSpan
		g.power *= 2
	}
	if g.span > 0 {
		g.span--
		for _, h := range rows {
			g.landmark.rows[h] = struct{}{}
		}
	}
	g.tokens.add(t)
	for _, h := range rows {
		g.rows.add(h)
	}
}

func (g *guard) used(token string) bool {
	t := maphash.String(g.seed, token)
	return t == g.landmark.token || g.tokens.has(t)
}

// repeats counts rows of pages that bring nothing new.
func (g *guard) repeats(all bool, rows int) int {
	if !all {
		g.repeated = 0
		return 0
	}
	g.repeated += rows
	return g.repeated
}

// empties counts empty pages in a row.
func (g *guard) empties(rows int) int {
	if rows > 0 {
		g.empty = 0
		return 0
	}
	g.empty++
	return g.empty
}

func (g *guard) hashes(page *heygen.Page) []uint64 {
	hashes := make([]uint64, 0, len(page.Events)+len(page.Bad))
	for _, e := range page.Events {
		hashes = append(hashes, maphash.String(g.seed, e.ID))
	}
	for _, b := range page.Bad {
		hashes = append(hashes, maphash.Bytes(g.seed, binary.BigEndian.AppendUint64(nil, b.Sum)))
	}
	return hashes
}

// window is a set of the last hashes added, at most size of them.
type window struct {
	size int
	ring []uint64
	next int // place in the ring that is given up next, once it is full
	set  map[uint64]struct{}
}

func (w *window) has(h uint64) bool {
	_, ok := w.set[h]
	return ok
}

func (w *window) add(h uint64) {
	if w.has(h) {
		return
	}
	if w.set == nil {
		w.set = make(map[uint64]struct{})
	}
	w.set[h] = struct{}{}
	if len(w.ring) < w.size {
		w.ring = append(w.ring, h)
		return
	}
	delete(w.set, w.ring[w.next])
	w.ring[w.next] = h
	w.next = (w.next + 1) % w.size
}
