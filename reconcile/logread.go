package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// readFiles reads the files of the log from where they were read to, oldest first.
func (l *Log) readFiles(ctx context.Context, b *batch, kept []byte) error {
	before, again := readLogPosition(kept)
	files, err := openLog(ctx, l.o.Path, before)
	defer func() { closeFiles(files) }()
	absent := errors.Is(err, fs.ErrNotExist)
	if err != nil && !absent {
		return unreadable(err)
	}
	if absent && !again {
		return missing(err)
	}
	lost, found := match(files, before)
	files = wanted(files, before, again, b.now)
	after := logPosition{Newest: newest(files, before, b.now), Absent: absent}
	if err := readEach(ctx, b, files, after); err != nil {
		return err
	}
	for _, k := range lost {
		b.logger.Warn("lines of a log may be missing: the rest of a file that was read can't be found; let rotation leave it uncompressed until the next pass",
			"log", l.o.Path, "file", k.Name, "read_to", k.Offset)
	}
	// A rotation leaves no log for a moment, and the rotated file. The second time it is no moment any more, and where what
	// was the log is found nowhere, it was no rotation.
	if absent && (before.Absent || !found || len(lost) > 0) {
		return missing(err)
	}
	return nil
}

func missing(err error) error {
	return fmt.Errorf("read the log: %w; create it or correct seen.log.path", err)
}

func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("read the log: %w; let the user that backstop runs as read it", err)
	}
	return fmt.Errorf("read the log: %w", err)
}

// readEach reads files to their ends. Each batch is made durable with a position of all of them.
func readEach(ctx context.Context, b *batch, files []*logFile, after logPosition) error {
	for _, f := range files {
		f.more = f.more || f.current || f.at.offset < f.size
	}
	for _, f := range files {
		lines := linesFrom(f.file, &f.at)
		for {
			line, ok, err := lines.next()
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			if !ok {
				break
			}
			b.add(line, time.Time{})
			if !b.full() {
				continue
			}
			if err := b.flush(ctx, after.text(files)); err != nil {
				return err
			}
		}
		f.more = f.current
	}
	return b.flush(ctx, after.text(files))
}

// match finds the files that were read before, and how far. A file is known by its inode and what was read of it, and
// where that leads nowhere by what was read alone: it may be a copy of a file that was truncated. What is found nowhere
// is lost, unless it had been read to its end after it was rotated away. found says that any file is known.
func match(files []*logFile, before logPosition) (lost []fileKept, found bool) {
	var left []fileKept
	for _, k := range before.Files {
		if !claim(files, k, func(f *logFile) bool { return f.inode == k.Inode }) {
			left = append(left, k)
		}
	}
	for _, k := range left {
		ok := claim(files, k, func(f *logFile) bool { return !f.current }) || claim(files, k, func(f *logFile) bool { return f.current })
		if !ok && k.More {
			lost = append(lost, k)
		}
	}
	return lost, slices.ContainsFunc(files, func(f *logFile) bool { return f.known })
}

// claim sets the first file of some that begins with what was read behind it.
func claim(files []*logFile, k fileKept, among func(*logFile) bool) bool {
	for _, f := range files {
		if !among(f) || f.size < k.Offset {
			continue
		}
		at, err := markAt(f.file, k.Offset)
		if err != nil || at.print() != k.Print {
			continue
		}
		at.skip = k.Skip
		if !f.known || at.offset > f.at.offset { // of two the one that has read more
			f.at, f.more = at, k.More
		}
		f.known = true
		return true
	}
	return false
}

// wanted leaves the files that are to be read: the log itself, what is known, and what was rotated since. On a first read
// what was rotated before stands as read.
func wanted(files []*logFile, before logPosition, again bool, now time.Time) []*logFile {
	if !again {
		before.Newest = newest(files, before, now)
	}
	return slices.DeleteFunc(files, func(f *logFile) bool {
		old := f.written.Before(before.oldest())
		drop := !f.current && (old && !f.more || !f.known && (old || !f.rotated))
		if !drop && !again && !f.current {
			drop = !f.standAsRead()
		}
		if drop {
			_ = f.file.Close() // it was read only
		}
		return drop
	})
}

// standAsRead sets a file to its end.
func (f *logFile) standAsRead() bool {
	at, err := markAt(f.file, f.size)
	if err != nil {
		return false
	}
	at.skip = !bytes.HasSuffix(at.tail, []byte("\n")) && f.size > 0
	f.at = at
	return true
}

// newest is when any of the files was last written, but not in the future; what was kept when there are none.
func newest(files []*logFile, before logPosition, now time.Time) int64 {
	last := int64(0)
	for _, f := range files {
		last = max(last, min(f.written.Unix(), now.Unix()))
	}
	if len(files) == 0 {
		return before.Newest
	}
	return last
}
