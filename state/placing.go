package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// placing puts a finished draft in the place of the state, step by step.
type placing struct {
	o      Options
	draft  string
	side   sideFile // that belongs to the draft
	vacant bool     // there is nothing in the place of the state
	stamp  string   // behind the names of what is kept
	aside  []string // what is kept
}

// run gives what is there a second name each, and lets the draft take the place of the state in one step: at any time there
// is a whole state or what there was before, and never nothing. The side file comes last. Until then the one that is there
// lags behind the restored state, or refuses it, as it did before, where it speaks of another one.
func (p *placing) run() error {
	// Nobody may open the restored state before its side file is there.
	f, err := openLocked(p.draft, p.o.LockTimeout)
	if err != nil {
		return fmt.Errorf("restored state: %w", err)
	}
	defer f.Close()
	dir := filepath.Dir(p.o.Path)
	for _, step := range []struct {
		doing string
		do    func() error
	}{
		{"keep the old side file", func() error { return p.keep(sidePath(p.o.Path)) }},
		{"keep the old state", func() error { return p.keep(p.o.Path) }},
		{"put the copy in place", p.put},
		{"make it durable", func() error { return syncDirectory(dir) }},
		{"write the side file", func() error { return p.side.write(p.o.Path) }},
		{"make it durable", func() error { return syncDirectory(dir) }},
	} {
		if err := p.step(step.do); err != nil {
			return fmt.Errorf("%s: %w; see that %s is writable and has room, and run it again", step.doing, err, dir)
		}
	}
	return nil
}

func (p *placing) step(do func() error) error {
	if err := p.o.fault("before"); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return p.o.fault("after")
}

// keep gives a file a second name. On a file system without hard links it is copied: to move it would leave no state for a
// moment, and no copy where that is the very file.
func (p *placing) keep(path string) error {
	name := path + p.stamp
	for n := 2; ; n++ {
		err := p.o.linkFile(path, name)
		switch {
		case err == nil, oneFile(path, name): // also one that was killed within this second
			p.aside = append(p.aside, name)
			return nil
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case linkless(err):
			return p.keepCopy(path)
		case !errors.Is(err, fs.ErrExist):
			return err
		}
		name = path + p.stamp + "-" + strconv.Itoa(n)
	}
}

func (p *placing) keepCopy(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	draft, err := writeDraft(p.o.Path, f)
	if err != nil {
		return err
	}
	name := path + p.stamp
	if err := os.Rename(draft, name); err != nil {
		return errors.Join(err, os.Remove(draft))
	}
	p.aside = append(p.aside, name)
	return nil
}

func oneFile(a, b string) bool {
	first, err := os.Lstat(a)
	second, err2 := os.Lstat(b)
	return err == nil && err2 == nil && os.SameFile(first, second)
}

// linkless reports whether a file system can't give a file a second name.
func linkless(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported)
}

// put gives the draft the name of the state.
func (p *placing) put() error {
	if p.vacant {
		err := settleIn(p.draft, p.o.Path)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w: another process made it just now", ErrExists)
		}
		return err
	}
	return os.Rename(p.draft, p.o.Path)
}
