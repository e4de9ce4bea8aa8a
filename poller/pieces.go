package poller

// pieceLimit is the first smaller limit at which a page that can't be read is
// asked for again; the last is one row.
const pieceLimit = 10

// pieces decides how many rows to ask for. A page that can't be read is asked
// for again in pieces of ten rows, and a piece that can't be read row by row,
// so that one bad row hides one row. Once as many rows were read as the page
// hid, it goes back to the usual limit.
type pieces struct {
	limits []int // the usual one first, falling to 1
	left   []int // rows still to read at each limit before going back; of the usual one unused
	level  int
}

// newPieces resumes at a limit: a cursor is used with the limit it was given
// for. Zero is the usual limit. One that is no piece is an older configuration's
// page size: the segment keeps it to its end.
func newPieces(usual, limit int) *pieces {
	if limit != 0 && limit != 1 && limit != pieceLimit {
		usual = limit
	}
	p := &pieces{limits: []int{usual}}
	if usual > pieceLimit {
		p.limits = append(p.limits, pieceLimit)
	}
	if usual > 1 {
		p.limits = append(p.limits, 1)
	}
	p.left = make([]int, len(p.limits))
	for limit != 0 && p.limit() > limit && p.smaller() {
	}
	return p
}

func (p *pieces) limit() int { return p.limits[p.level] }

// whole reports whether whole pages are asked for. A piece of a page is too
// little to say how the listing lies.
func (p *pieces) whole() bool { return p.level == 0 }

// patience is how many rows may repeat before the guard minds: none in whole
// pages, less than a whole page in pieces.
func (p *pieces) patience() int {
	if p.whole() {
		return 0
	}
	return p.limits[0] - 1
}

// smaller goes down to the next smaller limit; false when there is none.
func (p *pieces) smaller() bool {
	if p.level == len(p.limits)-1 {
		return false
	}
	p.level++
	p.left[p.level] = p.limits[p.level-1]
	return true
}

// read takes the number of rows of a page that could be read. An empty page
// counts as a row, so that pieces end.
func (p *pieces) read(rows int) {
	for level := 1; level <= p.level; level++ {
		p.left[level] -= max(rows, 1)
	}
	for p.level > 0 && p.left[p.level] <= 0 {
		p.level--
	}
}
