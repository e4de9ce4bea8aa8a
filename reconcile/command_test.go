package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"backstop/internal/heygen"
)

func command(t *testing.T, o CommandOptions) *Command {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	c, err := NewCommand(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shell asks a script, which finds its own folder as $0.
func shell(t *testing.T, script string) (c *Command, dir string) {
	t.Helper()
	dir = t.TempDir()
	return command(t, CommandOptions{Argv: []string{"sh", "-c", script}, Dir: dir}), dir
}

func askedFor(ids ...string) []heygen.Event {
	var events []heygen.Event
	for _, id := range ids {
		events = append(events, heygen.Event{ID: id})
	}
	return events
}

func wantHad(t *testing.T, c *Command, ids []string, had ...string) {
	t.Helper()
	got, err := c.Have(t.Context(), askedFor(ids...))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(had)
	if found := slices.Sorted(maps.Keys(got)); !slices.Equal(found, had) {
		t.Errorf("it has %.200q, want %.200q", found, had)
	}
}

func wantNoAnswer(t *testing.T, c *Command, says string) {
	t.Helper()
	got, err := c.Have(t.Context(), askedFor("evt_1"))
	if err == nil || got != nil {
		t.Fatalf("it answered %v, want an error with %q", got, says)
	}
	t.Log(err)
	if !strings.Contains(err.Error(), says) || strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("%q, want one line with %q", err, says)
	}
}

func TestCommandAnswers(t *testing.T) {
	cat, _ := shell(t, "cat")
	wantHad(t, cat, nil)
	everything, _ := shell(t, "echo evt_1")
	wantHad(t, everything, nil)
	ids := []string{` `, `a b `, `"`, `\n`, `$HOME`, `-e`, `%s`, strings.Repeat("x", 512)}
	wantHad(t, cat, ids, ids...)
	windows, _ := shell(t, `printf 'evt_1\r\nevt_2 \r\n\r\nevt_9\r\nevt_3'`)
	wantHad(t, windows, []string{"evt_1", "evt_2", "evt_3"}, "evt_1", "evt_3")
	deaf, _ := shell(t, "exec <&-; echo evt_1")
	many := make([]string, 500)
	for i := range many {
		many[i] = fmt.Sprintf("%0512d", i)
	}
	wantHad(t, deaf, append(many, "evt_1"), "evt_1")
	wantHad(t, cat, many, many...)
	silent, _ := shell(t, "exit 0")
	wantHad(t, silent, many)
}

// The recipe of the docs, as it is written there.
func TestCommandRecipe(t *testing.T) {
	page, err := os.ReadFile("../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```sh\n(.*?)\n```").FindSubmatch(page)
	if m == nil {
		t.Fatal("docs/recipes.md has no recipe for a command")
	}
	c, dir := shell(t, string(m[1]))
	wantNoAnswer(t, c, "exit 1: grep: FILE: No such file or directory")
	file := filepath.Join(dir, "FILE")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	wantHad(t, c, []string{"evt_1"})
	write("evt_1\nevt_22\nevt.3\n*\n")
	wantHad(t, c, []string{"evt_1", "evt_2", "evt_3", "evt.3", "*", "evt"}, "evt_1", "evt.3", "*")
	plain := command(t, CommandOptions{Argv: []string{"grep", "-Fxf", "-", "FILE"}, Dir: dir})
	wantHad(t, plain, []string{"evt_1", "evt_2"}, "evt_1")
	write("evt_9\n")
	wantNoAnswer(t, plain, "exit 1; grep exits 1 when nothing matches")
}

func TestCommandFails(t *testing.T) {
	if _, err := NewCommand(CommandOptions{}); err == nil || !strings.Contains(err.Error(), "argv is empty") {
		t.Errorf("no argv: %v", err)
	}
	for script, says := range map[string]string{
		"echo evt_1; exit 3": "sh: exit 3",
		"echo evt_1; echo 'no database' >&2; echo more >&2; exit 1":                 "sh: exit 1: no database",
		`printf '\033[31mr\303\266t\033[0m\ttab\r\nx' >&2; exit 2`:                  "sh: exit 2: [31mr?t [0m tab",
		"echo 'GET https://u:hunter2@x.example/?token=hunter2 refused' >&2; exit 9": "sh: exit 9: GET https://...@x.example/",
		"kill -9 $$":                  "it was ended by a signal: killed",
		"yes":                         "more than 1 MiB",
		"yes & yes & wait":            "more than 1 MiB",
		"trap '' PIPE; yes; sleep 60": "more than 1 MiB",
	} {
		t.Run(script, func(t *testing.T) {
			c, _ := shell(t, script)
			wantNoAnswer(t, c, says)
			if _, err := c.Have(t.Context(), askedFor("evt_1")); strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is in %q", err)
			}
		})
	}
	long, _ := shell(t, `yes verbose | head -c 100000 | tr '\n' ' ' >&2; exit 4`)
	_, err := long.Have(t.Context(), askedFor("evt_1"))
	if text := fmt.Sprint(err); len(text) > len("sh: exit 4: ")+200 || !strings.HasPrefix(text, "sh: exit 4: verbose") {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

// A program shows that it works, or why it does not, before there is anything to ask about.
func TestCommandIsTried(t *testing.T) {
	read, dir := shell(t, "wc -c >asked")
	wantHad(t, read, nil)
	if said, err := os.ReadFile(filepath.Join(dir, "asked")); err != nil || strings.TrimSpace(string(said)) != "0" {
		t.Errorf("it read %q bytes: %v", said, err)
	}
	fails, _ := shell(t, "exit 3")
	if had, err := fails.Have(t.Context(), nil); err == nil || had != nil {
		t.Errorf("it answered %v", had)
	}
}

// A program that prints something else is asked in vain, and a person must know; one that prints all it has is none.
func TestCommandNotices(t *testing.T) {
	c, dir := shell(t, "cat FILE")
	for _, step := range []struct {
		asked      []string
		says, want string
	}{
		{nil, "row 1\nrow 2\n", ""},
		{[]string{"evt_1"}, "", ""},
		{[]string{"evt_1", "evt_2"}, "row 1\n\n", "it answered with 1 id that it was not asked for, and with none that it was: check what it prints"},
		{[]string{"evt_1"}, "row 1\nrow 2\n", "it answered with 3 ids that it was not asked for, and with none that it was: check what it prints"},
		{[]string{"evt_1"}, "row 1\nevt_1\n", ""},
		{[]string{"evt_2"}, "row 1\n", ""},
	} {
		if err := os.WriteFile(filepath.Join(dir, "FILE"), []byte(step.says), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Have(t.Context(), askedFor(step.asked...)); err != nil {
			t.Fatal(err)
		}
		if got := c.Notice(); got != step.want {
			t.Errorf("after %q it says %q, want %q", step.says, got, step.want)
		}
	}
}

func TestCommandCannotStart(t *testing.T) {
	dir := t.TempDir()
	for name, f := range map[string]struct {
		text string
		mode os.FileMode
	}{"plain": {"#!/bin/sh\n", 0o600}, "text": {"hello\n", 0o700}, "lost": {"#!/no/such/interpreter\n", 0o700}} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(f.text), f.mode); err != nil {
			t.Fatal(err)
		}
	}
	for program, says := range map[string]string{
		"./missing":             "missing: there is no program ./missing, or not the one that its first line names; a relative path is relative to the working directory of backstop",
		"no-such-program":       "no-such-program: there is no program no-such-program in PATH; write its full path in argv",
		"/no/such/program":      "program: there is no program /no/such/program, or not",
		"../no\nsuch\x1b[31m/x": "x: there is no program ../no such [31m/x, or not",
		"./plain":               "plain: this user may not execute it", "./text": "text: it is no program", "./lost": "lost: there is no program ./lost, or not the one that its first line names",
	} {
		c := command(t, CommandOptions{Argv: []string{program, "--token=hunter2"}, Dir: dir})
		wantNoAnswer(t, c, says)
		if _, err := c.Have(t.Context(), nil); strings.Contains(err.Error(), "hunter2") {
			t.Errorf("an argument is in %q", err)
		}
	}
	wantNoAnswer(t, command(t, CommandOptions{Argv: []string{"true"}, Dir: filepath.Join(dir, "none")}), "there is no program")
}

// What a command started ends with it, and nothing of it can keep us waiting.
func TestCommandLeavesNothingBehind(t *testing.T) {
	const family = "sh -c 'echo $$ >child; sleep 1000 & echo $! >grandchild; : >born; wait' & wait"
	t.Run("timeout", func(t *testing.T) {
		c, dir := shell(t, family)
		c.timeout = 250 * time.Millisecond
		for born := false; !born; c.timeout *= 2 { // on a busy machine it must be long enough for all three to start
			wantNoAnswer(t, c, "sh: no answer within "+c.timeout.String())
			_, err := os.Stat(filepath.Join(dir, "born"))
			born = err == nil
		}
		gone(t, dir)
	})
	t.Run("cancel", func(t *testing.T) {
		c, dir := shell(t, family)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := c.Have(ctx, askedFor("evt_1"))
			done <- err
		}()
		until(t, func() bool { _, err := os.Stat(filepath.Join(dir, "born")); return err == nil })
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want one of the context", err)
		}
		gone(t, dir)
	})
	for exit, says := range map[string]string{"0": "something that it started keeps its output open", "7": "exit 7"} {
		t.Run("exit "+exit, func(t *testing.T) {
			c, dir := shell(t, "sleep 1000 & echo $! >grandchild; cp grandchild child; echo evt_1; exit "+exit)
			wantNoAnswer(t, c, says)
			gone(t, dir)
		})
	}
	t.Run("cancelled before", func(t *testing.T) {
		c, _ := shell(t, family)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Have(ctx, askedFor("evt_1")); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want one of the context", err)
		}
	})
}

// gone waits until the processes are ended, reaped by whoever inherits them or not.
func gone(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"child", "grandchild"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		until(t, func() bool { return dead(pid) })
	}
}

func dead(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func until(t *testing.T, met func() bool) {
	t.Helper()
	for !met() {
		select {
		case <-t.Context().Done():
			t.Fatal("never")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestACommandSeesNoneOfOurSecrets(t *testing.T) {
	kept := commandEnv([]string{"PATH=/bin", "HEYGEN_API_KEY=k", "HEYGEN_WEBHOOK_SECRET=s", "LISTEN_FDS=1", "NOTIFY_SOCKET=/n", "CREDENTIALS_DIRECTORY=/c", "DATABASE_URL=d"})
	if !slices.Equal(kept, []string{"PATH=/bin", "DATABASE_URL=d"}) {
		t.Errorf("the program sees %q", kept)
	}
}
