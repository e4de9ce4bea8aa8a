package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// past is a state with a past: a copy of it was made, and more happened after.
type past struct {
	o    Options
	copy string // the older state
	lost []byte // the newest one, closed cleanly
}

// oldCopy leads events to every unfinished status, makes a copy, and goes on: one more is reported, one is replayed.
func oldCopy(t *testing.T) past {
	t.Helper()
	y := past{o: optionsIn(t)}
	y.copy = filepath.Join(t.TempDir(), "copy.db")
	s := mustOpen(t, y.o)
	listed(t, s, event("evt_missed", "vid_a", "1", 5*time.Hour), event("evt_tried", "vid_b", "1", 4*time.Hour),
		event("evt_asked", "vid_c", "1", 3*time.Hour), event("evt_open", "vid_d", "1", 3*time.Hour), event("evt_dead", "vid_e", "1", 3*time.Hour))
	judged(t, s, noon())
	mustDo(t, attemptStory(s, "evt_tried", 500, Replaying), attemptStory(s, "evt_dead", 422, Dead))
	_, err := queueByHand(s, noon(), []string{"evt_asked"}, "ann")
	mustDo(t, err, claimOnly(s, "evt_open"))
	listed(t, s, event("evt_young", "vid_a", "2", time.Minute), event("evt_twin", "vid_b", "1", 4*time.Hour-time.Minute))
	mustClose(t, s)
	y.lost = readAll(t, y.o.Path)
	replaceFile(t, y.copy, y.lost)

	s = mustOpen(t, y.o)
	_, err = s.Record(noon(), []Sighting{{ID: "evt_missed", Proof: Report}, {ID: "evt_later", Proof: Report}})
	mustDo(t, err, write(s, "x", true), unwrite(s, "x"))
	mustClose(t, s)
	y.lost = readAll(t, y.o.Path)
	return y
}

// claimOnly leaves an attempt of one event open, as a kill does.
func claimOnly(s *Store, id string) error {
	exclude := make(map[string]bool)
	for {
		c, _, err := s.Claim(ClaimRules{Now: noon(), Exclude: exclude})
		if err != nil || c == nil {
			return errors.Join(err, errors.New("it was not due"))
		}
		if c.Event.ID == id {
			return nil
		}
		exclude[c.Event.ID] = true
		if err := s.Release(c.Event.ID, noon()); err != nil {
			return err
		}
	}
}

func readAll(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	mustDo(t, err)
	return text
}

func mustRestore(t *testing.T, o Options, file string) Restoration {
	t.Helper()
	done, err := Restore(t.Context(), o, Copy{Name: file}, "ann")
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	return done
}

func TestARestoreWithholdsWhatMayHaveBeenSent(t *testing.T) {
	for name, inPlace := range map[string]bool{"from a copy": false, "where it lies": true} {
		t.Run(name, func(t *testing.T) {
			y := oldCopy(t)
			file := y.copy
			if inPlace {
				replaceFile(t, y.o.Path, readAll(t, y.copy))
				file = y.o.Path
				if _, err := Open(y.o); !errors.Is(err, ErrRolledBack) {
					t.Fatalf("open says %v, want ErrRolledBack", err)
				} else {
					mustName(t, err, "`backstop state restore FILE`")
				}
			}
			before := readAll(t, y.copy)
			start := time.Now()
			done := mustRestore(t, y.o, file)
			if !bytes.Equal(readAll(t, y.copy), before) {
				t.Error("the copy was changed")
			}
			if done.Withheld != 4 || done.Begun || len(done.Aside) != 2 {
				t.Errorf("done: %+v", done)
			}
			if done.Lost.From.After(start) || done.Lost.From.Before(start.Add(-time.Minute)) || !done.Lost.To.After(start) {
				t.Errorf("lost %+v, restored at %s", done.Lost, start)
			}
			if got := readAll(t, done.Aside[1]); !inPlace && !bytes.Equal(got, y.lost) {
				t.Error("what was there is not kept as it was")
			}
			s := mustOpen(t, y.o)
			mustBeClean(t, s)
			mustBeWithheld(t, s)
			if got := s.Lost(); got != done.Lost {
				t.Errorf("the state says %+v, want %+v", got, done.Lost)
			}
			if info, err := os.Stat(y.o.Path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v (%v)", info.Mode(), err)
			}
			if acts, err := s.Acts(1); err != nil || len(acts) != 1 || acts[0].What != "restore from "+file || acts[0].N != 4 {
				t.Errorf("acts: %+v %v", acts, err)
			}
		})
	}
}

// mustBeWithheld looks at what a restore of oldCopy must leave.
func mustBeWithheld(t *testing.T, s *Store) {
	t.Helper()
	wantStatus(t, s, map[string]Status{
		"evt_missed": Missed, "evt_tried": Missed, "evt_asked": Missed, "evt_open": Missed, "evt_dead": Dead, "evt_young": Settling,
		"evt_later": 0, "evt_twin": Settling,
	})
	for _, id := range []string{"evt_missed", "evt_tried", "evt_asked", "evt_open"} {
		row, err := s.Event(id)
		mustDo(t, err)
		if !row.Withheld || row.Manual || !row.Due.IsZero() || !strings.Contains(row.Why, "withheld: what the receiver got between") {
			t.Errorf("%s is %+v", id, row)
		}
		if id == "evt_open" && (len(row.Attempts) != 1 || row.Attempts[0].Open || row.Attempts[0].Error != interrupted) {
			t.Errorf("its attempts: %+v", row.Attempts)
		}
	}
	if n := s.Counts().Withheld; n != 4 {
		t.Errorf("%d are withheld, want 4", n)
	}
}

func TestNothingWithheldIsSentUnasked(t *testing.T) {
	y := oldCopy(t)
	mustRestore(t, y.o, y.copy)
	s := mustOpen(t, y.o)
	for _, rules := range []ClaimRules{{}, {Manual: true}, {Lane: Old}, {Probe: true}} {
		rules.Now = noon().Add(100 * time.Hour)
		if wait := noClaim(t, s, rules); wait != 0 {
			t.Errorf("%+v: there is something to wait for in %s", rules, wait)
		}
	}

	// A newer event of its entity does not wait for it.
	_, err := s.Decide(noon(), []Verdict{{ID: "evt_young", Status: Missed, Why: "new"}})
	mustDo(t, err)
	c := mustClaim(t, s, noon())
	if c.Event.ID != "evt_young" {
		t.Fatalf("claimed %s", c.Event.ID)
	}
	settled(t, s, c, Seen, noon())

	// A person's word sends it, once; a report, an import and ignore end it, too.
	_, err = queueByHand(s, noon(), []string{"evt_open"}, "ann")
	mustDo(t, err)
	if _, why := statusOf(t, s, "evt_open"); why != "queued by ann" {
		t.Errorf("why: %s", why)
	}
	c = mustClaim(t, s, noon())
	if c.Event.ID != "evt_open" || c.Attempt != 2 {
		t.Fatalf("claimed %+v", c)
	}
	settled(t, s, c, Seen, noon())
	_, err = s.Record(noon(), []Sighting{{ID: "evt_missed", Proof: Report}, {ID: "evt_tried", Proof: Import}})
	mustDo(t, err)
	_, err = s.Ignore(noon(), []string{"evt_asked"}, "", "ann")
	mustDo(t, err)
	wantStatus(t, s, map[string]Status{"evt_missed": Seen, "evt_tried": Seen, "evt_asked": Ignored, "evt_open": Seen})
	noClaim(t, s, ClaimRules{Now: noon().Add(100 * time.Hour)})
	if n := s.Counts().Withheld; n != 0 {
		t.Errorf("%d are withheld, want none", n)
	}
	mustBeClean(t, s)
}

func TestAVerdictCanWithhold(t *testing.T) {
	s := lively(t)
	listed(t, s, event("evt_a", "vid_1", "1", time.Hour), event("evt_b", "vid_1", "2", 30*time.Minute))
	applied, err := s.Decide(noon(), []Verdict{{ID: "evt_a", Status: Missed, Why: "lost", Withheld: true}, {ID: "evt_b", Status: Missed, Why: "new"}})
	mustDo(t, err)
	if len(applied) != 2 || s.Counts().Withheld != 1 {
		t.Fatalf("applied %+v, %d withheld", applied, s.Counts().Withheld)
	}
	if c := mustClaim(t, s, noon()); c.Event.ID != "evt_b" {
		t.Errorf("claimed %s", c.Event.ID)
	}
	known, err := s.Look(Policy{}).Events(noon(), []heygen.Event{event("evt_a", "vid_1", "1", time.Hour)})
	mustDo(t, err)
	if !known[0].Withheld {
		t.Errorf("known: %+v", known[0])
	}
	mustAgree(t, s)

	// As the twin of another it is not missed, and so not withheld.
	_, err = s.Decide(noon(), []Verdict{{ID: "evt_a", Status: Seen, Twin: "evt_b"}})
	mustDo(t, err)
	if n := s.Counts().Withheld; n != 0 {
		t.Errorf("%d are withheld, want none", n)
	}
	mustAgree(t, s)
}

func TestCheckNamesWhatCannotBeWithheld(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	mustDo(t, s.update(true, func(t *tx) error {
		r := newRecord(event("evt_a", "vid_1", "1", time.Hour), noon())
		r.withheld = true
		return t.saveOpen(nil, r)
	}))
	found, err := s.Check(t.Context(), true)
	mustDo(t, err)
	if len(found) != 1 || found[0].Key != `"evt_a"` || found[0].What != "it is settling and withheld; only a missed one can be" {
		t.Errorf("found: %+v", found)
	}
}

func TestCheckNamesALaterRestore(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	side, err := readSide(o.Path)
	mustDo(t, err)
	side.Restored = noon().UnixNano()
	mustDo(t, side.write(o.Path))
	found, err := s.Check(t.Context(), false)
	mustDo(t, err)
	if len(found) != 1 || found[0].What != "the side file knows of a later restore" {
		t.Errorf("found: %+v", found)
	}
}

func TestALargeCopyIsWithheldToItsEnd(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	s.db.NoSync = true
	const many = 2*withholdSome + 7
	var events []heygen.Event
	var vs []Verdict
	for i := range many {
		e := event(fmt.Sprintf("evt_%04d", i), fmt.Sprint("vid_", i%9), fmt.Sprint(i), time.Duration(i%50)*time.Minute)
		v := Verdict{ID: e.ID, Status: Missed, Why: "no proof"}
		if i%2 == 0 {
			v.Lane = Old
		}
		events, vs = append(events, e), append(vs, v)
	}
	listed(t, s, events...)
	_, err := s.Decide(noon(), vs)
	mustDo(t, err)
	n, err := s.withholdAll(noon(), Range{To: noon()})
	mustDo(t, err)
	if n != many || s.Counts().Withheld != many {
		t.Errorf("withheld %d, counted %d, want %d", n, s.Counts().Withheld, many)
	}
	noClaim(t, s, ClaimRules{Now: noon().Add(time.Hour)})
	mustAgree(t, s)
}

// What a restore replaced is refused when it comes back, however many commits it has, and so is a copy from before.
func TestWhatWasReplacedIsRefused(t *testing.T) {
	y := oldCopy(t)
	s := mustOpen(t, y.o)
	for range 300 { // the side file lags behind a state that is killed now
		mustDo(t, s.Act(noon(), "ann", "more", 1))
	}
	far := readAll(t, y.o.Path)
	mustClose(t, s)
	side, err := readSide(y.o.Path)
	mustDo(t, err)
	side.Generation, side.Clean = 12, false
	mustDo(t, side.write(y.o.Path))

	mustRestore(t, y.o, y.copy)
	mustClose(t, mustOpen(t, y.o))
	for name, file := range map[string][]byte{"the lost file": far, "the copy": readAll(t, y.copy)} {
		replaceFile(t, y.o.Path, file)
		_, err := Open(y.o)
		if !errors.Is(err, ErrRolledBack) {
			t.Errorf("%s: open says %v, want ErrRolledBack", name, err)
			continue
		}
		mustName(t, err, y.o.Path, "state restore FILE")
	}

	// A second restore is later than the first, and knows of its own lost time.
	first := time.Now()
	done := mustRestore(t, y.o, y.o.Path)
	if done.Lost.To.Before(first) {
		t.Errorf("lost %+v", done.Lost)
	}
	mustBeClean(t, mustOpen(t, y.o))
}

func TestEachRestoreIsLaterThanTheOneBefore(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	side := &sideFile{State: s.settings().uuid, Restored: noon().Add(time.Hour).UnixNano()}
	lost, err := s.lostTime(side, noon()) // the clock was set back
	mustDo(t, err)
	if restoredAt(lost) <= side.Restored {
		t.Errorf("lost until %s, and the restore before was at %s", lost.To, time.Unix(0, side.Restored).UTC())
	}
}

// The very state that was closed last is no older copy: nothing is lost with it.
func TestTheNewestCopyLosesNothing(t *testing.T) {
	y := oldCopy(t)
	newest := filepath.Join(t.TempDir(), "newest.db")
	replaceFile(t, newest, y.lost)
	mustDo(t, os.Remove(y.o.Path))
	done := mustRestore(t, y.o, newest)
	if done.Lost != (Range{}) || done.Withheld != 0 {
		t.Errorf("done: %+v", done)
	}
	s := mustOpen(t, y.o)
	mustBeClean(t, s)
	if n := s.Counts().Withheld; n != 0 || !s.Lost().To.IsZero() {
		t.Errorf("%d withheld, lost %+v", n, s.Lost())
	}
	wantStatus(t, s, map[string]Status{"evt_missed": Seen, "evt_later": Seen})
}

// A file from before commits noted their time tells the newest time that it knows.
func TestTheLostTimeOfAnOldFormat(t *testing.T) {
	o := optionsIn(t)
	file := filepath.Join(t.TempDir(), "v1.db")
	replaceFile(t, file, golden(t, 1))
	done := mustRestore(t, o, file)
	s := mustOpen(t, o)
	mustBeClean(t, s)
	if want := s.settings().created; !done.Lost.From.Equal(want) || want.Before(noon()) { // it was made after the day it tells of
		t.Errorf("lost since %s, want %s", done.Lost.From, want)
	}
	if n := s.Counts().Withheld; n != 1 || !done.Begun {
		t.Errorf("%d withheld, want evt-missed; done %+v", n, done)
	}
}
