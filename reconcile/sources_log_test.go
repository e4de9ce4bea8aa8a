package reconcile_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/reconcile"
	"backstop/reconcile/sourcetest"
	"backstop/state"
)

// logbook is a log that a receiver writes for each push, one line.
type logbook struct {
	t       *testing.T
	path    string
	options reconcile.LogOptions
	line    func(heygen.Event) string
	rotate  func(*logbook) // before lines are appended; nil: never
}

func newLogbook(t *testing.T, o reconcile.LogOptions, line func(heygen.Event) string, rotate func(*logbook)) *logbook {
	l := &logbook{t: t, path: filepath.Join(t.TempDir(), "receiver.log"), options: o, line: line, rotate: rotate}
	l.options.Path = l.path
	appendTo(t, l.path, "")
	return l
}

func (l *logbook) source(s *state.Store) reconcile.Source { return logSource(l.t, l.options, s) }

func logSource(t *testing.T, o reconcile.LogOptions, s *state.Store) reconcile.Source {
	t.Helper()
	o.Records = s
	log, err := reconcile.NewLog(o)
	must(t, err)
	return reconcile.Source{Name: "log", Proof: state.Log, Recorder: log}
}

// take writes as a receiver does, to the file that it has open: the last line is not yet whole when the file is rotated.
func (l *logbook) take(events ...heygen.Event) {
	if l.rotate != nil {
		l.rotate(l)
	}
	for _, e := range events {
		appendTo(l.t, l.path, "starting up\n"+l.line(e)+"\n")
	}
	appendTo(l.t, l.path, l.line(events[0])[:10]) // it is being written
	appendTo(l.t, l.path, "\n")
}

// shift makes room for one more rotated file.
func (l *logbook) shift() {
	for n := 40; n > 0; n-- {
		_ = os.Rename(l.path+"."+strconv.Itoa(n), l.path+"."+strconv.Itoa(n+1)) // most are not there
	}
}

func renamed(l *logbook) {
	l.shift()
	must(l.t, os.Rename(l.path, l.path+".1"))
}

func copiedAndTruncated(l *logbook) {
	l.shift()
	text, err := os.ReadFile(l.path)
	must(l.t, err)
	must(l.t, os.WriteFile(l.path+".1", text, 0o600))
	must(l.t, os.Truncate(l.path, 0))
}

func (l *logbook) away() string { return filepath.Join(filepath.Dir(l.path), "away") }

func (l *logbook) moveAway() { must(l.t, os.Rename(l.path, l.away())) }

func (l *logbook) mend() {
	must(l.t, os.RemoveAll(l.path))
	must(l.t, os.Rename(l.away(), l.path))
}

func (l *logbook) becomeFolder() {
	l.moveAway()
	must(l.t, os.Mkdir(l.path, 0o700))
}

func jsonLine(t *testing.T, fields map[string]any) string {
	t.Helper()
	line, err := json.Marshal(fields)
	must(t, err)
	return string(line)
}

func TestLogIsASource(t *testing.T) {
	byID := reconcile.LogOptions{Fields: reconcile.LogFields{EventID: "$.event_id"}}
	ids := func(e heygen.Event) string { return jsonLine(t, map[string]any{"event_id": e.ID, "level": "info"}) }
	byContent := reconcile.LogOptions{Fields: reconcile.LogFields{EventType: "$.push.event_type", EventData: "$.push.event_data", ReceivedAt: "$.at"}}
	contents := func(e heygen.Event) string {
		push := map[string]any{"event_type": e.Type, "event_data": json.RawMessage(e.Data)}
		return jsonLine(t, map[string]any{"push": push, "at": time.Now().Format(time.RFC3339)})
	}
	byPattern := reconcile.LogOptions{Pattern: `^POST /hook (?P<status>\d+) (?P<event_id>\S+)$`}
	plain := func(e heygen.Event) string { return "POST /hook 200 " + e.ID }
	for name, l := range map[string]*logbook{
		"ids":                             newLogbook(t, byID, ids, nil),
		"ids, renamed":                    newLogbook(t, byID, ids, renamed),
		"ids, copied and truncated":       newLogbook(t, byID, ids, copiedAndTruncated),
		"contents":                        newLogbook(t, byContent, contents, nil),
		"contents, renamed":               newLogbook(t, byContent, contents, renamed),
		"a pattern":                       newLogbook(t, byPattern, plain, nil),
		"a pattern, copied and truncated": newLogbook(t, byPattern, plain, copiedAndTruncated),
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			t.Run("moved away", func(t *testing.T) { l.run(t, l.moveAway) })
			t.Run("a folder", func(t *testing.T) { l.run(t, l.becomeFolder) })
		})
	}
}

func (l *logbook) run(t *testing.T, breaks func()) {
	sourcetest.Run(t, sourcetest.Partner{Source: l.source, Take: l.take, Break: breaks, Mend: l.mend})
}

// journal is what systemd keeps of a receiver that prints a line for each push.
type journal struct {
	t           *testing.T
	dir, writer string
	start       time.Time
	entries     int
	line        func(heygen.Event) string
}

func (j *journal) take(events ...heygen.Event) {
	lines := []string{"Started."}
	for _, e := range events {
		lines = append(lines, j.line(e))
	}
	path := filepath.Join(j.dir, fmt.Sprintf("%04d.journal", j.entries))
	reconcile.WriteJournal(j.t, j.writer, path, j.start, j.entries, "receiver.service", lines...)
	j.entries += len(lines)
}

func TestJournalIsASource(t *testing.T) {
	for name, tt := range map[string]struct {
		options reconcile.LogOptions
		line    func(heygen.Event) string
	}{
		"ids": {
			reconcile.LogOptions{Pattern: `^took (?P<event_id>\S+)$`},
			func(e heygen.Event) string { return "took " + e.ID },
		},
		"contents": {
			reconcile.LogOptions{Fields: reconcile.LogFields{EventType: "$.event_type", EventData: "$.event_data"}},
			func(e heygen.Event) string { return string(heygen.Body(e.Type, e.Data)) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := &journal{t: t, dir: t.TempDir(), writer: reconcile.JournalWriter(t), start: time.Now().Add(-time.Hour), line: tt.line}
			j.take() // a journal that does not exist can't be read
			away := filepath.Join(t.TempDir(), "away")
			tt.options.Journal = "receiver.service"
			sourcetest.Run(t, sourcetest.Partner{
				Source: func(s *state.Store) reconcile.Source { return logSource(t, tt.options.InJournals(j.dir), s) },
				Take:   j.take,
				Break:  func() { must(t, os.Rename(j.dir, away)) },
				Mend:   func() { must(t, os.Rename(away, j.dir)) },
			})
		})
	}
}

// Where the line has an id and the receiver's answer, only a 2xx counts; whoever logs a refusal does not have the event.
func TestLoggedRefusalIsNoProof(t *testing.T) {
	o := reconcile.LogOptions{Fields: reconcile.LogFields{EventID: "$.id", Status: "$.status"}}
	l := newLogbook(t, o, func(e heygen.Event) string {
		return strings.Join([]string{
			jsonLine(t, map[string]any{"id": e.ID + "_refused", "status": 500}),
			jsonLine(t, map[string]any{"id": e.ID, "status": 204}),
		}, "\n")
	}, renamed)
	l.run(t, l.moveAway)
}
