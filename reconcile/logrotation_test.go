package reconcile

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestLogRotations(t *testing.T) {
	tests := []struct {
		name   string
		rotate func(d *desk)
		twice  bool // some is read twice
		warned bool
	}{
		{name: "renamed", rotate: func(d *desk) { d.rename("", ".1") }},
		{name: "renamed with a date", rotate: func(d *desk) { d.rename("", "-20260401") }},
		{name: "renamed to a word", rotate: func(d *desk) { d.rename("", ".before") }},
		{name: "renamed before the extension", rotate: func(d *desk) {
			d.must(os.Rename(d.path, strings.TrimSuffix(d.path, ".log")+"-20260401.log"))
		}},
		{name: "renamed, and written on", rotate: func(d *desk) { d.rename("", ".1"); d.append(d.path+".1", d.lines(2)) }},
		{name: "renamed, and written on after a pass", rotate: func(d *desk) {
			d.rename("", ".1")
			d.append(d.path, d.lines(2))
			d.sync()
			d.append(d.path+".1", d.lines(2))
			d.sync()
			d.append(d.path+".1", d.lines(2))
		}},
		{name: "copied and truncated", rotate: func(d *desk) { d.copyTruncate(".1") }},
		{name: "copied, truncated and regrown", rotate: func(d *desk) { d.copyTruncate(".1"); d.append(d.path, d.lines(300)) }},
		{name: "copied and truncated twice", rotate: func(d *desk) {
			d.copyTruncate(".1")
			d.append(d.path, d.lines(30))
			d.rename(".1", ".2")
			d.copyTruncate(".1")
		}},
		{name: "renamed three times", rotate: func(d *desk) {
			for range 3 {
				for i := 3; i > 0; i-- {
					_ = os.Rename(fmt.Sprint(d.path, ".", i), fmt.Sprint(d.path, ".", i+1)) // most are not there yet
				}
				d.rename("", ".1")
				d.append(d.path, d.lines(20))
			}
		}},
		{name: "replaced by a copy of itself", rotate: func(d *desk) {
			text, err := os.ReadFile(d.path)
			d.must(err)
			d.must(os.WriteFile(d.path+".new", text, 0o600))
			d.rename(".new", "")
		}},
		{name: "copied, and not truncated", twice: true, rotate: func(d *desk) {
			text, err := os.ReadFile(d.path)
			d.must(err)
			d.must(os.WriteFile(d.path+".1", text, 0o600))
		}},
		{name: "a hole after truncation", rotate: func(d *desk) {
			size := fileSize(d.t, d.path)
			d.copyTruncate(".1")
			d.must(os.Truncate(d.path, size+100_000))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			d.append(d.path, d.lines(100))
			d.sync()
			d.append(d.path, d.lines(5))
			tt.rotate(d)
			d.append(d.path, d.lines(5))
			d.sync()
			d.sync()
			d.check(!tt.twice)
			d.warned(false)
			d.append(d.path, d.lines(5))
			d.sync()
			d.check(!tt.twice)
		})
	}
}

func fileSize(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// What can't be found any more is said, once.
func TestLogLosesARotatedFile(t *testing.T) {
	for name, lose := range map[string]func(d *desk){
		"compressed": func(d *desk) { d.rename("", ".1.gz") },
		"deleted":    func(d *desk) { d.must(os.Remove(d.path)) },
		"truncated":  func(d *desk) { d.must(os.Truncate(d.path, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.append(d.path, d.lines(10))
			d.sync()
			lose(d)
			d.append(d.path, d.lines(2))
			d.sync()
			d.warned(true)
			d.said.Reset()
			d.sync()
			d.warned(false)
			d.check(true)
		})
	}
}

// A rotated file that was read to its end may go.
func TestLogForgetsWhatWasRead(t *testing.T) {
	d := newDesk(t)
	d.append(d.path, d.lines(10))
	d.sync()
	d.rename("", ".1")
	d.append(d.path, d.lines(10))
	d.sync()
	d.rename(".1", ".2.gz")
	d.sync()
	d.warned(false)
	d.check(true)
}

func TestLogBeginsWithTheLogItself(t *testing.T) {
	d := newDesk(t)
	d.append(d.path+".2", "{\"event_id\":\"old_2\"}\n")
	d.append(d.path+".1", "{\"event_id\":\"old_1\"}\n{\"event_id\":\"cut")
	d.append(d.path, d.lines(3))
	d.sync()
	d.check(true)
	d.append(d.path+".2", d.lines(1)) // its writer has not reopened
	d.append(d.path+".1", "\"}\n"+d.lines(1))
	d.append(d.path+".errors", "{\"event_id\":\"another log\"}\n")
	d.sync()
	d.check(true)
}

// An inode is used again for other content, as ext4 and tmpfs do.
func TestLogKnowsAReusedInode(t *testing.T) {
	d := newDesk(t)
	d.append(d.path, d.lines(10))
	d.sync()
	d.must(os.WriteFile(d.path, []byte(d.lines(200)), 0o600)) // the same inode, longer than before
	d.sync()
	d.check(true)
	d.warned(true)
}
