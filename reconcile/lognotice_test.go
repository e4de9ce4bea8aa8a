package reconcile

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"backstop/state"
)

const (
	nginxNamed    = `{"event_id":"evt_1","status":"200"}` + "\n"
	nginxNameless = `{"event_id":"","status":"200"}` + "\n"
	nginxRefused  = `{"event_id":"","status":"502"}` + "\n"
)

// nginxLog reads a log as the recipe for nginx has it, with content where that is asked for.
func (d *desk) nginxLog(fields LogFields) *Log {
	d.t.Helper()
	fields.EventID = "$.event_id"
	l, err := NewLog(LogOptions{Path: d.path, Fields: fields, Records: d.records, Logger: slog.New(slog.NewTextHandler(&d.said, nil))})
	d.must(err)
	return l
}

// noticed reads what is new, and compares what there is to say and how often it was warned.
func (d *desk) noticed(l *Log, text, want string, warnings int) {
	d.t.Helper()
	d.append(d.path, text)
	d.must(l.Sync(d.t.Context()))
	if got := l.Notice(); got != want {
		d.t.Errorf("it says %q, want %q", got, want)
	}
	if n := strings.Count(d.said.String(), "level=WARN"); n != warnings {
		d.t.Errorf("%d warnings, want %d:\n%s", n, warnings, d.said.String())
	}
}

// Pushes without an id, in the log that nginx writes: nothing of them is matched, and a person must know.
func TestLogNoticesLinesWithoutAnEvent(t *testing.T) {
	d := newDesk(t)
	l := d.nginxLog(LogFields{Status: "$.status"})
	const remedy = " with a 2xx named no event: pushes without an id are not matched by this log; use the tap"
	d.noticed(l, nginxNamed+nginxRefused+"no JSON\n", "", 0)
	d.must(l.Peek(t.Context(), func(state.Sighting) {}))
	d.noticed(l, nginxNameless, "1 line"+remedy, 1)
	d.noticed(l, nginxNameless+nginxNamed+nginxNameless, "3 lines"+remedy, 1)
	d.noticed(l, nginxRefused, "3 lines"+remedy, 1)
	d.noticed(l, nginxNamed, "3 lines"+remedy, 1)
	d.append(d.path, nginxNameless)
	d.must(l.Peek(t.Context(), func(state.Sighting) {}))
	d.noticed(l, "", "4 lines"+remedy, 2)
	d.records.refuse = errors.New("the disk is full")
	d.append(d.path, nginxNameless)
	if err := l.Sync(t.Context()); err == nil {
		t.Error("nothing failed")
	}
	d.noticed(l, "", "5 lines"+remedy, 2)
	d.noticed(l, strings.Repeat(nginxNameless, 2*batchSeen), "2005 lines"+remedy, 2)
	d.noticed(d.nginxLog(LogFields{Status: "$.status"}), "", "", 2)
}

// Without a status no line says that the receiver took a push; with content a line needs no id.
func TestLogNoticesOnlyWhatWasAccepted(t *testing.T) {
	d := newDesk(t)
	d.noticed(d.nginxLog(LogFields{}), strings.Repeat(nginxNameless, fewLines-1), "", 0)
	content := LogFields{Status: "$.status", EventType: "$.type", EventData: "$.data"}
	d = newDesk(t) // another log: with other fields the same one is read from its start
	d.noticed(d.nginxLog(content), `{"type":"avatar_video.success","data":{"video_id":"vid_1"},"status":200}`+"\n", "", 0)
}

// A log that is read and read and never tells of a push is the wrong one, or read wrongly.
func TestLogNoticesThatNothingIsFound(t *testing.T) {
	d := newDesk(t)
	l := d.nginxLog(LogFields{Status: "$.status"})
	d.noticed(l, strings.Repeat(nginxRefused, fewLines-1), "", 0)
	d.noticed(l, "GET /\n", "100 lines were read and none told of a push: check event_id, pattern and status", 0)
	d.noticed(l, nginxNamed, "", 0)
}

// Whoever shows the notice does so while the log is read.
func TestLogNoticeBesideSync(t *testing.T) {
	d := newDesk(t)
	l := d.nginxLog(LogFields{Status: "$.status"})
	d.append(d.path, strings.Repeat(nginxNameless, 5*batchSeen))
	var reading sync.WaitGroup
	reading.Go(func() {
		if err := l.Sync(t.Context()); err != nil {
			t.Error(err)
		}
	})
	for range 100 {
		_ = l.Notice()
	}
	reading.Wait()
}
