package reconcile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// printed is how much of the beginning of what was read, and of its end, makes the fingerprint: enough for a line or two,
// which no other file has.
const printed = 4096

// mark is a place in a file, with what was read around it, so that the same place is known in a copy, and another file is
// not taken for this one.
type mark struct {
	offset     int64
	head, tail []byte
	skip       bool // the place is inside a line that is too long
}

// markAt reads the mark of what is at an offset; an error where the file is shorter.
func markAt(f io.ReaderAt, offset int64) (mark, error) {
	size := min(offset, printed)
	m := mark{offset: offset, head: make([]byte, size), tail: make([]byte, size)}
	if err := readFull(f, m.head, 0); err != nil {
		return mark{}, err
	}
	return m, readFull(f, m.tail, offset-size)
}

func readFull(f io.ReaderAt, b []byte, at int64) error {
	n, err := f.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	return err
}

// pass moves the mark behind what was read.
func (m *mark) pass(b []byte) {
	m.offset += int64(len(b))
	if missing := printed - len(m.head); missing > 0 {
		m.head = append(m.head, b[:min(missing, len(b))]...)
	}
	m.tail = append(m.tail, b[max(0, len(b)-printed):]...)
	if len(m.tail) > 16*printed {
		m.tail = append(m.tail[:0], m.tail[len(m.tail)-printed:]...)
	}
}

// print is the fingerprint.
func (m *mark) print() string {
	h := sha256.New()
	h.Write(m.head)
	h.Write(m.tail[max(0, len(m.tail)-printed):])
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// logLines gives the whole lines of a file from a mark on, and moves the mark behind each.
type logLines struct {
	r    *bufio.Reader
	at   *mark
	most int // bytes of a line; longer ones are passed over
	line []byte
}

func linesFrom(f io.ReaderAt, at *mark) *logLines {
	const end = 1 << 62 // wherever the file ends by then
	return &logLines{r: bufio.NewReaderSize(io.NewSectionReader(f, at.offset, end-at.offset), 64<<10), at: at, most: maxLine}
}

// next gives a line without its end; one that is too long is empty. False at the end of the file: what stands there
// without a newline waits for the rest. The line is good until the next call.
func (l *logLines) next() (line []byte, ok bool, err error) {
	l.line = l.line[:0]
	for {
		chunk, err := l.r.ReadSlice('\n')
		l.take(chunk)
		switch {
		case err == nil:
			return l.whole(), true, nil
		case errors.Is(err, io.EOF):
			return nil, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, fmt.Errorf("read: %w", err)
		}
	}
}

// take adds a piece of a line. A writer that does not append leaves a hole in a file that was truncated under it; its
// zeros are no part of a line.
func (l *logLines) take(chunk []byte) {
	if len(l.line) == 0 && !l.at.skip {
		text := bytes.TrimLeft(chunk, "\x00")
		l.at.pass(chunk[:len(chunk)-len(text)])
		chunk = text
	}
	if l.at.skip {
		l.at.pass(chunk)
		return
	}
	l.line = append(l.line, chunk...)
	if len(bytes.TrimSuffix(l.line, []byte("\n"))) > l.most {
		l.at.pass(l.line)
		l.at.skip, l.line = true, l.line[:0]
	}
}

func (l *logLines) whole() []byte {
	l.at.pass(l.line)
	l.at.skip = false
	return bytes.TrimSuffix(bytes.TrimSuffix(l.line, []byte("\n")), []byte("\r"))
}
