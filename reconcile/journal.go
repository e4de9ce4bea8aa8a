package reconcile

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// maxEntry is how long an entry of the journal may be: a message that is no UTF-8 comes as a list of numbers, five bytes
// for each.
const maxEntry = 6 * maxLine

// errCursorGone says that journald no longer has the entry that was read last.
var errCursorGone = errors.New("the entry that was read last is gone")

// journalSilence is how long journalctl may say nothing: an unending read would hold up the pass, and all that waits for it.
const journalSilence = time.Minute

// journalPosition is kept as JSON.
type journalPosition struct {
	Cursor string `json:"cursor"` // of the last entry that was read; "": none
}

// readJournal reads the entries of a unit behind the one that was read last. Where journald has dropped that one, what it
// still has is newer, and is read whole.
func (l *Log) readJournal(ctx context.Context, b *batch, kept []byte) error {
	var p journalPosition
	if kept != nil && json.Unmarshal(kept, &p) != nil {
		p = journalPosition{}
	}
	err := l.entries(ctx, b, &p)
	if errors.Is(err, errCursorGone) {
		b.logger.Warn("lines of a log may be missing: the journal no longer has the entry that was read last; let it keep more",
			"unit", l.o.Journal)
		p.Cursor = ""
		err = l.entries(ctx, b, &p)
	}
	if err != nil {
		return fmt.Errorf("read the journal of %s: %w", l.o.Journal, err)
	}
	return nil
}

// entries runs journalctl once. It asks from the last entry on, not behind it: --after-cursor with --unit drops an entry
// where that one is gone (systemd before 255), and says nothing.
func (l *Log) entries(ctx context.Context, b *batch, p *journalPosition) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	said := &head{most: mostSaid}
	cmd := l.journalctl(ctx, p.Cursor, said)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("journalctl is not installed; install systemd, or have the receiver write a file and name it in seen.log.path")
	}
	if err != nil {
		return fmt.Errorf("journalctl: %w", err)
	}
	silent := newSilence(out, cmp.Or(l.o.silence, journalSilence), cancel)
	asked := p.Cursor
	begun, err := readEntries(ctx, b, silent, p)
	if err != nil {
		cancel(err) // nobody reads what it still has to say
	}
	ended := silent.wait(cmd.Wait)
	switch cause := context.Cause(ctx); {
	case cause != nil: // of err, where that came first
		return cause
	case ended != nil:
		return fmt.Errorf("journalctl: %s; try it by hand as the user that backstop runs as", cmp.Or(said.line(), ended.Error()))
	case asked != "" && !begun:
		return errCursorGone
	}
	return nil
}

func (l *Log) journalctl(ctx context.Context, cursor string, said io.Writer) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "journalctl", l.journalArgs(cursor)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stderr, cmd.WaitDelay = said, commandLingers
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd) }
	return cmd
}

// silence ends a program that says nothing for too long. Only the time counts in which it is waited for.
type silence struct {
	out   io.Reader
	limit time.Duration
	timer *time.Timer
}

func newSilence(out io.Reader, limit time.Duration, end context.CancelCauseFunc) *silence {
	err := fmt.Errorf("journalctl said nothing for %s and was ended; try it by hand as the user that backstop runs as", limit)
	return &silence{out: out, limit: limit, timer: time.AfterFunc(limit, func() { end(err) })}
}

// Read implements io.Reader.
func (s *silence) Read(b []byte) (int, error) {
	s.timer.Reset(s.limit)
	defer s.timer.Stop()
	return s.out.Read(b)
}

func (s *silence) wait(end func() error) error {
	s.timer.Reset(s.limit)
	defer s.timer.Stop()
	return end()
}

func (l *Log) journalArgs(cursor string) []string {
	args := []string{"--unit=" + l.o.Journal, "--output=json", "--output-fields=MESSAGE", "--all", "--no-pager", "--quiet"}
	if cursor != "" {
		args = append(args, "--cursor="+cursor)
	}
	if l.o.journals != "" {
		args = append(args, "--directory="+l.o.journals)
	}
	return args
}

// readEntries reads the output of journalctl, which begins with the entry of the cursor where there is one; begun is
// false where nothing came.
func readEntries(ctx context.Context, b *batch, out io.Reader, p *journalPosition) (begun bool, err error) {
	lines := &logLines{r: bufio.NewReaderSize(out, 64<<10), at: &mark{}, most: maxEntry}
	asked := p.Cursor
	for {
		line, ok, err := lines.next()
		if err != nil {
			return begun, err
		}
		if !ok {
			return begun, b.flush(ctx, p.text())
		}
		e, ok := readEntry(line)
		switch {
		case asked != "" && !begun && e.cursor != asked:
			return false, errCursorGone
		case ok && e.cursor != asked:
			p.Cursor = e.cursor
			b.add(e.line, e.at)
		}
		begun = true
		if !b.full() {
			continue
		}
		if err := b.flush(ctx, p.text()); err != nil {
			return begun, err
		}
	}
}

func (p journalPosition) text() []byte {
	text, _ := json.Marshal(p) // one string
	return text
}

// entry is one entry of the journal.
type entry struct {
	cursor string
	at     time.Time
	line   []byte
}

func readEntry(line []byte) (e entry, ok bool) {
	var raw struct {
		Cursor  string          `json:"__CURSOR"`
		Time    string          `json:"__REALTIME_TIMESTAMP"` // microseconds
		Message json.RawMessage `json:"MESSAGE"`
	}
	if json.Unmarshal(line, &raw) != nil || raw.Cursor == "" {
		return e, false
	}
	e.cursor = raw.Cursor
	if micro, err := strconv.ParseInt(raw.Time, 10, 64); err == nil {
		e.at = time.UnixMicro(micro)
	}
	e.line = messageOf(raw.Message)
	return e, true
}

// messageOf gives the bytes of a message: a string, or a list of numbers where they are no UTF-8.
func messageOf(raw json.RawMessage) []byte {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return bytes.TrimRight([]byte(text), "\r\n")
	}
	var numbers []uint16 // bytes would be read as base64
	if json.Unmarshal(raw, &numbers) != nil {
		return nil
	}
	line := make([]byte, len(numbers))
	for i, n := range numbers {
		line[i] = byte(n)
	}
	return bytes.TrimRight(line, "\r\n")
}
