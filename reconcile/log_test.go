package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"backstop/state"
)

// tally is a real state that counts what a log records in it.
type tally struct {
	*state.Store
	seen    map[string]int
	largest int
	writes  int
	refuse  error // of the next RecordRead
}

func newTally(s *state.Store) *tally { return &tally{Store: s, seen: map[string]int{}} }

func (c *tally) RecordRead(now time.Time, seen []state.Sighting, source string, position []byte) error {
	if err := c.refuse; err != nil {
		c.refuse = nil
		return err
	}
	if err := c.Store.RecordRead(now, seen, source, position); err != nil {
		return err
	}
	c.writes++
	c.largest = max(c.largest, len(seen))
	for _, one := range seen {
		c.seen[one.ID]++
	}
	return nil
}

// desk is a directory with a log, and a state that remembers it.
type desk struct {
	t       *testing.T
	path    string
	records *tally
	said    bytes.Buffer
	want    map[string]bool
	n       int
}

func newDesk(t *testing.T) *desk {
	dir := t.TempDir()
	return &desk{t: t, path: filepath.Join(dir, "receiver.log"), records: newTally(openStore(t)), want: map[string]bool{}}
}

// log is a new Log each time: what it knows is in the state.
func (d *desk) log() *Log {
	l, err := NewLog(LogOptions{Path: d.path, Fields: LogFields{EventID: "$.event_id"}, Records: d.records, Logger: slog.New(slog.NewTextHandler(&d.said, nil))})
	if err != nil {
		d.t.Fatal(err)
	}
	return l
}

func (d *desk) sync() {
	d.t.Helper()
	if err := d.log().Sync(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// line makes the line of a new event, which is wanted.
func (d *desk) line() string {
	d.n++
	id := fmt.Sprintf("evt_%d", d.n)
	d.want[id] = true
	return fmt.Sprintf("{\"event_id\":%q,\"rest\":%q}\n", id, strings.Repeat("x", d.n%50))
}

func (d *desk) lines(n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(d.line())
	}
	return b.String()
}

func (d *desk) append(name, text string) {
	d.t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	d.must(err)
}

func (d *desk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) rename(from, to string) { d.t.Helper(); d.must(os.Rename(d.path+from, d.path+to)) }

func (d *desk) copyTruncate(to string) {
	d.t.Helper()
	text, err := os.ReadFile(d.path)
	d.must(err)
	d.must(os.WriteFile(d.path+to, text, 0o600))
	d.must(os.Truncate(d.path, 0))
}

// check compares what was recorded with what was written. once asks that nothing was read twice.
func (d *desk) check(once bool) {
	d.t.Helper()
	for _, id := range slices.Sorted(maps.Keys(d.want)) {
		if d.records.seen[id] == 0 {
			d.t.Errorf("%s was not recorded", id)
		}
	}
	for id, n := range d.records.seen {
		if !d.want[id] || once && n != 1 {
			d.t.Errorf("%s was recorded %d times; wanted: %v", id, n, d.want[id])
		}
	}
}

func (d *desk) warned(want bool) {
	d.t.Helper()
	if strings.Contains(d.said.String(), "may be missing") != want {
		d.t.Errorf("warned: %v, want %v: %s", !want, want, d.said.String())
	}
}

func TestLogIsReadOn(t *testing.T) {
	d := newDesk(t)
	d.append(d.path, d.lines(3))
	whole := d.line()
	d.append(d.path, whole[:7])
	d.sync()
	if len(d.records.seen) != 3 {
		t.Errorf("%v were recorded; a line without its newline waits", d.records.seen)
	}
	d.append(d.path, strings.TrimSuffix(whole[7:], "\n")+"\r\n")
	d.append(d.path, "no JSON\n\n{}\n\xff\n"+d.line())
	d.sync()
	d.check(true)
	writes := d.records.writes
	before, _ := d.records.ReadPosition(d.log().source)
	d.sync()
	after, _ := d.records.ReadPosition(d.log().source)
	if !bytes.Equal(before, after) {
		t.Errorf("position %s became %s with nothing new after %d writes", before, after, writes)
	}
}

func TestLogThatIsAway(t *testing.T) {
	d := newDesk(t)
	d.refused("no such file or directory; create it or correct seen.log.path")
	d.append(d.path, d.lines(3))
	d.sync()
	d.append(d.path, d.lines(3))
	d.rename("", ".1")
	d.sync() // the moment of a rotation
	d.check(true)
	d.append(d.path+".1", d.lines(1))
	d.refused("no such file")
	d.check(true) // what is there was read all the same
	d.append(d.path, d.lines(3))
	d.sync()
	d.check(true)
	d.must(os.Remove(d.path))
	d.must(os.Remove(d.path + ".1"))
	d.refused("no such file")
}

func (d *desk) refused(want string) {
	d.t.Helper()
	if err := d.log().Sync(d.t.Context()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), d.path) {
		d.t.Errorf("%v, want %s", err, want)
	}
}

func TestLogThatIsNoFile(t *testing.T) {
	d := newDesk(t)
	d.must(os.Mkdir(d.path, 0o700))
	d.refused("no regular file; correct seen.log.path")
	d.must(os.Remove(d.path))
	d.must(syscall.Mkfifo(d.path, 0o600))
	d.refused("no regular file")
	d.must(os.Remove(d.path))
	d.append(d.path, d.lines(1))
	d.must(os.Chmod(d.path, 0))
	if os.Geteuid() != 0 { // root reads everything
		d.refused("let the user that backstop runs as read it")
	}
}

func TestLogBehindALink(t *testing.T) {
	d := newDesk(t)
	day := filepath.Join(filepath.Dir(d.path), "day-1")
	d.append(day, d.lines(3))
	d.must(os.Symlink(day, d.path))
	d.sync()
	d.append(day, d.lines(3))
	d.must(os.Remove(d.path))
	next := filepath.Join(filepath.Dir(d.path), "day-2")
	d.append(next, d.lines(3))
	d.must(os.Symlink(next, d.path))
	d.sync()
	d.check(true)
	d.warned(false)
}

func TestLogPeekRecordsNothing(t *testing.T) {
	d := newDesk(t)
	d.append(d.path, d.lines(2500))
	told := map[string]int{}
	for range 2 {
		clear(told)
		d.must(d.log().Peek(t.Context(), func(one state.Sighting) { told[one.ID]++ }))
	}
	if len(told) != 2500 || len(d.records.seen) != 0 || d.records.writes != 0 {
		t.Errorf("%d told, %d recorded", len(told), len(d.records.seen))
	}
	d.sync()
	d.check(true)
}

// What could not be recorded is read again, and what was recorded is not.
func TestLogIsReadAgainWhenTheStateRefuses(t *testing.T) {
	d := newDesk(t)
	d.append(d.path, d.lines(3500))
	d.records.refuse = errors.New("full")
	if err := d.log().Sync(t.Context()); err == nil || d.records.writes != 0 {
		t.Errorf("%v after %d writes", err, d.records.writes)
	}
	l := d.log()
	stopped, cancel := context.WithCancel(t.Context())
	l.o.Records = stopAfter{d.records, cancel}
	if err := l.Sync(stopped); !errors.Is(err, context.Canceled) || d.records.writes != 1 || len(d.records.seen) != batchSeen {
		t.Errorf("%v after %d writes of %d", err, d.records.writes, len(d.records.seen))
	}
	d.rename("", ".1")
	d.append(d.path, d.lines(3))
	d.sync()
	d.check(true)
	if d.records.largest > batchSeen {
		t.Errorf("%d in one transaction", d.records.largest)
	}
}

// stopAfter ends a context with the first batch.
type stopAfter struct {
	*tally
	cancel func()
}

func (s stopAfter) RecordRead(now time.Time, seen []state.Sighting, source string, position []byte) error {
	defer s.cancel()
	return s.tally.RecordRead(now, seen, source, position)
}

// A line that is too long is passed over, wherever it is cut, and takes no room.
func TestLogPassesOverLongLines(t *testing.T) {
	d := newDesk(t)
	d.append(d.path, d.lines(2))
	long := strings.Repeat("y", 3*maxLine)
	d.append(d.path, `{"event_id":"long","pad":"`+long)
	d.sync()
	d.append(d.path, long)
	d.sync()
	at, _ := d.records.ReadPosition(d.log().source)
	if p, _ := readLogPosition(at); p.Files[0].Offset < 6*maxLine || !p.Files[0].Skip {
		t.Errorf("position %s, want one inside the long line", at)
	}
	d.append(d.path, "{\"event_id\":\"inside the long line\"}\n"+d.lines(2))
	d.sync()
	d.check(true)
	fits := strings.Repeat("z", maxLine-len(`{"event_id":"fits","z":""}`))
	d.append(d.path, `{"event_id":"fits","z":"`+fits+"\"}\n"+`{"event_id":"over","z":"`+fits+"z\"}\n"+d.line())
	d.want["fits"] = true
	d.sync()
	d.check(true)
}

// A large log takes no more room than a small one.
func TestLogTakesLittleRoom(t *testing.T) {
	d := newDesk(t)
	f, err := os.Create(d.path)
	d.must(err)
	noise := strings.Repeat(strings.Repeat("n", 1000)+"\n", 1000)
	for range 64 {
		_, err := f.WriteString(noise)
		d.must(err)
	}
	d.must(f.Close())
	d.append(d.path, d.line())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d.sync()
	runtime.ReadMemStats(&after)
	d.check(true)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 48<<20 {
		t.Errorf("%d MiB were asked for to read %d MiB", grown>>20, fileSize(t, d.path)>>20)
	}
}
