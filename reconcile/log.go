package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"backstop/state"
)

const (
	maxLine   = 1 << 20 // longer lines are passed over
	batchSeen = 1000    // sightings that share a transaction
	batchRead = 16 << 20
)

// LogRecords keeps what was read of a log, and how far it was read; *state.Store does. The two are written together or
// not at all: a log is read on from the position that fits what was recorded.
type LogRecords interface {
	ReadPosition(source string) (position []byte, err error)
	RecordRead(now time.Time, seen []state.Sighting, source string, position []byte) error
}

// LogOptions say which log is read and what its lines look like. One of Path and Journal is set.
type LogOptions struct {
	Path    string // of the file; its rotated siblings are found beside it
	Journal string // the systemd unit whose journal is read
	Pattern string // a regular expression with named groups; "": lines are JSON, and Fields say where
	Fields  LogFields
	Records LogRecords
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: silent

	journals string        // a directory of journal files; "": the machine's
	silence  time.Duration // how long journalctl may say nothing; 0: journalSilence
}

// Log is a Recorder that reads a log of the receiver, or of what stands in front of it. The first Sync reads it from its
// start, each later one from where the last stopped. Other fields or another pattern are another log.
type Log struct {
	o      LogOptions
	lines  *lineReader
	source string     // what the position is kept under: which log, and how its lines are read
	mu     sync.Mutex // held by Sync: two at once would read the same lines
	heard  logHeard
}

var _ Recorder = (*Log)(nil)

// NewLog checks the options; it opens nothing. Its error says what to correct in the configuration.
func NewLog(o LogOptions) (*Log, error) {
	if (o.Path == "") == (o.Journal == "") {
		return nil, fmt.Errorf("seen.log needs a path or a journal, and not both; set one of them")
	}
	lines, err := newLineReader(o.Pattern, o.Fields)
	if err != nil {
		return nil, fmt.Errorf("seen.log: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{o: o, lines: lines, source: "log " + o.Path}
	if o.Journal != "" {
		l.source = "journal " + o.Journal
	}
	l.source += " (fields " + fieldsPrint(o.Pattern, o.Fields) + ")"
	return l, nil
}

// Sync reads what is new in the log and makes it durable, in batches. A line without its newline waits for the rest.
func (l *Log) Sync(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	read, err := l.read(ctx, l.o.Logger, func(now time.Time, b *batch, position []byte) error {
		if err := l.o.Records.RecordRead(now, b.seen, l.source, position); err != nil {
			return err
		}
		l.heard.add(b.counts)
		return nil
	})
	if l.heard.ended(read) {
		l.o.Logger.Warn("lines of a log with a 2xx name no event: pushes without an id are not matched by it; use the tap", "source", l.source)
	}
	return err
}

// Peek tells what Sync would record.
func (l *Log) Peek(ctx context.Context, tell func(state.Sighting)) error {
	_, err := l.read(ctx, slog.New(slog.DiscardHandler), func(_ time.Time, b *batch, _ []byte) error {
		for _, one := range b.seen {
			tell(one)
		}
		return nil
	})
	return err
}

// keeping takes a batch and the position behind it.
type keeping func(now time.Time, b *batch, position []byte) error

// read gives what the lines told that were kept.
func (l *Log) read(ctx context.Context, logger *slog.Logger, keep keeping) (lineCounts, error) {
	before, err := l.o.Records.ReadPosition(l.source)
	if err != nil {
		return lineCounts{}, fmt.Errorf("read the %s: %w", l.source, err)
	}
	b := &batch{log: l, logger: logger, keep: keep, now: l.o.Now()}
	if l.o.Journal != "" {
		err = l.readJournal(ctx, b, before)
	} else {
		err = l.readFiles(ctx, b, before)
	}
	logger.Debug("log read", "source", l.source, "lines", b.kept.lines, "pushes", b.kept.pushes, "passed_over", b.kept.lines-b.kept.pushes)
	return b.kept, err
}

// batch gathers what lines show, and hands it on with the position behind them.
type batch struct {
	log    *Log
	logger *slog.Logger
	keep   keeping
	now    time.Time

	seen   []state.Sighting
	bytes  int        // read since the last flush
	counts lineCounts // since then
	kept   lineCounts // before it
}

// add takes one line; at is when it was written, zero where only the line knows.
func (b *batch) add(line []byte, at time.Time) {
	b.counts.lines++
	b.bytes += len(line) + 1
	one, accepted, ok := b.log.lines.sighting(line, b.now)
	if !ok {
		if accepted {
			b.counts.nameless++
		}
		return
	}
	if one.At.IsZero() {
		one.At = at
	}
	b.counts.pushes++
	b.seen = append(b.seen, one)
}

// full reports whether it is time to flush. Lines that show nothing count, too: they need not be read again.
func (b *batch) full() bool { return len(b.seen) >= batchSeen || b.bytes >= batchRead }

// flush makes the batch durable together with the position behind it. A crash before it leaves both as they were, and the
// same lines are read again.
func (b *batch) flush(ctx context.Context, position []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.keep(b.now, b, position); err != nil {
		return err
	}
	b.kept.add(b.counts)
	b.seen, b.bytes, b.counts = b.seen[:0], 0, lineCounts{}
	return nil
}
