package reconcile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"backstop/state"
)

// journalDesk is a real journal, written by systemd-journal-remote and read by journalctl.
type journalDesk struct {
	*desk
	dir, writer string
	entries     int
}

func newJournalDesk(t *testing.T) *journalDesk {
	t.Helper()
	return &journalDesk{desk: newDesk(t), dir: t.TempDir(), writer: JournalWriter(t)}
}

// InJournals has a log read the journal files of a directory.
func (o LogOptions) InJournals(dir string) LogOptions {
	o.journals = dir
	return o
}

// JournalWriter finds the program that writes journal files.
func JournalWriter(t *testing.T) string {
	t.Helper()
	const writer = "/usr/lib/systemd/systemd-journal-remote"
	_, missing := exec.LookPath("journalctl")
	if _, err := os.Stat(writer); err != nil || missing != nil {
		const how = "systemd-journal-remote is not installed: apt-get install systemd systemd-journal-remote"
		if os.Getenv("BACKSTOP_REQUIRE_ALL") == "1" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	return writer
}

func (j *journalDesk) log() *Log {
	l, err := NewLog(LogOptions{
		Journal: "receiver.service", Pattern: `(?P<event_id>evt_\S+)`, Records: j.records, journals: j.dir,
		Logger: slog.New(slog.NewTextHandler(&j.said, nil)),
	})
	if err != nil {
		j.t.Fatal(err)
	}
	return l
}

func (j *journalDesk) sync() {
	j.t.Helper()
	if err := j.log().Sync(j.t.Context()); err != nil {
		j.t.Fatal(err)
	}
}

// add writes a journal file with messages of a unit, later than all before.
func (j *journalDesk) add(name, unit string, messages ...string) {
	j.t.Helper()
	WriteJournal(j.t, j.writer, filepath.Join(j.dir, name), logNow(), j.entries, unit, messages...)
	j.entries += len(messages)
}

// WriteJournal writes a journal file with messages of a unit, a second apart; before is how many the boot had since start.
func WriteJournal(t *testing.T, writer, path string, start time.Time, before int, unit string, messages ...string) {
	t.Helper()
	var export bytes.Buffer
	for i, m := range messages {
		at := int64(before+i+1) * time.Second.Microseconds()
		fmt.Fprintf(&export, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n", start.UnixMicro()+at, at)
		fmt.Fprintf(&export, "_BOOT_ID=c220efc91dd440deb89d82c98ddb11a5\n_SYSTEMD_UNIT=%s\nMESSAGE\n", unit)
		_ = binary.Write(&export, binary.LittleEndian, uint64(len(m))) // a buffer takes all
		export.WriteString(m + "\n\n")
	}
	cmd := exec.CommandContext(t.Context(), writer, "-o", path, "-")
	cmd.Stdin = &export
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func (j *journalDesk) expect(ids ...string) {
	j.t.Helper()
	for _, id := range ids {
		j.want[id] = true
	}
	j.sync()
	j.check(true)
}

func TestJournalIsReadOn(t *testing.T) {
	j := newJournalDesk(t)
	j.add("a.journal", "receiver.service", "Started.", "200 evt_1", "\xff is no UTF-8 evt_2", "evt_3 "+strings.Repeat("x", 20_000))
	j.add("b.journal", "another.service", "evt_of_another")
	j.expect("evt_1", "evt_2", "evt_3")
	j.expect()
	j.add("c.journal", "receiver.service", "evt_4", "evt_5")
	j.expect("evt_4", "evt_5")
	j.warned(false)
	var many []string
	for i := range 2500 {
		many = append(many, fmt.Sprintf("evt_many_%d", i))
	}
	j.add("d.journal", "receiver.service", many...)
	j.expect(many...)
	if j.records.largest != batchSeen {
		t.Errorf("%d in one transaction, want %d", j.records.largest, batchSeen)
	}
}

func TestJournalTellsTheTime(t *testing.T) {
	j := newJournalDesk(t)
	j.add("a.journal", "receiver.service", "evt_1")
	var told []state.Sighting
	if err := j.log().Peek(t.Context(), func(one state.Sighting) { told = append(told, one) }); err != nil {
		t.Fatal(err)
	}
	want := []state.Sighting{{ID: "evt_1", At: logNow().Add(time.Second), Proof: state.Log}}
	if !slices.EqualFunc(told, want, func(a, b state.Sighting) bool { return a.ID == b.ID && a.At.Equal(b.At) && a.Proof == b.Proof }) {
		t.Errorf("told %+v, want %+v", told, want)
	}
}

// journald drops its oldest files. What it still has is newer than what was read, and none of it is left out.
func TestJournalThatWasVacuumed(t *testing.T) {
	j := newJournalDesk(t)
	j.add("a.journal", "receiver.service", "evt_1", "evt_2")
	j.expect("evt_1", "evt_2")
	j.add("b.journal", "receiver.service", "evt_3", "evt_4")
	j.must(os.Remove(filepath.Join(j.dir, "a.journal")))
	j.expect("evt_3", "evt_4")
	j.warned(true)
	j.said.Reset()
	j.must(os.Remove(filepath.Join(j.dir, "b.journal")))
	j.add("c.journal", "another.service", "other")
	j.expect()
	j.warned(true)
	j.said.Reset()
	j.expect()
	j.warned(false)
	j.add("d.journal", "receiver.service", "evt_5")
	j.expect("evt_5")
}

func TestJournalThatCannotBeRead(t *testing.T) {
	j := newJournalDesk(t)
	j.dir = filepath.Join(j.dir, "none")
	err := j.log().Sync(t.Context())
	if err == nil || !strings.Contains(err.Error(), "read the journal of receiver.service: journalctl: Failed to open") {
		t.Errorf("%v, want what journalctl says", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.log().Sync(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was stopped", err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := j.log().Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "journalctl is not installed; ") {
		t.Errorf("%v, want what to install", err)
	}
}

// A pass, and with it every claim, waits for the log to be read.
func TestJournalThatHangs(t *testing.T) {
	for name, script := range map[string]string{
		"from the start": "exec sleep 1000",
		"after an entry": `echo '{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":"evt_1"}'; exec sleep 1000`,
		"at its end":     "exec >&-; exec sleep 1000",
		"its child does": "sleep 1000; exit 1",
	} {
		t.Run(name, func(t *testing.T) {
			d, dir := newDesk(t), t.TempDir()
			d.must(os.WriteFile(filepath.Join(dir, "journalctl"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
			t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			l, err := NewLog(LogOptions{Journal: "receiver.service", Pattern: `(?P<event_id>evt_\S+)`, Records: d.records, silence: 100 * time.Millisecond})
			d.must(err)
			err = l.Sync(t.Context())
			if err == nil || !strings.Contains(err.Error(), "read the journal of receiver.service: journalctl said nothing for 100ms and was ended; ") {
				t.Errorf("%v, want that it hung", err)
			}
			if again := l.Sync(t.Context()); again == nil || again.Error() != err.Error() {
				t.Errorf("again it is %v", again)
			}
		})
	}
}

// A failure is no vacuumed journal: nothing is read anew, and the position stays.
func TestJournalThatFailsKeepsItsPosition(t *testing.T) {
	j := newJournalDesk(t)
	j.add("a.journal", "receiver.service", "evt_1")
	j.expect("evt_1")
	there := j.dir
	j.dir = filepath.Join(there, "none")
	if err := j.log().Sync(t.Context()); err == nil {
		t.Error("a journal that can't be read is no error")
	}
	j.warned(false)
	j.dir = there
	j.expect()
}

func TestWhatJournalctlSaysIsCut(t *testing.T) {
	said := head{most: mostSaid}
	for range 100 {
		fmt.Fprint(&said, "\x1b[31mno\x00")
	}
	if text := said.line(); text == "" || len(text) > mostSaid || strings.ContainsAny(text, "\x1b\x00") {
		t.Errorf("%q", text)
	}
	if text := (&head{}).line(); text != "" {
		t.Errorf("%q, though nothing was said", text)
	}
}
