package reconcile

import (
	"cmp"
	flags "flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"backstop/state"
)

var (
	logSeedFlag  = flags.Uint64("log-seed", 0, "run only this seed of the random logs")
	logSeedsFlag = flags.Uint64("log-seeds", 60, "how many random logs are read")
)

// TestRandomLogs writes logs in pieces, rotates them in every way, and reads them at random moments, each time with a new
// Log on the state of the last. In the end every line that was whole is recorded, and nothing else.
func TestRandomLogs(t *testing.T) {
	first, last := uint64(1), *logSeedsFlag
	if *logSeedFlag != 0 {
		first, last = *logSeedFlag, *logSeedFlag
	}
	met := map[string]int{}
	for seed := first; seed <= last && !t.Failed(); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWriter(t, seed)
			defer func() {
				if t.Failed() {
					t.Logf("%v\nagain with: go test ./reconcile -run TestRandomLogs -log-seed %d", w.story, seed)
				}
			}()
			w.live()
			for _, act := range w.story {
				met[act]++
			}
		})
	}
	for _, act := range []string{"sync", "write", "piece", "rename", "copytruncate", "write to the old", "state opened again", "refused"} {
		if *logSeedFlag == 0 && *logSeedsFlag >= 20 && met[act] == 0 {
			t.Errorf("never met: %s; the logs are too tame: %v", act, met)
		}
	}
}

// writer writes and rotates a log.
type writer struct {
	*desk
	r      *rand.Rand
	state  string
	copies bool              // it is rotated by copying
	names  []string          // newest rotated first
	rest   map[string]string // by file, what completes its last line
	story  []string
}

func newWriter(t *testing.T, seed uint64) *writer {
	dir := t.TempDir()
	w := &writer{r: rand.New(rand.NewPCG(seed, 1)), state: filepath.Join(dir, "backstop.db"), rest: map[string]string{}}
	w.desk = &desk{t: t, path: filepath.Join(dir, "receiver.log"), records: newTally(openAt(t, w.state)), want: map[string]bool{}}
	w.copies = seed%2 == 0
	w.append(w.path, "")
	w.sync() // a first read leaves out what was rotated before
	return w
}

func (w *writer) live() {
	for range 60 + w.r.IntN(60) {
		w.act()
	}
	for name := range w.rest {
		w.append(name, w.rest[name])
	}
	w.sync()
	w.sync()
	w.check(!w.copies)
	w.warned(false)
}

func (w *writer) act() {
	acts := []struct {
		weight int
		name   string
		do     func()
	}{
		{10, "write", func() { w.write(w.path) }},
		{5, "piece", func() { w.piece(w.path) }},
		{6, "sync", w.sync},
		{1, "refused", w.beRefused},
		{1, "state opened again", w.reopen},
		{2, "rename", w.rename},
		{2, "copytruncate", w.copyTruncate},
		{2, "write to the old", w.writeToTheOld},
	}
	sum := 0
	for _, a := range acts {
		sum += a.weight
	}
	n := w.r.IntN(sum)
	for _, a := range acts {
		if n -= a.weight; n < 0 {
			w.story = append(w.story, a.name)
			a.do()
			return
		}
	}
}

func (w *writer) write(name string) {
	w.complete(name)
	w.append(name, w.lines(1+w.r.IntN(cmp.Or(w.r.IntN(30), 1))))
}

// piece leaves a line without its end.
func (w *writer) piece(name string) {
	w.complete(name)
	line := w.line()
	cut := 1 + w.r.IntN(len(line)-1)
	w.append(name, line[:cut])
	w.rest[name] = line[cut:]
}

func (w *writer) complete(name string) {
	w.append(name, w.rest[name])
	delete(w.rest, name)
}

func (w *writer) beRefused() {
	w.write(w.path)
	w.records.refuse = fmt.Errorf("full")
	if err := w.log().Sync(w.t.Context()); err == nil {
		w.t.Error("what could not be recorded was taken for recorded")
	}
}

func (w *writer) reopen() {
	w.must(w.records.Close())
	w.records.Store = openAt(w.t, w.state)
}

// shift moves the rotated files on by one.
func (w *writer) shift() {
	for i := len(w.names); i > 0; i-- {
		from, to := fmt.Sprint(w.path, ".", i), fmt.Sprint(w.path, ".", i+1)
		w.must(os.Rename(from, to))
		w.rest[to] = w.rest[from]
	}
	w.names = append(w.names, fmt.Sprint(w.path, ".", len(w.names)+1))
	delete(w.rest, w.path+".1")
}

func (w *writer) rename() {
	if w.copies || fileSize(w.t, w.path) == 0 {
		return
	}
	w.shift()
	w.must(os.Rename(w.path, w.path+".1"))
	w.rest[w.path+".1"] = w.rest[w.path]
	delete(w.rest, w.path)
	w.append(w.path, "")
}

func (w *writer) copyTruncate() {
	if !w.copies || fileSize(w.t, w.path) == 0 {
		return
	}
	w.complete(w.path) // a line cut by the truncation is whole nowhere
	w.shift()
	if w.r.IntN(4) == 0 { // a pass between the two steps
		text, err := os.ReadFile(w.path)
		w.must(err)
		w.must(os.WriteFile(w.path+".1", text, 0o600))
		w.sync()
		w.must(os.Truncate(w.path, 0))
		return
	}
	w.desk.copyTruncate(".1")
}

// writeToTheOld is a writer that has not yet reopened.
func (w *writer) writeToTheOld() {
	if len(w.names) == 0 || w.copies {
		return
	}
	w.write(w.path + ".1")
	if w.r.IntN(2) == 0 {
		w.piece(w.path + ".1")
		w.complete(w.path + ".1")
	}
}

var _ LogRecords = (*state.Store)(nil)
