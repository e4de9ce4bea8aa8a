package main_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// big puts as much into a state that copying it takes a while.
func (p *patient) big() {
	p.t.Helper()
	var ids strings.Builder
	random := rand.New(rand.NewPCG(p.ward.seed, 4))
	for range 30_000 {
		ids.WriteString("evt_")
		for range 8 {
			ids.WriteString(string(rune('a' + random.IntN(26))))
		}
		ids.WriteString(strings.Repeat("x", 40) + "\n")
	}
	p.must(ids.String(), "seen", "import", "-")
}

// killed runs a verb many times and kills it at random instants, about as often
// early as late. It gives how many were killed before they had ended.
func (p *patient) killed(n int, verb string, after func()) (kills int) {
	p.t.Helper()
	begun := time.Now()
	p.verb(verb)
	takes := time.Since(begun)
	random := rand.New(rand.NewPCG(p.ward.seed, 5))
	for range n {
		process := p.start(nil, strings.Fields(verb)...)
		select {
		case <-process.done:
		case <-time.After(time.Duration(random.Int64N(int64(takes * 3 / 2)))):
		}
		if process.kill() {
			kills++
			takes += takes / 10
		} else {
			takes -= takes / 4 // a busy machine has become less so
		}
		after()
		if p.t.Failed() {
			p.t.Fatalf("after %d kills: %s", kills, p.said.tail())
		}
	}
	p.t.Logf("%d of %d were killed", kills, n)
	if kills < n/4 {
		p.t.Error("the test is too tame")
	}
	return kills
}

// alone fails the test when a directory holds drafts of ours.
func (p *patient) alone(dir string) {
	p.t.Helper()
	files, err := os.ReadDir(dir)
	p.do(err)
	for _, f := range files {
		if strings.HasPrefix(f.Name(), ".") {
			p.t.Errorf("%s is left in %s", f.Name(), dir)
		}
	}
}

// A backup that is killed leaves the older copy or the whole new one, and the
// state as it was; the next one clears what it left.
func (w *ward) killedBackup(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"alone": false, "beside the daemon": true} {
		t.Run(name, func(t *testing.T) {
			p := w.watching(t)
			p.big()
			if running {
				daemon := p.runs()
				defer func() {
					if code := daemon.stop(); code != 0 {
						t.Errorf("the daemon ended with %d", code)
					}
				}()
			}
			copies := filepath.Join(p.dir, "copies")
			p.do(os.Mkdir(copies, 0o700))
			copied := filepath.Join(copies, "copy.db")
			n := 0
			p.killed(25, "state backup "+copied, func() {
				if n++; n%4 == 0 {
					p.verb("state check " + copied)
				}
				if n%10 == 0 {
					p.do(os.Remove(copied)) // the next one has no older copy to leave
					p.verb("state backup " + copied)
					p.alone(copies)
				}
			})
			p.verb("state backup " + copied)
			p.verb("state check " + copied)
			p.verb("state check")
			p.alone(copies)
			p.alone(p.dir)
			p.calm()
		})
	}
}

// A compaction that is killed leaves the old state or the whole new one.
func (w *ward) killedCompact(t *testing.T) {
	t.Parallel()
	p := w.watching(t)
	p.big()
	p.verb("state compact")
	knows := p.knows()
	n := 0
	p.killed(40, "state compact", func() {
		if n++; n%4 == 0 {
			p.verb("state check")
		}
		if n%10 == 0 && p.knows() != knows {
			t.Errorf("it knows something else: %s", p.said.tail())
		}
	})
	if p.knows() != knows {
		t.Error("it knows something else")
	}
	p.verb("state compact")
	p.alone(p.dir)
	p.verb("resume")
	p.verb("reconcile")
	if p.sent() == 0 {
		t.Error("the state is not used any more")
	}
}
