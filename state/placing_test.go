package state

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// situation is what a restore finds.
type situation struct {
	arrange  func(t *testing.T, y *past)
	refused  error // what opening says until the restore is done; nil: it opens, or there is none
	linkless bool  // the file system has no hard links
	fresh    bool  // there never was a state
	killed   bool  // it is worth the processes
}

func situations() map[string]situation {
	rollBack := func(t *testing.T, y *past) { replaceFile(t, y.o.Path, readAll(t, y.copy)) }
	lose := func(t *testing.T, y *past) { mustDo(t, os.Remove(y.o.Path)) }
	return map[string]situation{
		"rolled back":                 {rollBack, ErrRolledBack, false, false, false},
		"rolled back, where it lies":  {func(t *testing.T, y *past) { rollBack(t, y); y.copy = y.o.Path }, ErrRolledBack, false, false, true},
		"in place and no hard links":  {func(t *testing.T, y *past) { rollBack(t, y); y.copy = y.o.Path }, ErrRolledBack, true, false, true},
		"lost":                        {lose, ErrLost, false, false, true},
		"damaged":                     {func(t *testing.T, y *past) { replaceFile(t, y.o.Path, []byte("nonsense")) }, ErrDamaged, false, false, false},
		"begun anew":                  {func(t *testing.T, y *past) { mustDo(t, Init(y.o, true)) }, nil, false, false, true},
		"the side file is damaged":    {func(t *testing.T, y *past) { rollBack(t, y); replaceFile(t, sidePath(y.o.Path), []byte("{")) }, ErrDamaged, false, false, false},
		"healthy, the user wants it":  {func(*testing.T, *past) {}, nil, false, false, false},
		"healthy and no side file":    {func(t *testing.T, y *past) { mustDo(t, os.Remove(sidePath(y.o.Path))) }, nil, true, false, false},
		"a new directory, no old one": {func(t *testing.T, y *past) { y.o.Path = filepath.Join(t.TempDir(), "backstop.db") }, nil, false, true, false},
	}
}

// again is the same past in directories of its own.
func (y past) again(t *testing.T) past {
	t.Helper()
	o := optionsIn(t)
	twin := past{o: o, copy: filepath.Join(t.TempDir(), "copy.db"), lost: y.lost}
	replaceFile(t, o.Path, readAll(t, y.o.Path))
	replaceFile(t, sidePath(o.Path), readAll(t, sidePath(y.o.Path)))
	replaceFile(t, twin.copy, readAll(t, y.copy))
	return twin
}

// restoreSteps is more than there are faults in a restore.
const restoreSteps = 30

// Every durable step of a restore is failed: it is not done, or done and reported failed, or the process is killed there. What is
// then there is what was there before, refused or not as before, or the restored state, with all that it withholds. Never
// anything else, and never nothing. The restore can be made again as it was.
func TestARestoreThatFailsAnywhere(t *testing.T) {
	if told := os.Getenv(victimVariable); told != "" {
		beKilled(t, told)
		return
	}
	for name, now := range situations() {
		for how, stop := range map[string]func(*testing.T, past, situation, int) (over bool){"fails": failAt, "is killed": killAt} {
			if how == "is killed" && (testing.Short() || !now.killed) {
				continue // slow, and like the others
			}
			t.Run(name+" "+how, func(t *testing.T) {
				once, step := oldCopy(t), 1
				for ; ; step++ {
					if step > restoreSteps {
						t.Fatal("it has no end")
					}
					y := once.again(t)
					now.arrange(t, &y)
					if stop(t, y, now, step) {
						break
					}
					mustBeOldOrRestored(t, y, now, step)
					if t.Failed() {
						return
					}
				}
				if step < 10 {
					t.Errorf("it has only %d steps", step-1)
				}
			})
		}
	}
}

// failAt fails a restore at one of its steps, and reports whether it has fewer.
func failAt(t *testing.T, y past, now situation, step int) bool {
	t.Helper()
	n := 0
	o := now.options(y, func(string) error {
		if n++; n == step {
			return errors.New("input/output error")
		}
		return nil
	})
	_, err := Restore(t.Context(), o, Copy{Name: y.copy}, "ann")
	if err == nil && n >= step {
		t.Errorf("step %d failed, and the restore says nothing", step)
	}
	if err != nil && n < step {
		t.Errorf("with no fault it says %v", err)
	}
	return n < step
}

func (now situation) options(y past, fault func(string) error) Options {
	o := y.o
	o.Fault = fault
	if now.linkless {
		o.link = func(string, string) error { return syscall.EPERM }
	}
	return o
}

// victim is what a process that is to be killed must know.
type victim struct {
	Path, Copy string
	Linkless   bool
	Step       int
}

const victimVariable = "BACKSTOP_TEST_RESTORE"

// killAt has another process kill itself at one of the steps, and reports whether it has fewer.
func killAt(t *testing.T, y past, now situation, step int) bool {
	t.Helper()
	told, err := json.Marshal(victim{Path: y.o.Path, Copy: y.copy, Linkless: now.linkless, Step: step})
	mustDo(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestARestoreThatFailsAnywhere$")
	cmd.Env = append(os.Environ(), victimVariable+"="+string(told))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return true
	}
	if cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("it was to be killed at step %d: %v\n%s", step, err, out)
	}
	return false
}

// beKilled is the process that is killed.
func beKilled(t *testing.T, told string) {
	var v victim
	mustDo(t, json.Unmarshal([]byte(told), &v))
	n := 0
	now := situation{linkless: v.Linkless}
	o := now.options(past{o: Options{Path: v.Path, APIBase: base}}, func(string) error {
		if n++; n == v.Step {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	})
	if _, err := Restore(t.Context(), o, Copy{Name: v.Copy}, "ann"); err != nil {
		t.Fatal(err)
	}
}

// mustBeOldOrRestored looks at what a restore left that came to nothing, does it again, and looks again.
func mustBeOldOrRestored(t *testing.T, y past, now situation, step int) {
	t.Helper()
	before := now.refused
	vacant := false
	if _, err := os.Lstat(y.o.Path); os.IsNotExist(err) {
		vacant = true
	}
	s, err := OpenExisting(y.o)
	switch {
	case err == nil && !s.Lost().To.IsZero():
		mustBeWithheld(t, s)
		mustBeClean(t, s)
	case err == nil && before != nil:
		t.Errorf("step %d: what was refused is used now", step)
	case err == nil:
		mustBeClean(t, s)
	case vacant && errors.Is(err, ErrMissing) && now.fresh:
	case vacant != errors.Is(before, ErrLost):
		t.Errorf("step %d: there is no state, and open says %v", step, err)
	case !errors.Is(err, before) && !errors.Is(err, ErrRolledBack):
		t.Errorf("step %d: open says %v, want %v", step, err, before)
	default:
		mustName(t, err, y.o.Path)
	}
	if s != nil {
		mustClose(t, s)
	}
	mustRestore(t, y.o, y.copy)
	s = mustOpen(t, y.o)
	mustBeWithheld(t, s)
	mustBeClean(t, s)
	mustClose(t, s)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(y.o.Path), ".*"))
	mustDo(t, err)
	if len(files) > 0 {
		t.Errorf("step %s: left behind: %v", strconv.Itoa(step), files)
	}
}
