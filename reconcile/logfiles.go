package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// logFile is one file of a log: the log itself, or a rotated one.
type logFile struct {
	name    string
	inode   uint64
	size    int64
	written time.Time
	current bool // it is the log itself
	rotated bool // its name says that it was rotated away; others count only when they are known
	known   bool // it was read before

	file *os.File
	at   mark // read up to here
	more bool // more may follow
}

// listLog finds the files of a log that matter, the log itself last, the others oldest first. Where there is no log the
// error is fs.ErrNotExist, beside the others.
func listLog(path string, before logPosition) (files []*logFile, err error) {
	met := map[uint64]bool{}
	own, err := statLog(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		names := logNames(path)
		own.name, own.current = names[len(names)-1], true // where it is a link, what it leads to: that stays when the link moves
		met[own.inode] = true
	}
	for _, name := range siblings(path, before) {
		f, err := statLog(name)
		if err != nil || met[f.inode] {
			continue // it is gone again, no file, or the log under another name
		}
		met[f.inode] = true
		f.rotated = rotatedName(path, name)
		files = append(files, f)
	}
	slices.SortStableFunc(files, func(a, b *logFile) int { return cmp.Or(a.written.Compare(b.written), cmp.Compare(b.name, a.name)) })
	if own != nil {
		files = append(files, own)
	}
	return files, err
}

func statLog(name string) (*logFile, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file; correct seen.log.path", name)
	}
	return &logFile{name: name, inode: info.Sys().(*syscall.Stat_t).Ino, size: info.Size(), written: info.ModTime()}, nil
}

// siblings are the names that a log's rotated files may have: those that begin as the log, or its target where it is a
// link, and those that were known.
func siblings(path string, before logPosition) []string {
	var names []string
	for _, own := range logNames(path) {
		entries, err := os.ReadDir(filepath.Dir(own))
		if err != nil {
			continue // the log itself can't be read then, which is said there
		}
		for _, e := range entries {
			if name := filepath.Join(filepath.Dir(own), e.Name()); related(own, name) {
				names = append(names, name)
			}
		}
	}
	for _, k := range before.Files {
		names = append(names, k.Name)
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == path || compressed(name) })
}

// logNames are the name of a log and, where it is a link, of what it leads to.
func logNames(path string) []string {
	if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
		return []string{path, target}
	}
	return []string{path}
}

// related reports whether a name is the log's with something behind it, or before its extension.
func related(path, name string) bool {
	return strings.HasPrefix(name, path+".") || strings.HasPrefix(name, path+"-") || rotatedAs(path, name)
}

// rotatedName reports whether a file is named as rotation names files: by number, date or "old". Others that begin as the
// log, such as a log of errors, are read only where they are known to have been the log.
func rotatedName(path, name string) bool {
	return slices.ContainsFunc(logNames(path), func(own string) bool { return rotatedAs(own, name) })
}

func rotatedAs(path, name string) bool {
	if rest, ok := strings.CutPrefix(name, path); ok {
		return numbered(rest) || rest == ".old" || rest == "-old" || rest == ".bak"
	}
	ext := filepath.Ext(path)
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(path, ext))
	return ok && ext != "" && strings.HasSuffix(rest, ext) && numbered(rest)
}

func numbered(rest string) bool {
	return len(rest) > 1 && (rest[0] == '.' || rest[0] == '-') && rest[1] >= '0' && rest[1] <= '9'
}

func compressed(name string) bool {
	return slices.Contains([]string{".gz", ".xz", ".bz2", ".zst", ".zip", ".lz4", ".Z"}, filepath.Ext(name))
}

// openLog opens the files of a log that matter, as they stand at one moment: while they are being rotated a name may
// lead to another file than the list says.
func openLog(ctx context.Context, path string, before logPosition) ([]*logFile, error) {
	const tries = 20
	for range tries {
		files, err := listLog(path, before)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		opened, openErr := openFiles(files)
		again, _ := listLog(path, before) // an error shows in what is listed
		if slices.EqualFunc(files, again, func(a, b *logFile) bool { return a.inode == b.inode && a.name == b.name }) && openErr == nil {
			return opened, err
		}
		closeFiles(opened)
		if openErr != nil && !errors.Is(openErr, errMoved) && !errors.Is(openErr, fs.ErrNotExist) {
			return nil, openErr
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("%s: its files are renamed faster than they can be opened; it is read in the next pass", path)
}

// errMoved says that a name led to another file than a moment before.
var errMoved = errors.New("it was renamed")

// openFiles opens files. A rotated one that can't be opened is left out: what it hides is said where it is missed.
func openFiles(files []*logFile) (opened []*logFile, err error) {
	for _, f := range files {
		file, err := openRegular(f.name)
		if err != nil && (f.current || errors.Is(err, errMoved)) {
			return opened, err
		}
		if err != nil {
			continue
		}
		f.file = file
		opened = append(opened, f)
		info, err := file.Stat()
		if err != nil {
			return opened, err
		}
		if info.Sys().(*syscall.Stat_t).Ino != f.inode {
			return opened, errMoved
		}
		f.size = info.Size()
	}
	return opened, nil
}

// openRegular opens a file that was a regular one when it was listed. By now its name may lead to a pipe, which without
// O_NONBLOCK would hold the open until somebody writes to it; what is no regular file is not read.
func openRegular(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Mode().IsRegular() {
		return file, nil
	}
	return nil, errors.Join(cmp.Or(err, errMoved), file.Close())
}

func closeFiles(files []*logFile) {
	for _, f := range files {
		_ = f.file.Close() // it was read only
	}
}
