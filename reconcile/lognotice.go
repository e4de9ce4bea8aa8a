package reconcile

import (
	"fmt"
	"sync"
)

// fewLines is how many lines may say nothing of a push before it looks like a mistake.
const fewLines = 100

// lineCounts are how many lines there were, and what they told.
type lineCounts struct {
	lines    int64
	pushes   int64 // a push that the receiver has
	nameless int64 // a 2xx, and of no event: neither an id nor content
}

func (c *lineCounts) add(more lineCounts) {
	c.lines += more.lines
	c.pushes += more.pushes
	c.nameless += more.nameless
}

// logHeard counts the lines that were read in this process. A Peek counts none: what it reads is read again.
type logHeard struct {
	mu    sync.Mutex
	total lineCounts // guarded by mu

	unnamed edge
}

// add counts lines of which all that can be known is durable.
func (h *logHeard) add(more lineCounts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total.add(more)
}

// ended reports whether a read was the first with nameless lines, or the first after one that had none.
func (h *logHeard) ended(read lineCounts) (anew bool) {
	switch {
	case read.nameless > 0:
		return h.unnamed.failed("nameless")
	case read.pushes > 0:
		h.unnamed.worked()
	}
	return false
}

// Notice is what a person should know although nothing failed; "" when there is nothing to say. It counts over the life of
// the process, and may be called at any time.
func (l *Log) Notice() string {
	l.heard.mu.Lock()
	defer l.heard.mu.Unlock()
	total := l.heard.total
	switch {
	case total.nameless == 1:
		return "1 line with a 2xx named no event: " + remedyNameless
	case total.nameless > 1:
		return fmt.Sprintf("%d lines with a 2xx named no event: %s", total.nameless, remedyNameless)
	case total.lines >= fewLines && total.pushes == 0:
		return fmt.Sprintf("%d lines were read and none told of a push: check event_id, pattern and status", total.lines)
	}
	return ""
}

const remedyNameless = "pushes without an id are not matched by this log; use the tap"
