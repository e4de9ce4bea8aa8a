package reconcile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A name leads to a pipe when it comes to be opened. An open that waits for a writer would never return.
func TestLogThatBecameAPipe(t *testing.T) {
	for _, name := range []string{"", ".1"} {
		d := newDesk(t)
		d.append(d.path, d.lines(1))
		d.append(d.path+".1", d.lines(1))
		files, err := listLog(d.path, logPosition{})
		d.must(err)
		d.must(os.Remove(d.path + name))
		d.must(syscall.Mkfifo(d.path+name, 0o600))
		opened, err := openFiles(files)
		if !errors.Is(err, errMoved) {
			t.Errorf("%q: %v, want that it was renamed", name, err)
		}
		closeFiles(opened)
	}
}

// A name is switched between a file and a pipe all the time, as a link and by renaming. Every pass ends, in an error or
// with the file read.
func TestLogSwitchedWithAPipe(t *testing.T) {
	for name, switched := range map[string]func(target, to string) error{
		"a link": func(target, to string) error {
			return errors.Join(os.Symlink(target, target+".new"), os.Rename(target+".new", to))
		},
		"a name of its own": func(target, to string) error {
			return errors.Join(os.Link(target, target+".new"), os.Rename(target+".new", to))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			dir := t.TempDir()
			file, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
			d.append(file, d.lines(3))
			d.must(syscall.Mkfifo(pipe, 0o600))
			d.must(switched(file, d.path))
			stop := switching(t, d.path, switched, pipe, file)
			met := map[bool]int{}
			for range 2000 {
				met[d.log().Sync(t.Context()) == nil]++
			}
			stop()
			t.Logf("%d passes read the file, %d did not", met[true], met[false])
			d.append(file, d.lines(3))
			d.sync()
			d.check(true)
		})
	}
}

// switching has a name lead to each of some targets in turn until it is stopped; it stops at the last of them.
func switching(t *testing.T, path string, switched func(target, to string) error, targets ...string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		var err error
		for ctx.Err() == nil && err == nil {
			for _, target := range targets {
				err = errors.Join(err, switched(target, path))
			}
		}
		ended <- err
	}()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
