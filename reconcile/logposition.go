package reconcile

import (
	"encoding/json"
	"slices"
	"time"
)

// rotatedWithin is how far back rotated files matter. One that was last written longer before what was read last was
// there before, or is none of this log; a clock may step by less.
const rotatedWithin = 24 * time.Hour

// logPosition is how far the files of a log have been read. It is kept as JSON; a field may be added, none may change.
type logPosition struct {
	Newest int64      `json:"newest"`           // when the newest file was last written, Unix seconds
	Absent bool       `json:"absent,omitempty"` // the log itself was not there
	Files  []fileKept `json:"files"`
}

// fileKept is how far one file has been read. It has no device: that number changes with a reboot or a container's start,
// and the fingerprint says more.
type fileKept struct {
	Name   string `json:"name"`
	Inode  uint64 `json:"inode"`
	Offset int64  `json:"offset"`
	Print  string `json:"print"`          // of what was read up to the offset
	Skip   bool   `json:"skip,omitempty"` // the offset is inside a line that is too long
	More   bool   `json:"more,omitempty"` // more may follow: it was the log itself, or was not read to its end
}

// readLogPosition reads what was kept; false when nothing was, or it can't be read: then the log begins anew.
func readLogPosition(text []byte) (p logPosition, ok bool) {
	if text == nil || json.Unmarshal(text, &p) != nil {
		return logPosition{}, false
	}
	return p, true
}

// oldest is the time of writing from which on a rotated file matters.
func (p logPosition) oldest() time.Time { return time.Unix(p.Newest, 0).Add(-rotatedWithin) }

// text writes the position in the order in which the files are read.
func (p logPosition) text(files []*logFile) []byte {
	p.Files = slices.Clone(p.Files)
	for _, f := range files {
		if f.at.offset == 0 {
			continue // there is nothing to remember
		}
		p.Files = append(p.Files, fileKept{
			Name: f.name, Inode: f.inode, Offset: f.at.offset, Print: f.at.print(), Skip: f.at.skip, More: f.more,
		})
	}
	text, _ := json.Marshal(p) // numbers, flags and strings
	return text
}
