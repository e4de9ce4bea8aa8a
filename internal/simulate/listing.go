package simulate

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// query is what a listing is filtered by.
type query struct{ eventType, entity string }

// scope ties a cursor to its query and order.
func (q query) scope(order string) string { return order + "\x00" + q.eventType + "\x00" + q.entity }

func (w *World) visibleLocked(at uint64, now time.Time) bool {
	return w.historic(at) || !w.fresh[at-uint64(w.o.Events)].listed.After(now)
}

// rank is the place of an event in a listing: lower comes first. Two events never share one.
func (w *World) rank(order string, at uint64) uint64 {
	switch order {
	case Oldest:
		return at
	case Shuffled:
		return mix(mix(w.o.Seed^streamOrder) ^ at)
	}
	return ^at
}

// pageLocked returns up to limit events of a listing behind a cursor, and whether more follow.
func (w *World) pageLocked(q query, order string, c cursor, limit int, now time.Time) (page []event, more bool) {
	for at := range w.walkLocked(q, order, c) {
		if !w.visibleLocked(at, now) || !w.matchesLocked(q, at) {
			continue
		}
		if len(page) == limit {
			return page, true
		}
		page = append(page, w.eventLocked(at))
	}
	return page, false
}

func (w *World) matchesLocked(q query, at uint64) bool {
	if q.eventType == "" {
		return true
	}
	if w.historic(at) {
		k, _ := w.pastKind(at)
		return k.name == q.eventType
	}
	return w.fresh[at-uint64(w.o.Events)].kind.name == q.eventType
}

// walkLocked yields positions in the order of the listing, from the cursor on.
func (w *World) walkLocked(q query, order string, c cursor) iter.Seq[uint64] {
	switch {
	case q.entity != "":
		return w.sorted(w.bearersLocked(q.entity), order, c)
	case order == Shuffled:
		return w.sorted(w.shuffledLocked(), order, c)
	case order == Oldest:
		return w.upwards(c)
	}
	return w.downwards(c)
}

func (w *World) upwards(c cursor) iter.Seq[uint64] {
	first, size := uint64(0), w.sizeLocked()
	if !c.begin {
		first = c.after + 1
	}
	return func(yield func(uint64) bool) {
		for at := first; at < size && yield(at); at++ {
		}
	}
}

func (w *World) downwards(c cursor) iter.Seq[uint64] {
	above := w.sizeLocked()
	if !c.begin {
		above = min(above, c.after)
	}
	return func(yield func(uint64) bool) {
		for at := above; at > 0 && yield(at-1); at-- {
		}
	}
}

// sorted yields what of ats, once put in order, comes behind the cursor.
func (w *World) sorted(ats []uint64, order string, c cursor) iter.Seq[uint64] {
	if order != Shuffled || len(ats) < int(w.sizeLocked()) {
		ats = slices.Clone(ats)
		w.sort(ats, order)
	}
	if c.begin {
		return slices.Values(ats)
	}
	return slices.Values(ats[w.behind(ats, order, c.after):])
}

// behind is the index of the first of ats, which is in order, that comes after an event.
func (w *World) behind(ats []uint64, order string, after uint64) int {
	i, found := slices.BinarySearchFunc(ats, w.rank(order, after), func(at, rank uint64) int {
		return cmp.Compare(w.rank(order, at), rank)
	})
	if found {
		i++
	}
	return i
}

func (w *World) sort(ats []uint64, order string) {
	slices.SortFunc(ats, func(a, b uint64) int { return cmp.Compare(w.rank(order, a), w.rank(order, b)) })
}

// shuffledLocked returns all positions in the shuffled order, sorted when first asked for and
// kept in order from then on: a new event may come before or behind any cursor, and moves none.
func (w *World) shuffledLocked() []uint64 {
	if w.shuffled == nil {
		w.shuffled = make([]uint64, 0, w.sizeLocked()+1024)
		for at := range w.sizeLocked() {
			w.shuffled = append(w.shuffled, at)
		}
		w.sort(w.shuffled, Shuffled)
	}
	return w.shuffled
}

func (w *World) shuffleInLocked(at uint64) {
	if w.shuffled != nil {
		w.shuffled = slices.Insert(w.shuffled, w.behind(w.shuffled, Shuffled, at), at)
	}
}
