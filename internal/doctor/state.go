package doctor

import (
	"context"
	"io/fs"
	"time"

	"github.com/dustin/go-humanize"
)

// State is how the state file is.
type State struct {
	Path   string
	Absent bool   // there is none yet
	Broken string // why it can't be used, with what to do; "": it can

	Size, MaxSize int64
	Free          uint64 // of its file system
	FreeUnknown   bool
	Full          string // why nothing is added any more; "": there is room
	Mode          fs.FileMode
	Passed        time.Time     // end of the last pass; zero: there was none
	PassError     string        // why the last pass was not clean; "": it was
	Stale         time.Duration // age from which a pass is too old; 0: no daemon makes them
}

// littleRoom is how little free space is worth a word. Below a quarter of it
// nothing is added any more.
const littleRoom = 256 << 20

// unattended is the age of a pass from which on no timer seems to make them.
const unattended = 25 * time.Hour

func (p Patient) lookState(context.Context) []Check {
	if c, bad := p.mistaken("state", "state"); bad {
		return []Check{c}
	}
	if p.Daemon.Silent != "" {
		return []Check{unchecked("state", "the daemon that holds it does not answer")}
	}
	return p.State.judge(p.Now)
}

func (s State) judge(now time.Time) []Check {
	switch {
	case s.Broken != "":
		return []Check{fail("state", "do as it says, then run doctor again", "%s", s.Broken)}
	case s.Absent:
		return []Check{warn("state", "start `backstop run`, or make a first pass with `backstop reconcile`", "there is no state file yet (%s)", s.Path)}
	}
	all := []Check{s.judgeFile()}
	if s.Mode.Perm()&0o077 != 0 {
		all = append(all, warn("state", "chmod 600 "+s.Path, "others may read %s (mode %04o)", s.Path, s.Mode.Perm()))
	}
	return append(all, s.judgePass(now))
}

func (s State) judgeFile() Check {
	size, most := humanize.IBytes(uint64(s.Size)), humanize.IBytes(uint64(s.MaxSize))
	switch {
	case s.Full != "":
		return fail("state", "free some space, raise state.max_size, or lower state.retention", "%s", s.Full)
	case !s.FreeUnknown && s.Free < littleRoom:
		return warn("state", "free some space: below 64 MiB nothing is added any more", "%s free beside %s", humanize.IBytes(s.Free), s.Path)
	case s.Size > s.MaxSize/10*9:
		return warn("state", "raise state.max_size, or lower state.retention; `backstop state compact` gives room back", "%s is %s of at most %s", s.Path, size, most)
	case s.FreeUnknown:
		return ok("state", "%s, %s of at most %s; `backstop state check` reads every record", s.Path, size, most)
	}
	return ok("state", "%s, %s of at most %s, %s free; `backstop state check` reads every record", s.Path, size, most, humanize.IBytes(s.Free))
}

func (s State) judgePass(now time.Time) Check {
	age := now.Sub(s.Passed).Round(time.Second)
	switch {
	case s.Passed.IsZero():
		return warn("last pass", "start `backstop run`, or make one with `backstop reconcile`", "no pass has been made yet")
	case s.PassError != "":
		return fail("last pass", "mend what the other lines name; `backstop reconcile` tries at once", "%s ago, not clean: %s", age, s.PassError)
	case s.Stale > 0 && age > s.Stale:
		return fail("last pass", "see the daemon's log; `backstop reconcile` makes one now", "%s ago, more than three poll intervals", age)
	case s.Stale == 0 && age > unattended:
		return warn("last pass", "start `backstop run`, or let a timer run `backstop reconcile`", "%s ago: nobody makes any", age)
	}
	return ok("last pass", "%s ago, clean", age)
}
