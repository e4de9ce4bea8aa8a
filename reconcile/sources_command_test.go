package reconcile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/reconcile"
	"backstop/reconcile/sourcetest"
	"backstop/state"
)

// program is a shell script that looks ids up in a file to which the receiver writes them.
type program struct {
	t           *testing.T
	path, inbox string
}

func newProgram(t *testing.T) *program {
	dir := t.TempDir()
	p := &program{t: t, path: filepath.Join(dir, "have"), inbox: filepath.Join(dir, "inbox")}
	appendTo(t, p.inbox, "")
	p.does("grep -Fxf - " + p.inbox + " || [ $? -eq 1 ]")
	return p
}

// does replaces the program. It is renamed into place: a program that runs can't be written to.
func (p *program) does(what string) {
	p.t.Helper()
	must(p.t, os.WriteFile(p.path+".new", []byte("#!/bin/sh\n"+what+"\n"), 0o700))
	must(p.t, os.Rename(p.path+".new", p.path))
}

func (p *program) source(*state.Store) reconcile.Source {
	c, err := reconcile.NewCommand(reconcile.CommandOptions{Argv: []string{p.path}, Timeout: 300 * time.Millisecond})
	must(p.t, err)
	return reconcile.Source{Name: "command", Proof: state.Command, Oracle: c}
}

func (p *program) take(events ...heygen.Event) {
	var ids strings.Builder
	for _, e := range events {
		ids.WriteString(e.ID + "\n")
	}
	appendTo(p.t, p.inbox, ids.String())
}

func TestCommandIsASource(t *testing.T) {
	for what, breaks := range map[string]string{
		"exit 2":           "cat; echo inbox is locked >&2; exit 2",
		"a signal":         "cat; kill -9 $$",
		"too many answers": "cat; yes evt_none",
	} {
		t.Run(what, func(t *testing.T) {
			p := newProgram(t)
			works := "grep -Fxf - " + p.inbox + " || [ $? -eq 1 ]"
			sourcetest.Run(t, sourcetest.Partner{
				Source: p.source, Take: p.take,
				Break: func() { p.does(breaks) },
				Stall: func() { p.does("cat; sleep 60") },
				Mend:  func() { p.does(works) },
			})
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, err)
	must(t, f.Close())
}
